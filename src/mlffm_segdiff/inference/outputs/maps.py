"""Probability and spread maps as files."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.files.atomic import atomic_write
from mlffm_segdiff.inference.outputs.image_file import save_image
from mlffm_segdiff.inference.outputs.writers import Writer
from mlffm_segdiff.inference.result import CaseResult
from mlffm_segdiff.segmenters.network_output import Map

WHITE = 65535
BAND = 512


class ProbabilityWriter(Writer):
    """probabilities/NAME.png or .npy."""

    def case_files(self, stem: str) -> tuple[str, ...]:
        """Return the file of the map."""
        return (f"probabilities/{stem}.{self.output.maps}",)

    def write(self, result: CaseResult) -> None:
        """Write the probability map."""
        write_map(result.probability, *self.paths(result.image.stem))


class SpreadWriter(Writer):
    """spreads/NAME.png or .npy, the standard deviation of the samples."""

    def case_files(self, stem: str) -> tuple[str, ...]:
        """Return the file of the map."""
        return (f"spreads/{stem}.{self.output.maps}",)

    def check(self, sampling: SamplingConfig) -> None:
        """Raise UserError unless two or more samples are drawn."""
        if sampling.samples < 2:
            raise UserError(
                f"the spread map needs samples, but {sampling.samples} are drawn; "
                "set samples to 2 or more, or leave the spread map out"
            )

    def write(self, result: CaseResult) -> None:
        """Write the spread map."""
        write_map(result.spread, *self.paths(result.image.stem))


def write_map(values: Map, path: Path) -> None:
    """Write an HxW float32 map in [0, 1]: .npy as it is, .png in 16 bits as `sixteen_bits`.

    Raises:
        UserError: The file cannot be written.
    """
    if path.suffix == ".npy":
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            header = np.lib.format.header_data_from_array_1_0(values)
            np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(values).data)  # numpy.save loses what does not fit on the disk
    else:
        save_image(Image.fromarray(sixteen_bits(values)), path)


def sixteen_bits(values: Map) -> npt.NDArray[np.uint16]:
    """Return WHITE times the values, rounded, band by band of rows to save memory."""
    found = np.empty(values.shape, np.uint16)
    for top in range(0, len(values), BAND):
        rows = slice(top, top + BAND)
        found[rows] = np.rint(values[rows] * np.float32(WHITE))
    return found
