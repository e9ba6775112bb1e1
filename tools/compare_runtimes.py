"""How far each runtime's answers are from torch's in float32, and how long each takes.

    OMP_NUM_THREADS=1 python tools/compare_runtimes.py [--weights default] [--source isic2018=PATH]

Answers: the first cases of the source's test part (synthetic ones by default), with the recipe's sampling.
Times: the default segmentation (encode, one denoising step); runtimes take turns. The programs of
torch.export are run as torch reads them, uncompiled.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import torch

from mlffm_segdiff.benchmark.timing import Work, take_turns
from mlffm_segdiff.cli.common import choose_data
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.image_tensor import image_tensor, normalise_image
from mlffm_segdiff.data.sources import load_split_cases, open_split
from mlffm_segdiff.export.folder import read_export, write_export
from mlffm_segdiff.export.graph_cache import cached_export
from mlffm_segdiff.inference.model import load_model
from mlffm_segdiff.metrics.certainty import THRESHOLD
from mlffm_segdiff.metrics.overlap import count_pixels, jaccard, total
from mlffm_segdiff.segmenters.base import BaseSegmenter, segment_batch
from mlffm_segdiff.segmenters.device import device_clock
from mlffm_segdiff.segmenters.pretrained import Pretrained, load_pretrained

BATCH = 8
CPU = torch.device("cpu")
REFERENCE = "torch float32"


@dataclass(frozen=True)
class Cases:
    """Images at the network's size, NxSxSx3 uint8, and masks NxSxS bool."""

    images: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.bool_]


def contestants(pretrained: Pretrained) -> dict[str, BaseSegmenter]:
    """Return the weights on each runtime and precision that this machine has; says which it has not."""
    found: dict[str, BaseSegmenter] = {
        REFERENCE: load_model(pretrained, device=CPU).segmenter,
        "torch bf16": load_model(pretrained, precision="bf16", device=CPU).segmenter,
        "torch.export float32": run_program(pretrained),
    }
    for runtime in ("onnx", "openvino"):
        for precision in ("float32", "bf16"):
            try:
                graphs = read_export(cached_export(pretrained, runtime), precision)
            except UserError as error:
                print(f"left out: {runtime} {precision}: {error}")
            else:
                found[f"{runtime} {precision}"] = graphs.segmenter
    return found


def run_program(pretrained: Pretrained) -> BaseSegmenter:
    """Return the weights on programs of torch.export, written and read again."""
    with TemporaryDirectory() as outer:
        folder = Path(outer, "programs")
        write_export(pretrained, "torch", folder)
        graphs = {path.stem: torch.export.load(path).module() for path in folder.glob("*.pt2")}
    segmenter = Pretrained(recipe=pretrained.recipe.model_dump(mode="json")).segmenter.eval()
    segmenter.run_on(graphs)
    return segmenter


def load_cases(pretrained: Pretrained, sources: Sequence[str], count: int) -> Cases:
    """Return the first ``count`` cases of the test part."""
    recipe = choose_data(pretrained.recipe, sources, None)
    pairs = open_split(load_split_cases(recipe.data), "test", recipe.data.size)
    return Cases(np.array(pairs.images[:count]), pairs.masks[:count] > 0)


def answers(segmenter: BaseSegmenter, cases: Cases, sampling: SamplingConfig) -> npt.NDArray[np.float32]:
    """Return the probabilities, NxSxS."""
    parts = [
        segment_batch(segmenter, cases.images[at : at + BATCH], sampling, CPU).probability[:, 0].numpy()
        for at in range(0, len(cases.images), BATCH)
    ]
    return np.concatenate(parts)


def scores(probability: npt.NDArray[np.float32], cases: Cases) -> tuple[float, float]:
    """Return the Jaccard index pooled over all pixels, and its mean over the images."""
    counts = [count_pixels(p >= THRESHOLD, mask) for p, mask in zip(probability, cases.masks, strict=True)]
    return jaccard(total(counts)), float(np.mean([jaccard(one) for one in counts]))


def compare_answers(segmenters: Mapping[str, BaseSegmenter], cases: Cases, sampling: SamplingConfig) -> None:
    """Print how each runtime's probabilities and scores differ from the reference's."""
    found = {name: answers(segmenter, cases, sampling) for name, segmenter in segmenters.items()}
    pooled, mean = scores(found[REFERENCE], cases)
    print(
        f"\n{len(cases.images)} images, {sampling}; "
        f"Jaccard of {REFERENCE}: {pooled:.6f} pooled, {mean:.6f} mean"
    )
    print(f"{'':22}{'max |dp|':>10}{'mean |dp|':>11}{'d pooled J':>12}{'d mean J':>11}{'pixels moved':>14}")
    for name, probability in found.items():
        apart = np.abs(probability - found[REFERENCE])
        moved = np.mean((probability >= THRESHOLD) != (found[REFERENCE] >= THRESHOLD))
        changed = scores(probability, cases)
        print(
            f"{name:22}{apart.max():10.1e}{apart.mean():11.1e}"
            f"{changed[0] - pooled:+12.6f}{changed[1] - mean:+11.6f}{moved:14.1e}"
        )


def compare_times(segmenters: Mapping[str, BaseSegmenter], cases: Cases, batch: int, repeats: int) -> None:
    """Print the median time of a whole segmentation on each runtime."""
    rows = [number % len(cases.images) for number in range(batch)]
    image = normalise_image(image_tensor(cases.images[rows]))
    works: dict[str, Work] = {
        name: partial(segmenter.segment, image, SamplingConfig()) for name, segmenter in segmenters.items()
    }
    found = take_turns(works, repeats, device_clock(CPU))
    print(f"\nbatch {batch}, {torch.get_num_threads()} threads, medians of {repeats} turns")
    print(f"{'':22}{'ms':>9}{'least ms':>10}{'images/s':>10}{'of ' + REFERENCE:>18}")
    for name, timing in found.items():
        ratio = timing.median / found[REFERENCE].median
        print(
            f"{name:22}{1e3 * timing.median:9.1f}{1e3 * min(timing.seconds):10.1f}"
            f"{batch / timing.median:10.1f}{ratio:18.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--weights", default="default")
    parser.add_argument("--source", action="append", metavar="NAME=PATH", help="default: synthetic cases")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 16], help="none: no times")
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    pretrained = load_pretrained(chosen.weights)
    cases = load_cases(pretrained, chosen.source or ["synthetic"], chosen.images)
    segmenters = contestants(pretrained)
    compare_answers(segmenters, cases, pretrained.sampling)
    for batch in chosen.batches:
        compare_times(segmenters, cases, batch, chosen.repeats)


if __name__ == "__main__":
    main()
