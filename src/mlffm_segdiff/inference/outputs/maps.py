"""Probability and spread maps as files."""

import zlib
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.atomic import atomic_write
from mlffm_segdiff.inference.outputs.writers import Writer
from mlffm_segdiff.inference.result import CaseResult
from mlffm_segdiff.segmenters.at_source import Map
from mlffm_segdiff.segmenters.base import Sampling

WHITE = 65535
BAND = 512


class ProbabilityWriter(Writer):
    """probabilities/NAME.png or .npy."""

    folders: ClassVar = ("probabilities",)

    def write(self, result: CaseResult) -> None:
        """Write the probability map."""
        folder = self.output.folder / "probabilities"
        write_map(result.probability, folder / f"{result.image.stem}.{self.output.maps}")


class SpreadWriter(Writer):
    """spreads/NAME.png or .npy, the standard deviation of the samples."""

    folders: ClassVar = ("spreads",)

    def check(self, sampling: Sampling) -> None:
        """Raise UserError unless two or more samples are drawn."""
        if sampling.samples < 2:
            raise UserError(
                f"the spread map needs samples, but {sampling.samples} are drawn; "
                "set samples to 2 or more, or leave the spread map out"
            )

    def write(self, result: CaseResult) -> None:
        """Write the spread map."""
        folder = self.output.folder / "spreads"
        write_map(result.spread, folder / f"{result.image.stem}.{self.output.maps}")


def write_map(values: Map, path: Path) -> None:
    """Write an HxW float32 map in [0, 1]: .npy as it is, .png in 16 bits as `sixteen_bits`.

    Raises:
        UserError: The file cannot be written.
    """
    with atomic_write(path) as temporary:
        if path.suffix == ".npy":
            np.save(temporary, values)
        else:
            Image.fromarray(sixteen_bits(values)).save(temporary, compress_type=zlib.Z_RLE)


def sixteen_bits(values: Map) -> npt.NDArray[np.uint16]:
    """Return WHITE times the values, rounded, band by band of rows to save memory."""
    found = np.empty(values.shape, np.uint16)
    for top in range(0, len(values), BAND):
        rows = slice(top, top + BAND)
        found[rows] = np.rint(values[rows] * np.float32(WHITE))
    return found
