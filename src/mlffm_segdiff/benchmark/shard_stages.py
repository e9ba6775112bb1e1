"""Seconds and bytes of an image in a shard by stage, measured at three sizes and checked at a fourth."""

import pickle
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from mlffm_segdiff.benchmark.measured_speeds import STAGES, MeasuredSpeeds, SizeTimes
from mlffm_segdiff.benchmark.photographs import write_photographs
from mlffm_segdiff.benchmark.stage_line import JobSpeeds, fit_line
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.analysis import analyse
from mlffm_segdiff.inference.outputs.image_file import mask_png
from mlffm_segdiff.inference.pool import MIN_HELPERS
from mlffm_segdiff.inference.prepared import PreparedModel
from mlffm_segdiff.inference.reading.case_image import CaseImage, decode_case, pixel_count
from mlffm_segdiff.inference.reading.image_source import Source, read_source
from mlffm_segdiff.inference.reading.listing import ImageFiles, merged
from mlffm_segdiff.inference.reading.remote import RemoteFile
from mlffm_segdiff.inference.shards.make import make_shard, shard_settings, values_and_contours
from mlffm_segdiff.inference.shards.manifest import write_manifest
from mlffm_segdiff.inference.shards.plan import ShardOptions, plan_shards
from mlffm_segdiff.inference.shards.shard_file import ShardRow, shard_writer
from mlffm_segdiff.machine.processors import processors
from mlffm_segdiff.segmenters.cpu import this_cpu
from mlffm_segdiff.segmenters.device import describe_device, device_clock

DRAWN = ((640, 480), (1632, 1224), (3264, 2448))
"""Sizes of the drawn images: 0.3, 2 and 8 megapixels."""
DRAWN_CHECK = (2304, 1728)
"""Size of the images of the check: 4 megapixels."""
PER_SIZE = 8
MIN_IMAGES = 8
ENTRIES = 20_000
LISTED = 1000
"""Rows of the manifest that is timed: as many as in a usual shard, as opening files takes as long for few."""


@dataclass(frozen=True)
class SizeGroup:
    """Images of about one size."""

    sources: tuple[Source, ...]
    megapixels: float
    bytes: float


def size_group(sources: Sequence[Source]) -> SizeGroup:
    """Return images as a group, by their headers. Raises UserError if one cannot be read."""
    contents = [(source, read_source(source)) for source in sources]
    pixels = [pixel_count(data, str(source)) for source, data in contents]
    return SizeGroup(
        tuple(sources), statistics.fmean(pixels) / 1e6, statistics.fmean(len(data) for _, data in contents)
    )


@contextmanager
def drawn_groups() -> Iterator[list[SizeGroup]]:
    """Yield drawn images in groups by size, the last one for the check; they are removed at the end."""
    with TemporaryDirectory() as folder:
        places = [Path(folder, str(number)) for number in range(len(DRAWN) + 1)]
        sizes = zip(places, (*DRAWN, DRAWN_CHECK), strict=True)
        yield [size_group(write_photographs(place, PER_SIZE, *size)) for place, size in sizes]


def groups_of(images: Sequence[Source]) -> list[SizeGroup]:
    """Divide images into three groups by size, and every fourth one into a group for the check.

    Of many images, those at equal distances in the list are taken.

    Raises:
        UserError: There are fewer than eight images, or one cannot be read.
    """
    if len(images) < MIN_IMAGES:
        raise UserError(
            f"{len(images)} images are too few to measure; give {MIN_IMAGES} or more, or leave out -i"
        )
    most = PER_SIZE * (len(DRAWN) + 1)
    taken = images[:: -(-len(images) // most)]
    by_size = sorted(taken, key=lambda source: pixel_count(read_source(source), str(source)))
    fitted = [source for number, source in enumerate(by_size) if number % 4 != 2]
    share = -(-len(fitted) // len(DRAWN))
    return [size_group(group) for group in (*_chunks(fitted, share), by_size[2::4])]


def _chunks(sources: Sequence[Source], size: int) -> Iterator[Sequence[Source]]:
    return (sources[start : start + size] for start in range(0, len(sources), size))


def measure_speeds(
    model: PreparedModel,
    weights: str,
    groups: Sequence[SizeGroup],
    batch_size: int,
    repeats: int,
    megapixels: float | None = None,
) -> MeasuredSpeeds:
    """Measure shards of each group in turns and fit a line to each stage, all but the last group.

    Args:
        model: Model that segments the images.
        weights: Name of the weights.
        groups: Groups of images, from small to large ones; the last one is for the check.
        batch_size: Images segmented at once.
        repeats: Number of turns; the median counts.
        megapixels: Mean size of the images of a job; by default that of these images.

    Raises:
        UserError: An image cannot be read or segmented.
    """
    turns: list[list[SizeTimes]] = [[] for _ in groups]
    _measure(groups[0], model, batch_size)  # warms up
    for turn in range(repeats):
        numbers = range(len(groups))
        for number in numbers if turn % 2 == 0 else reversed(numbers):
            turns[number].append(_measure(groups[number], model, batch_size))
    *sizes, check = map(_median, turns)
    if megapixels is None:
        megapixels = statistics.fmean(
            [group.megapixels for group in groups], [len(group.sources) for group in groups]
        )
    speeds = _fitted(sizes, model, weights)
    return MeasuredSpeeds(speeds=speeds, sizes=sizes, check=check, megapixels=megapixels)


def _fitted(sizes: Sequence[SizeTimes], model: PreparedModel, weights: str) -> JobSpeeds:
    megapixels = [one.megapixels for one in sizes]
    on_gpu = [one.gpu for one in sizes if one.gpu is not None]
    return JobSpeeds(
        machine=f"{this_cpu().name}, {describe_device(_device_of(model))}",
        weights=weights,
        threads=model.threads,
        cores=processors(),
        stages={stage: fit_line(megapixels, [one.stages[stage] for one in sizes]) for stage in STAGES},
        gpu=fit_line(megapixels, on_gpu) if on_gpu else None,
        input_bytes=fit_line(megapixels, [one.input_bytes for one in sizes]),
        output_bytes=fit_line(megapixels, [one.output_bytes for one in sizes]),
        driver_seconds=statistics.fmean(one.driver_seconds for one in sizes),
        entry_bytes=entry_bytes(),
    )


def _median(turns: Sequence[SizeTimes]) -> SizeTimes:
    def median(value: Callable[[SizeTimes], float]) -> float:
        return statistics.median(map(value, turns))

    first = turns[0]
    return first.model_copy(
        update={
            "stages": {name: median(lambda one, name=name: one.stages[name]) for name in STAGES},  # type: ignore[misc]
            "gpu": None if first.gpu is None else median(lambda one: one.gpu or 0.0),
            "driver_seconds": median(lambda one: one.driver_seconds),
        }
    )


def _measure(group: SizeGroup, model: PreparedModel, batch_size: int) -> SizeTimes:
    """Make a shard of a group twice: stage by stage, and as `predict` does."""
    count = len(group.sources)
    with TemporaryDirectory() as name:
        folder = Path(name)
        stages, gpu = _stage_seconds(group.sources, model, batch_size, folder / "stages.tar")
        options = ShardOptions(folder, size=count, batch_size=batch_size)
        (shard,) = plan_shards(group.sources, options, shard_settings(model, options))
        several = [shard] * -(-LISTED // count)
        start = time.process_time()
        make_shard(shard, model, options, MIN_HELPERS)
        made = time.process_time()
        totals = write_manifest(several, folder / "manifest.jsonl", folder / "predictions.csv")
        listed = time.process_time()
        if totals.failed:
            raise UserError(
                f"{totals.failed // len(several)} of {count} images cannot be segmented; give others"
            )
        stages["other"] = max((made - start) - sum(stages.values()), 0.0)
        return SizeTimes(
            megapixels=group.megapixels,
            images=count,
            stages={stage: stages[stage] / count for stage in STAGES},
            gpu=None if gpu is None else gpu / count,
            input_bytes=group.bytes,
            output_bytes=shard.path.stat().st_size / count,
            driver_seconds=(listed - made) / (count * len(several)),
        )


def _stage_seconds(
    sources: Sequence[Source], model: PreparedModel, batch_size: int, path: Path
) -> tuple[dict[str, float], float | None]:
    """Return CPU seconds by stage of images one after another, and the seconds of a GPU."""
    seconds = dict.fromkeys(STAGES, 0.0)
    device = _device_of(model)
    clock, on_device = device_clock(device), 0.0

    @contextmanager
    def timed(stage: str) -> Iterator[None]:
        start = time.process_time()
        yield
        seconds[stage] += time.process_time() - start

    with shard_writer(path) as add:
        for chunk in _chunks(sources, batch_size):
            images: list[CaseImage] = []
            digests: list[str] = []
            for source in chunk:
                with timed("read"):
                    data = read_source(source)
                    digests.append(sha256(data).hexdigest())
                with timed("decode"):
                    images.append(decode_case(data, source, model.size))
            start = clock()
            with timed("network"):
                views = [image.view for image in images]
                found = model.segment([image.network_input for image in images], views.__getitem__)
            on_device += clock() - start
            for image, digest, segmentation in zip(images, digests, found, strict=True):
                with timed("post-processing"):
                    result = analyse(image, segmentation, model)
                    values, contours = values_and_contours(digest, result)
                with timed("write"):
                    add(ShardRow(0, {"source": image.name, **values}, contours, mask_png(result.mask)))
    return seconds, None if device.type == "cpu" else on_device


def _device_of(model: PreparedModel) -> torch.device:
    return model.device if isinstance(model.device, torch.device) else torch.device("cpu")


def entry_bytes() -> float:
    """Return the memory of the command per image of its list, for images in an object store."""
    tracemalloc.start()
    try:
        images = tuple(RemoteFile(f"s3://bucket/images/{number:09}.jpg") for number in range(ENTRIES))
        ordered = sorted(merged([ImageFiles(images)]).images, key=str)
        del images
        shards = list(plan_shards(ordered, ShardOptions(Path("results")), ""))
        pickled = [pickle.dumps(shard) for shard in shards]
        assert len(pickled) == len(shards)
        return tracemalloc.get_traced_memory()[1] / ENTRIES
    finally:
        tracemalloc.stop()
