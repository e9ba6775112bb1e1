"""The contract of an output of `predict`, and the registry of all outputs.

To add an output, write a `Writer` in a new file and name it in WRITERS.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.outputs.parquet import require_parquet

if TYPE_CHECKING:
    from mlffm_segdiff.config.schema import SamplingConfig
    from mlffm_segdiff.inference.outputs.predictions import Row
    from mlffm_segdiff.inference.result import CaseResult

MapFormat = Literal["png", "npy"]
TableFormat = Literal["csv", "parquet"]
Kept = dict[str, Any] | None
"""Values that a writer keeps of an image for `Writer.add_row`, as JSON values."""

WRITERS: Mapping[str, str] = MappingProxyType(  # by name, so that the command line imports none of them
    {
        "probability": "mlffm_segdiff.inference.outputs.maps:ProbabilityWriter",
        "spread": "mlffm_segdiff.inference.outputs.maps:SpreadWriter",
        "overlay": "mlffm_segdiff.inference.outputs.overlay:OverlayWriter",
        "band": "mlffm_segdiff.inference.outputs.overlay:BandWriter",
        "contours": "mlffm_segdiff.inference.outputs.geojson:ContoursWriter",
        "coco": "mlffm_segdiff.inference.outputs.coco:CocoWriter",
        "cvat": "mlffm_segdiff.inference.outputs.cvat:CvatWriter",
        "labelstudio": "mlffm_segdiff.inference.outputs.labelstudio:LabelStudioWriter",
        "dicom-seg": "mlffm_segdiff.inference.outputs.dicom_seg:DicomSegWriter",
        "nnunet": "mlffm_segdiff.inference.outputs.nnunet_layout:NnunetWriter",
        "review": "mlffm_segdiff.inference.outputs.review:ReviewWriter",
    }
)


@dataclass(frozen=True)
class Output:
    """Where results go, and which: masks/ and the table always, the outputs in ``write`` on request.

    Attributes:
        folder: Folder of all results.
        write: Names of WRITERS or of `own`.
        maps: Format of probability and spread maps: 16-bit PNG, 65535 times the value, or float32 NPY.
        table: Format of the table of predictions.
        own: Makes the writers of the caller's own outputs, by name.
    """

    folder: Path
    write: tuple[str, ...] = ()
    maps: MapFormat = "png"
    table: TableFormat = "csv"
    own: Mapping[str, Callable[[Output], Writer]] = field(default_factory=dict)

    @property
    def masks(self) -> Path:
        """The folder of masks, NAME.png with 0 and 255."""
        return self.folder / "masks"

    def mask_path(self, stem: str) -> Path:
        """Return the path of an image's mask."""
        return self.masks / f"{stem}.png"

    @property
    def table_path(self) -> Path:
        """The table of predictions."""
        return self.folder / f"predictions.{self.table}"


class Writer(ABC):
    """Writes one kind of output.

    All files that it writes are named by `case_files` and ``run_files``, so that a later run can remove them.
    `write` runs in several threads at once, one image each; the other methods run in one thread. A writer
    that raises loses only its own output: the error is reported, and masks and table are written.

    Attributes:
        needs_image: Whether `write` uses `CaseImage.full_size`.
        run_files: Files for all images, relative to the output folder.
    """

    needs_image: ClassVar[bool] = False
    run_files: ClassVar[tuple[str, ...]] = ()

    def __init__(self, output: Output) -> None:
        self.output = output

    def check(self, sampling: SamplingConfig) -> None:  # noqa: B027
        """Raise UserError, before anything is segmented, if this output cannot be written."""

    def case_files(self, stem: str) -> tuple[str, ...]:
        """Return the files of the image with this stem, relative to the output folder."""
        del stem
        return ()

    def paths(self, stem: str) -> tuple[Path, ...]:
        """Return the paths of `case_files`."""
        return tuple(self.output.folder / name for name in self.case_files(stem))

    @abstractmethod
    def write(self, result: CaseResult) -> Kept:
        """Write one image's output; return the values that `add_row` needs, or None."""

    def add_row(self, row: Row, kept: Kept) -> None:  # noqa: B027
        """Receive the row of each image in the order of the images, after `write`.

        Args:
            row: Table row of the image, also of one that failed.
            kept: Values that `write` returned, in this run or in an earlier one that is resumed; None if it
                failed.
        """

    def close(self) -> None:  # noqa: B027
        """Write the file for all images, if any; not called if the run is interrupted."""


def make_writers(output: Output, sampling: SamplingConfig) -> dict[str, Writer]:
    """Make the writers of the requested outputs; those that need the decoded image come last.

    Args:
        output: Requested outputs and their folder.
        sampling: Sampling settings of the run.

    Returns:
        Writers by name of the output.

    Raises:
        UserError: An output is unknown, or cannot be written with this sampling or installation.
    """
    if output.table == "parquet":
        require_parquet()
    writers = {name: _make_writer(name, output) for name in dict.fromkeys(output.write)}
    for writer in writers.values():
        writer.check(sampling)
    return dict(sorted(writers.items(), key=lambda one: one[1].needs_image))


def case_files(stem: str, output: Output, writers: Mapping[str, Writer]) -> tuple[str, ...]:
    """Return the files of the image with this stem, its mask first, relative to the output folder.

    Args:
        stem: Name of the output files, without an extension.
        output: Folder of all results.
        writers: Writers by name of the output.
    """
    mask = output.mask_path(stem).relative_to(output.folder).as_posix()
    return (mask, *(name for writer in writers.values() for name in writer.case_files(stem)))


def require_free_folders(images: Iterable[object], output: Output, writers: Mapping[str, Writer]) -> None:
    """Raise UserError if an input image is in a folder that images will be written to."""
    written = {(output.folder / name).parent.resolve() for name in case_files("any", output, writers)}
    for path in images:
        if isinstance(path, Path) and path.resolve().parent in written:
            raise UserError(
                f"{path} is in a folder that results are written to; choose another output folder"
            )


def _make_writer(name: str, output: Output) -> Writer:
    if name not in WRITERS and name not in output.own:
        raise UserError(f"{name!r} is not an output; choose from {', '.join([*WRITERS, *output.own])}")
    make: Callable[[Output], Writer] = output.own.get(name) or resolve_name(WRITERS[name])
    return make(output)
