"""All pictures of a run as one COCO data set, written as they come."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from mlffm_segdiff.data.atomic import atomic_write
from mlffm_segdiff.inference.outputs.contours import coco_rle
from mlffm_segdiff.inference.prediction import Prediction, lesion_box

CATEGORY = {"id": 1, "name": "lesion"}


@dataclass(frozen=True)
class CocoCase:
    """A picture's entries in a COCO file, ids apart; annotation: None where no lesion was found."""

    image: dict[str, Any]
    annotation: dict[str, Any] | None


def coco_case(prediction: Prediction, file_name: str) -> CocoCase:
    """Return a prediction's entries: one annotation of all its parts, as run lengths.

    area: pixels. bbox: left, top, width, height in pixels. score: mean probability over the mask.
    """
    height, width = prediction.mask.shape
    image = {"file_name": file_name, "width": width, "height": height}
    area = int(np.count_nonzero(prediction.mask))
    if not area:
        return CocoCase(image, None)
    rows, columns = lesion_box(prediction.mask)
    annotation = {
        "category_id": CATEGORY["id"],
        "iscrowd": 0,
        "area": area,
        "bbox": [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start],
        "score": round(float(prediction.probability[prediction.mask].mean(dtype=np.float64)), 6),
        "segmentation": coco_rle(prediction.mask),
    }
    return CocoCase(image, annotation)


@contextmanager
def coco_file(path: Path) -> Iterator[Callable[[CocoCase], None]]:
    """Give the function that adds a case; the file appears at `path` when the block ends well, or not at all.

    Annotations wait in a temporary file, so memory does not grow with the cases. Raises UserError where the
    file cannot be written.
    """
    with (
        atomic_write(path) as temporary,
        temporary.open("w", encoding="utf-8") as file,
        TemporaryFile("w+", encoding="utf-8") as waiting,
    ):
        file.write(f'{{"categories": {json.dumps([CATEGORY])},\n"images": [')
        images = annotations = 0

        def add(case: CocoCase) -> None:
            nonlocal images, annotations
            images += 1
            file.write(_entry({"id": images, **case.image}, images))
            if case.annotation is not None:
                annotations += 1
                entry = {"id": annotations, "image_id": images, **case.annotation}
                waiting.write(_entry(entry, annotations))

        yield add
        file.write('],\n"annotations": [')
        waiting.seek(0)
        shutil.copyfileobj(waiting, file)
        file.write("]}\n")


def _entry(values: dict[str, Any], number: int) -> str:
    return f"{',' if number > 1 else ''}\n{json.dumps(values)}"
