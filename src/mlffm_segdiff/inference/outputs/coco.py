"""All images of a run as one COCO data set."""

import json
from collections.abc import Sequence
from itertools import chain
from typing import Any, ClassVar

import numpy as np

from mlffm_segdiff.files.atomic import write_parts
from mlffm_segdiff.inference.masks import lesion_box, run_lengths
from mlffm_segdiff.inference.outputs.predictions import Row
from mlffm_segdiff.inference.outputs.spool import Spool
from mlffm_segdiff.inference.outputs.writers import Kept, Output, Writer
from mlffm_segdiff.inference.result import CaseResult
from mlffm_segdiff.metrics.overlap import Mask

CATEGORY = {"id": 1, "name": "lesion"}

Entry = dict[str, Any]


class CocoWriter(Writer):
    """coco.json: the images in their order, and one annotation per image with a lesion."""

    run_files: ClassVar = ("coco.json",)

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        self._images, self._annotations = Spool(), Spool()

    def write(self, result: CaseResult) -> Kept:
        """Encode the mask."""
        height, width = result.mask.shape
        image = {"file_name": result.image.name, "width": width, "height": height}
        return {"image": image, "annotation": annotation_of(result)}

    def add_row(self, row: Row, kept: Kept) -> None:
        """Number the entries of an image that was written."""
        del row
        if kept is None:
            return
        number = len(self._images) + 1
        self._images.add(json.dumps({"id": number, **kept["image"]}))
        if kept["annotation"] is not None:
            ids = {"id": len(self._annotations) + 1, "image_id": number}
            self._annotations.add(json.dumps({**ids, **kept["annotation"]}))

    def close(self) -> None:
        """Write the file."""
        head = f'{{"categories": {json.dumps([CATEGORY])},\n"images": [\n'
        images, annotations = self._images.separated(), self._annotations.separated()
        parts = chain([head], images, ['],\n"annotations": [\n'], annotations, ["]}\n"])
        write_parts(self.output.folder / self.run_files[0], parts)


def annotation_of(result: CaseResult) -> Entry | None:
    """Return the COCO annotation of a mask without ids, all its components as one; None without a lesion.

    ``area`` is in pixels, ``bbox`` is left, top, width and height, ``score`` the mean probability over the
    mask.
    """
    area = int(np.count_nonzero(result.mask))
    if not area:
        return None
    rows, columns = lesion_box(result.mask)
    return {
        "category_id": CATEGORY["id"],
        "iscrowd": 0,
        "area": area,
        "bbox": [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start],
        "score": result.score,
        "segmentation": coco_rle(result.mask),
    }


def coco_rle(mask: Mask) -> Entry:
    """Return a mask (HxW bool) as COCO's compressed run lengths: {"size": [H, W], "counts": text}.

    The runs of skin and lesion alternate down the columns, skin first; `pycocotools.mask.decode` reads them.
    """
    return {"size": list(mask.shape), "counts": _packed(run_lengths(mask.ravel(order="F")))}


def _packed(runs: Sequence[int]) -> str:
    """Return COCO's text of run lengths; from the fourth on, each minus the last one of its kind."""
    return "".join(_digits(run - (runs[k - 2] if k > 2 else 0)) for k, run in enumerate(runs))


def _digits(value: int) -> str:
    """Encode five bits per character from the lowest, plus 32 where more follow; the last has the sign."""
    text = ""
    while True:
        bits, value = value & 31, value >> 5
        if value == (-1 if bits & 16 else 0):
            return text + chr(48 + bits)
        text += chr(48 + (bits | 32))
