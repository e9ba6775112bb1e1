"""What ``evaluate`` says and writes of the worth of a model's certainty."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlffm_segdiff.cli.common import Reporter
from mlffm_segdiff.config.errors import UserError

if TYPE_CHECKING:
    from mlffm_segdiff.config.schema import Recipe
    from mlffm_segdiff.data.sources import SplitCases
    from mlffm_segdiff.evaluation.quality import JudgedCase
    from mlffm_segdiff.segmenters.base import Sampling

TRAINING_PICTURES = 2000


def check_calibration(weights: str, part: str) -> Path:
    """Return the folder to write quality.json into. Raises UserError unless it can be made of this part."""
    from mlffm_segdiff.segmenters.pretrained import weights_folder

    folder = weights_folder(weights)
    if part != "val":
        raise UserError(
            f"--calibrate goes with --part val, not {part}: training ids flatter, test ids are for the end"
        )
    if not folder.is_dir():
        raise UserError(f"{weights} is no folder to write quality.json into; download the weights first")
    return folder


def report_quality(cases: "Sequence[JudgedCase]", folder: Path, reporter: Reporter) -> None:
    """Write quality.csv and the figures to the folder, and say how many bad masks doubt would catch."""
    from mlffm_segdiff.evaluation import quality_pictures
    from mlffm_segdiff.evaluation.pictures import save_figure
    from mlffm_segdiff.evaluation.quality import SHARES, caught_share, write_judged
    from mlffm_segdiff.metrics.overlap import JACCARD_THRESHOLD

    write_judged(cases, folder / "quality.csv")
    save_figure(quality_pictures.retention_figure(cases), folder / "retention.png")
    if all(case.expected_dice is not None for case in cases):
        save_figure(quality_pictures.reliability_figure(cases), folder / "reliability.png")
    bad = [case.jaccard < JACCARD_THRESHOLD for case in cases]
    if any(bad):
        caught = [caught_share([-case.certainty for case in cases], bad, share) or 0.0 for share in SHARES]
        reporter.info(
            f"bad masks (Jaccard below {JACCARD_THRESHOLD}): {sum(bad)}; among the least certain "
            + ", ".join(f"{share:.0%}: {part:.0%}" for share, part in zip(SHARES, caught, strict=True))
        )


def calibrate(
    folder: Path,
    cases: "Sequence[JudgedCase]",
    recipe: "Recipe",
    parts: "SplitCases",
    sampling: "Sampling",
    reporter: Reporter,
) -> None:
    """Write quality.json beside the weights in `folder`, from validation cases and training pictures."""
    from mlffm_segdiff.data.image_quality import quality_limits
    from mlffm_segdiff.data.sources import open_split
    from mlffm_segdiff.metrics.certainty import fit_calibration
    from mlffm_segdiff.segmenters.calibration import Quality, write_quality
    from mlffm_segdiff.segmenters.pretrained import WEIGHTS

    with reporter.progress("reading training pictures") as progress:
        pairs = open_split(parts, "train", recipe.data.size, progress)
    images = pairs.images[:: -(-len(pairs.images) // TRAINING_PICTURES)]
    quality = Quality(
        sampler=sampling.sampler,
        fusion=sampling.fusion,
        steps=sampling.steps,
        samples=sampling.samples,
        second_look=sampling.second_look,
        sources=tuple(sorted(recipe.data.sources)),
        cases=len(cases),
        training_pictures=len(images),
        split=parts.digest,
        calibration=fit_calibration([case.certainty for case in cases], [case.dice for case in cases]),
        limits=quality_limits(images),
    )
    path = write_quality(quality.tied_to(folder / WEIGHTS), folder)
    reporter.info(f"calibrated on {len(cases)} cases: {path}")
