"""All images of a run as Label Studio's tasks with pre-annotations."""

import json
from importlib.metadata import version
from itertools import chain
from typing import Any, ClassVar
from urllib.parse import quote

import numpy as np

from mlffm_segdiff.config.extra import DISTRIBUTION
from mlffm_segdiff.files.atomic import write_parts
from mlffm_segdiff.inference.masks import run_lengths
from mlffm_segdiff.inference.outputs.predictions import Row
from mlffm_segdiff.inference.outputs.spool import Spool
from mlffm_segdiff.inference.outputs.writers import Kept, Output, Writer
from mlffm_segdiff.inference.result import CaseResult
from mlffm_segdiff.metrics.overlap import Mask

LOCAL_FILES = "/data/local-files/?d=images/"
"""Address of the files in the folder ``images`` of Label Studio's LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT.

Label Studio serves only folders below its root that a project has as storage, not the root itself.
"""
LABEL, IMAGE_TAG, MASK_TAG = "lesion", "image", "mask"
"""Label and names of tags in the labeling configuration; see docs/ANNOTATION.md."""
CHANNELS = 4
LENGTH_BITS = (4, 8, 12, 16)
"""Sizes of the numbers that run lengths are written with."""


class LabelStudioWriter(Writer):
    """labelstudio.json: one task per image, in their order, with one brush mask if it has a lesion."""

    run_files: ClassVar = ("labelstudio.json",)

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        self._tasks = Spool()

    def write(self, result: CaseResult) -> Kept:
        """Encode the mask."""
        prediction = prediction_of(result.mask, result.score)
        return {
            "data": {"image": LOCAL_FILES + quote(result.image.name)},
            "predictions": [{"model_version": f"{DISTRIBUTION} {version(DISTRIBUTION)}", **prediction}],
        }

    def add_row(self, row: Row, kept: Kept) -> None:
        """Keep the task of an image that was written."""
        del row
        if kept is not None:
            self._tasks.add(json.dumps(kept))

    def close(self) -> None:
        """Write the file."""
        parts = chain(["[\n"], self._tasks.separated(), ["]\n"])
        write_parts(self.output.folder / self.run_files[0], parts)


def prediction_of(mask: Mask, score: float | None) -> dict[str, Any]:
    """Return a mask as Label Studio's prediction with one brush region; without a lesion it has none.

    Args:
        mask: HxW bool.
        score: Score of the mask in [0, 1], see `CaseResult.score`; None without a lesion.
    """
    height, width = mask.shape
    region = {
        "id": LABEL,
        "type": "brushlabels",
        "from_name": MASK_TAG,
        "to_name": IMAGE_TAG,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {"format": "rle", "rle": brush_rle(mask), "brushlabels": [LABEL]},
        "score": score,
    }
    return {"score": score, "result": [region] if mask.any() else []}


def brush_rle(mask: Mask) -> list[int]:
    """Return a mask (HxW bool) as the bytes of Label Studio's brush, the format rle-pack of thi.ng/umbrella.

    It stores four channels per pixel, row by row, all 255 on the lesion and 0 elsewhere. A header has the
    number of values (32 bits), their size (5), and four sizes of lengths (4 each), the sizes minus 1. A run
    is a bit 1, the number of its length's size (2 bits), the length minus 1, and the value (8 bits).
    """
    header = [(CHANNELS * mask.size, 32), (8 - 1, 5), *((size - 1, 4) for size in LENGTH_BITS)]
    fields = [f"{number:0{bits}b}" for number, bits in header]
    longest = 1 << LENGTH_BITS[-1]
    for index, run in enumerate(run_lengths(mask.ravel())):
        values = CHANNELS * run
        for length in [longest] * (values // longest) + [values % longest]:
            if length:
                fields.append(_run_bits(length, 255 * (index % 2)))
    bits = np.frombuffer("".join(fields).encode(), np.uint8) - ord("0")
    packed: list[int] = np.packbits(bits).tolist()
    return packed


def _run_bits(length: int, value: int) -> str:
    size = next(number for number, bits in enumerate(LENGTH_BITS) if length <= 1 << bits)
    return f"1{size:02b}{length - 1:0{LENGTH_BITS[size]}b}{value:08b}"
