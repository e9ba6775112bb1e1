"""The public way to segment files into a folder in Python: `predict`."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import torch

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.config.spelling import known_name
from mlffm_segdiff.files.atomic import require_writable_folder
from mlffm_segdiff.inference.analysis import Processing
from mlffm_segdiff.inference.outputs.writers import WRITERS, MapFormat, Output, TableFormat
from mlffm_segdiff.inference.postprocessing import DEFAULT as DEFAULT_STEPS
from mlffm_segdiff.inference.postprocessing import PostProcessing
from mlffm_segdiff.inference.predict import predict_files
from mlffm_segdiff.inference.reading.case_image import find_images
from mlffm_segdiff.inference.segmenter import prepared_model
from mlffm_segdiff.metrics.certainty import THRESHOLD
from mlffm_segdiff.segmenters.device import AUTO
from mlffm_segdiff.segmenters.pretrained import Pretrained
from mlffm_segdiff.segmenters.sampling import Overrides
from mlffm_segdiff.segmenters.saved_weights import DEFAULT

Place = str | os.PathLike[str]


@dataclass(frozen=True)
class Predictions:
    """What `predict` wrote.

    Attributes:
        folder: Folder of all results; masks are in its subfolder ``masks``.
        table: Table with one row per image; docs/MEASURES.md and docs/FILES.md list its columns.
        counts: Number of images by status: ``done``, ``incomplete``, ``failed`` and ``refused``.
        errors: One line for each image, and each file for all images, that is missing or incomplete.
    """

    folder: Path
    table: Path
    counts: Mapping[str, int]
    errors: tuple[str, ...]


def predict(
    images: Place | Sequence[Place],
    output: Place,
    weights: str | Path | Pretrained = DEFAULT,
    *,
    write: Sequence[str] = (),
    maps: MapFormat = "png",
    table: TableFormat = "csv",
    recursive: bool = False,
    skip_existing: bool = False,
    sampling: Overrides | None = None,
    threshold: float = THRESHOLD,
    mm_per_pixel: float | None = None,
    post: PostProcessing = DEFAULT_STEPS,
    level: float | None = None,
    refuse_outliers: bool = False,
    batch_size: int = 8,
    device: str | torch.device = AUTO,
) -> Predictions:
    """Segment files into a folder, as ``mlffm-segdiff predict`` does. Prints nothing.

    Images are read, segmented and written as a stream, so any number of them fits memory. One that cannot be
    read or written does not stop the others: it is counted, and its error is in the result and in the table.

    Args:
        images: An image, folder, zip archive, pattern, list or URL (extra ``remote``), or several of them.
        output: Folder of the results. Those of an earlier run in it are replaced, other files stay.
        weights: As for `segment`.
        write: Outputs besides masks and table: ``probability``, ``spread``, ``overlay``, ``band``,
            ``contours``, ``coco``, ``cvat``, ``labelstudio``, ``dicom-seg``, ``nnunet`` or ``review``.
        maps: Format of probability and spread maps: 16-bit ``png`` or float32 ``npy``.
        table: Format of the table: ``csv`` or ``parquet`` (extra ``table``).
        recursive: Search the subfolders of folders, too.
        skip_existing: Keep the results of images that an earlier run finished with the same content, weights
            and settings.
        sampling: As for `segment`.
        threshold: As for `segment`.
        mm_per_pixel: As for `segment`.
        post: As for `segment`.
        level: As for `segment`.
        refuse_outliers: Write no mask of an image that is flagged as ``not_dermoscopy``.
        batch_size: As for `segment`.
        device: As for `segment`.

    Raises:
        UserError: No image is found, or the weights, an option or the folder is invalid; nothing was written.
        StoppedError: The folder became unwritable, as on a full disk; also a UserError.
    """
    for name, value, known in (("maps", maps, MapFormat), ("table", table, TableFormat)):
        if value not in get_args(known):
            raise UserError(
                f"{name}={value!r} is an unknown format; choose one of {', '.join(get_args(known))}"
            )
    folder = expanded(output)
    require_writable_folder(folder)
    if not isinstance(images, str | os.PathLike | Iterable):
        raise UserError(f"images is {images!r}; give a path, or a list of paths")
    places = [images] if isinstance(images, str | os.PathLike) else list(images)
    for one in places:
        if not isinstance(one, str | os.PathLike):
            raise UserError(
                f"images has a {type(one).__name__}, not a path; give paths, or use segment for images in "
                "memory"
            )
    found = find_images(*[os.fspath(one) for one in places], recursive=recursive)
    outputs = [write] if isinstance(write, str) else write
    if not isinstance(outputs, Iterable) or not all(isinstance(one, str) for one in outputs):
        raise UserError(f"write is {write!r}; give names of outputs, such as 'overlay'")
    target = Output(folder, tuple(known_name(name, WRITERS) for name in outputs), maps, table)
    how = Processing(threshold, post, mm_per_pixel, level=level, refuse_outliers=refuse_outliers)
    model = prepared_model(weights, sampling, device)
    counts: Counter[str] = Counter()
    errors: list[str] = []
    faults: list[str] = []
    for row in predict_files(
        found.images, model, target, how, batch_size, faults.append, skip_existing=skip_existing
    ):
        counts[row.status] += 1
        if row.error:
            errors.append(row.error if row.failed else f"{row.image}: {row.error}")
    return Predictions(folder, target.table_path, dict(counts), (*errors, *faults))
