"""The calibration of a model on validation cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.progress import ShowProgress, no_progress
from mlffm_segdiff.config.schema import ANY_STYLE
from mlffm_segdiff.data.cache import CachedPairs
from mlffm_segdiff.data.image_quality import quality_limits
from mlffm_segdiff.data.sources import open_split
from mlffm_segdiff.evaluation.coverage import CoverageCase, coverage_case
from mlffm_segdiff.evaluation.model import evaluate_case, segment_cases
from mlffm_segdiff.evaluation.pipeline import EvaluatedModel, Evaluation
from mlffm_segdiff.files.atomic import require_writable_folder, sweep_unfinished
from mlffm_segdiff.inference.change import area_level
from mlffm_segdiff.metrics.case_bounds import LEVELS, CheckedCase, fit_bounds
from mlffm_segdiff.metrics.certainty import fit_calibration
from mlffm_segdiff.metrics.conformal import fewest_cases
from mlffm_segdiff.metrics.small_sets import LargerSet, fit_few_bounds
from mlffm_segdiff.segmenters.calibration import QUALITY, Quality, SetBounds, StyleCalibration
from mlffm_segdiff.segmenters.saved_weights import WEIGHTS, weights_digest, weights_folder

TRAINING_IMAGES = 2000
CALIBRATED_LEVELS = tuple(sorted({*LEVELS, *map(area_level, LEVELS)}))
"""The levels that are offered, and those that a change at these levels needs."""


def calibration_folder(weights: str | Path, part: str) -> Path:
    """Return the folder that `calibrate` writes to, before anything is evaluated.

    Args:
        weights: Run folder or weights folder.
        part: Part of the split that is evaluated.

    Raises:
        UserError: The part is not ``val``, or the weights are not in a folder that can be written.
    """
    folder = weights_folder(weights)
    if part != "val":
        raise UserError(
            f"--calibrate cannot use --part {part}: the network was fitted to the training images, and test "
            "images are for final scores only; use --part val"
        )
    if not folder.is_dir():
        raise UserError(f"{weights} is not a folder to write quality.json into; download the weights first")
    require_writable_folder(folder)
    return folder


def calibrate(found: Evaluation, folder: Path, show: ShowProgress = no_progress) -> Quality:
    """Write quality.json, from an evaluation on validation cases and from training images.

    With the style ``any``, the cases of each data set that the model has a style for are segmented again in
    that style, and calibrate it.

    Args:
        found: Evaluation of a model on the part ``val``.
        folder: Weights folder of that model, see `calibration_folder`.
        show: Shows the progress of a labelled step.

    Returns:
        The calibration.

    Raises:
        UserError: The evaluation is not one of a model on the part ``val``, or the file cannot be written.
    """
    model = found.model
    if model is None or model.part != "val":
        raise UserError("a calibration needs a model's evaluation on validation ids; use part='val'")
    size = model.recipe.data.size
    with show("reading training images") as progress:
        images = open_split(model.parts, "train", size, progress).images
    images = images[:: -(-len(images) // TRAINING_IMAGES)]
    pairs = open_split(model.parts, "val", size)
    own = {}
    sources = sorted({case.source for case in found.covered})
    for style in sources if model.sampling.style == ANY_STYLE else ():
        if style in model.segmenter.styles:
            own[style] = _in_style(style, model, pairs, show)
    styles = {model.sampling.style: calibrate_style(found.covered)}
    for style, cases in own.items():
        others = [case for name, found_in in own.items() if name != style for case in found_in]
        styles[style] = calibrate_style(cases, others)
    quality = Quality(
        sampling=model.sampling,
        sources=tuple(sorted(model.recipe.data.sources)),
        cases=len(found.judged),
        training_images=len(images),
        split=model.parts.digest,
        styles=styles,
        limits=quality_limits(images),
    )
    sweep_unfinished(folder)
    QUALITY.write(quality, folder, weights_digest(folder / WEIGHTS))
    return quality


def calibrate_style(cases: Sequence[CoverageCase], others: Sequence[CoverageCase] = ()) -> StyleCalibration:
    """Calibrate masks of one style: the expected Dice on all cases, the bounds on those of each source.

    Args:
        cases: Cases segmented in this style.
        others: Cases of other data sets, in their own styles; large sets lend the shape of their scores.
    """
    known = _by_source([*cases, *others])
    larger = {
        name: LargerSet.calibrated_on(checked, CALIBRATED_LEVELS)
        for name, checked in known.items()
        if len(checked) >= fewest_cases(CALIBRATED_LEVELS[-1])
    }
    sets = {source: _calibrate_set(known[source], larger) for source in sorted({c.source for c in cases})}
    checked = [case.checked for case in cases]
    curve = fit_calibration([one.certainty for one in checked], [one.dice for one in checked])
    return StyleCalibration(calibration=curve, sets=sets)


def level_lines(calibration: StyleCalibration) -> list[str]:
    """Return for each data set a line with its number of cases, its levels, and what others need."""
    lines = []
    for name, one in calibration.sets.items():
        shown = ", ".join(f"{100 * level:g}" for level in one.levels if level in LEVELS)
        missing = [level for level in LEVELS if level not in one.guaranteed]
        needs = ", ".join(f"{100 * level:g} % needs {fewest_cases(level)}" for level in missing)
        if one.lenders:
            borrowed = ", ".join(f"{100 * level:g}" for level in missing)
            needs = f"widened by {' and '.join(one.lenders)}" + (
                f", {borrowed} % not guaranteed" if missing else ""
            )
        intervals = f"intervals for {shown} %" if shown else "no intervals"
        used = name in calibration.cases or not shown
        unused = "" if used else f"; not used for style {ANY_STYLE}, as other data sets guarantee more levels"
        line = f"{name}: {one.cases} calibration cases, {intervals}"
        lines.append(line + (f"; {needs}" if needs else "") + unused)
    return lines


def _by_source(cases: Sequence[CoverageCase]) -> dict[str, list[CheckedCase]]:
    """Return the checked cases of each data set."""
    found: dict[str, list[CheckedCase]] = {}
    for case in cases:
        found.setdefault(case.source, []).append(case.checked)
    return found


def _calibrate_set(checked: Sequence[CheckedCase], larger: Mapping[str, LargerSet]) -> SetBounds:
    """Calibrate a data set by its own cases; a small one with the shape of the scores of larger ones."""
    fitted = {level: fit_bounds(checked, level) for level in CALIBRATED_LEVELS}
    levels = {level: bounds for level, bounds in fitted.items() if bounds is not None}
    if not larger or len(levels) in (0, len(fitted)):
        return SetBounds(cases=len(checked), levels=levels)
    lent = {level: fit_few_bounds(checked, list(larger.values()), level) for level in fitted}
    return SetBounds(cases=len(checked), levels=lent, lenders=tuple(sorted(larger)))


def _in_style(
    style: str, model: EvaluatedModel, pairs: CachedPairs, show: ShowProgress
) -> list[CoverageCase]:
    """Segment the validation cases of the data set called like the style, in this style."""
    cases = [case for case in model.parts.cases["val"] if model.parts.source[case.id] == style]
    sampling = model.sampling.model_copy(update={"style": style})
    how = (sampling, model.recipe.train.batch_size, model.device)
    found = []
    with show(f"segmenting in style {style}") as progress:
        for compared in segment_cases(model.segmenter, pairs, cases, *how):
            found.append(coverage_case(compared, evaluate_case(compared), style))
            progress(len(found), len(cases))
    return found
