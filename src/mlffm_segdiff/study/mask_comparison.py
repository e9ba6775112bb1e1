"""Compares methods by folders of their masks, of any program, against one ground truth."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from mlffm_segdiff.config.errors import UserError, partly_written
from mlffm_segdiff.config.paths import expanded, require_mapping
from mlffm_segdiff.config.progress import Progress, ShowProgress, no_progress
from mlffm_segdiff.config.schema import MissingMasks
from mlffm_segdiff.config.study import title
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.datasets.mask_names import pair_ids
from mlffm_segdiff.data.files import decode_mask, decode_pil
from mlffm_segdiff.data.view import view_of
from mlffm_segdiff.evaluation.figures import OutlinedCase
from mlffm_segdiff.evaluation.folders import first_ids, masks_by_id
from mlffm_segdiff.files.atomic import write_text
from mlffm_segdiff.files.claim import claimed_results
from mlffm_segdiff.files.results_folder import listed_files, remove_results, require_outside, require_own
from mlffm_segdiff.study.mask_folders import MaskRuns, find_runs, load_prediction, score_runs
from mlffm_segdiff.study.report.comparisons import Comparison
from mlffm_segdiff.study.report.document import frame_csv
from mlffm_segdiff.study.report.given_properties import read_properties
from mlffm_segdiff.study.report.image_properties import SIZE
from mlffm_segdiff.study.report.mask_report import Outline, write_mask_report
from mlffm_segdiff.study.report.score_sections import main_comparisons, sentence
from mlffm_segdiff.study.report.scored_variants import ScoredVariants
from mlffm_segdiff.study.score_frame import SCORE_COLUMNS

FACTS_FILE = "comparison.json"
SCORES_FILE = "scores.csv"
RESULTS = (FACTS_FILE, SCORES_FILE, "report.md", "report.html")
FOLDERS = ("tables", "figures")

MaskFolders = Mapping[str, str | Path | Sequence[str | Path]]
"""Folders of masks by method: one, or one per run."""


@dataclass(frozen=True)
class MaskComparison:
    """Result of `compare`.

    Attributes:
        folder: The folder of the report.
        scored: The scores of every image, run and method.
        facts: The content of comparison.json.
    """

    folder: Path
    scored: ScoredVariants
    facts: Mapping[str, Any]


def compare(
    masks: MaskFolders,
    truth: str | Path,
    output: str | Path,
    *,
    properties: str | Path | None = None,
    images: str | Path | None = None,
    baseline: str | None = None,
    missing: MissingMasks = "error",
    show: ShowProgress = no_progress,
) -> MaskComparison:
    """Score the masks of several methods on the same images, and write a report of what differs.

    Masks are matched by name, as `evaluate_masks` does. A mask of another size than its ground truth is
    resized to it by nearest neighbour, which the report states.

    Args:
        masks: Folders of masks by method. Several folders of one method are its runs, such as training seeds.
        truth: Folder of the ground truth.
        output: Folder of the report. Its name is the name of the data set in the report. Files of an earlier
            comparison there are replaced.
        properties: CSV with a column id and one for each property of the images, such as age or site, for
            scores by property: numbers are grouped in thirds, texts are the groups.
        images: Folder of the images, to draw the worst cases on them.
        baseline: The method that the others are compared with; by default the first one.
        missing: Treatment of images of which a folder has no mask: ``error`` refuses them, ``empty``
            scores them as empty masks, ``skip`` leaves them out for every method.
        show: Shows the progress of a labelled step.

    Returns:
        The scores, and the folder of the report.

    Raises:
        UserError: There are fewer than two methods, a folder or table cannot be used, or the output folder
            has other files; nothing was written.
        StoppedError: A file cannot be written.
    """
    require_mapping("masks", masks, "{'ours': 'masks/ours', 'theirs': 'masks/theirs'}")
    if missing not in get_args(MissingMasks):
        raise UserError(f"missing={missing!r} is unknown; choose one of {', '.join(get_args(MissingMasks))}")
    truth, output = expanded(truth), expanded(output)
    folders = {
        name: list(map(expanded, given if isinstance(given, list | tuple) else [given]))
        for name, given in masks.items()
    }
    _check_methods(folders, baseline)
    inputs = [truth, *(one for several in folders.values() for one in several)]
    if images is not None:
        inputs.append(expanded(images))
    require_outside(output, inputs)
    _require_own_results(output)
    found = find_runs(folders, truth, missing)
    given: dict[str, pd.Series] = {}
    if properties is not None:
        given = read_properties(expanded(properties), found.truths, [SIZE])
    found_images = {} if images is None else _find_images(expanded(images), found.truths)
    options = {"--properties": properties, "--images": images, "--baseline": baseline, "--missing": missing}
    command = _command(folders, truth, output, options)
    with show("scoring") as progress:
        scored = _score(found, baseline, output.resolve().name, command, progress)
    compared = main_comparisons(scored)
    facts = {
        "command": command,
        "methods": {method: list(map(str, several)) for method, several in folders.items()},
        "truth": str(truth),
        "missing": missing,
        "baseline": scored.variants[0],
        "images": len(found.truths),
        "left_out": found.left_out,
        "notes": _notes(found, scored.scores),
        "verdicts": [sentence(one, scored) for one in compared],
    }
    outline = partial(_outline, found, scored, found_images)
    files = _write(MaskComparison(output, scored, facts), compared, outline, given)
    return MaskComparison(output, scored, {**facts, "files": files})


def _score(
    found: MaskRuns, baseline: str | None, folder_name: str, command: str, progress: Progress
) -> ScoredVariants:
    """Score the masks; the first variant is the baseline, by default the first method."""
    name = re.sub(r"[^\w.-]", "_", folder_name)
    methods = list(dict.fromkeys(run.method for run in found.runs))
    first = baseline or methods[0]
    return ScoredVariants(
        scores=score_runs(found, name, progress),
        variants=sorted(methods, key=lambda method: method != first),
        datasets=[name],
        against={},
        subject=f"{len(found.truths)} images",
        command=command,
        noun="method",
    )


def _write(
    found: MaskComparison,
    compared: Sequence[Comparison],
    outline: Outline,
    properties: Mapping[str, pd.Series],
) -> list[str]:
    """Replace the files of an earlier comparison, and return the new ones."""

    def write_facts(files: Sequence[str]) -> None:
        text = json.dumps({**found.facts, "files": files}, indent=2, ensure_ascii=False)
        write_text(found.folder / FACTS_FILE, f"{text}\n")

    with claimed_results(found.folder), partly_written():
        own = _require_own_results(found.folder)  # another comparison may have written some since
        remove_results(found.folder, [name for name in own if name not in (FACTS_FILE, *FOLDERS)])
        write_facts(RESULTS)  # so that the next comparison may replace the files of one that was killed
        notes = found.facts["notes"]
        written = write_mask_report(found.scored, compared, found.folder, notes, outline, properties)
        write_text(found.folder / SCORES_FILE, _scores_csv(found.scored.scores))
        files = [FACTS_FILE, SCORES_FILE, *written]
        write_facts(files)
    return files


def _require_own_results(folder: Path) -> list[str]:
    """Return the files of an earlier comparison. Raises UserError if other files would be overwritten."""
    own = listed_files(folder / FACTS_FILE)
    own += FOLDERS if own else ()
    require_own(folder, [*RESULTS, *FOLDERS], own)
    return own


def _check_methods(folders: Mapping[str, Sequence[Path]], baseline: str | None) -> None:
    for method in folders:
        try:
            title(method)
        except ValueError as error:
            raise UserError(f"method {error}") from None
        if not folders[method]:
            raise UserError(f"method {method!r} has no folder of masks; add one, or leave the method out")
    by_text = {method.casefold(): method for method in folders}
    for method in folders:
        if by_text[method.casefold()] != method:
            raise UserError(
                f"{method!r} and {by_text[method.casefold()]!r} differ only in capital letters; rename one"
            )
    if len(folders) < 2:
        raise UserError(
            f"a comparison needs two methods, but {', '.join(folders) or 'none'} is given; add another "
            "folder under another name, or use: mlffm-segdiff evaluate --masks FOLDER --truth FOLDER"
        )
    if baseline is not None and baseline not in folders:
        raise UserError(f"the baseline {baseline!r} is not a method; choose one of {', '.join(folders)}")


def _find_images(folder: Path, truths: Mapping[str, Entry]) -> dict[str, Entry]:
    """Return the images of the ground truth in a folder. Raises UserError if it has none."""
    entries = masks_by_id(folder, truths)
    found = {key: entries[name] for key, name in pair_ids(truths, entries).items()}
    if not found:
        raise UserError(f"no image in {folder} has the name of a ground truth; give the folder of the images")
    return found


def _command(
    folders: Mapping[str, Sequence[Path]], truth: Path, output: Path, options: Mapping[str, object]
) -> str:
    words = ["mlffm-segdiff", "compare"]
    for method, several in folders.items():
        for folder in several:
            words += ["--masks", f"{method}={folder}"]
    words += ["--truth", str(truth)]
    for option, value in options.items():
        if value is not None and (option, value) != ("--missing", "error"):
            words += [option, str(value)]
    return shlex.join([*words, "-o", str(output)])


def _notes(found: MaskRuns, scores: pd.DataFrame) -> list[str]:
    """Return notes on missing, resized and extra masks, one sentence per run."""
    notes = []
    for run in found.runs:
        own = scores[(scores["variant"] == run.method) & (scores["seed"] == run.number)]
        resized = int((own["note"] == "resized").sum())
        facts = [f"{len(own)} images scored"]
        if run.missing:
            what = "left out for every method" if found.left_out else "scored as empty masks"
            facts.append(f"{len(run.missing)} without a mask, {what} ({first_ids(run.missing)})")
        if resized:
            facts.append(f"{resized} masks resized to the ground truth by nearest neighbour")
        if run.extra:
            facts.append(f"{len(run.extra)} masks without ground truth ignored ({first_ids(run.extra)})")
        notes.append(f"{run.method}, seed {run.number} ({run.folder}): {'; '.join(facts)}.")
    counts = {run.method: run.number + 1 for run in found.runs}
    if len(set(counts.values())) > 1:
        notes.append(
            "Methods have different numbers of runs. Each comparison uses the runs that both have; the "
            f"ranking uses the first {min(counts.values())}; tables of scores use all."
        )
    return notes


def _outline(
    found: MaskRuns, scored: ScoredVariants, images: Mapping[str, Entry], ids: Sequence[str]
) -> dict[str, list[OutlinedCase]]:
    """Return the outlines of images by each method's first run."""
    first = {run.method: run for run in found.runs if run.number == 0}
    rows = scored.scores[scored.scores["seed"] == 0].set_index(["variant", "id"])["jaccard"]
    outlined: dict[str, list[OutlinedCase]] = {method: [] for method in scored.variants}
    for key in ids:
        entry = found.truths[key]
        truth = decode_mask(entry.read(), str(entry))
        image = view_of(decode_pil(images[key].read(), str(images[key]))) if key in images else None
        for method, cases in outlined.items():
            predicted, _ = load_prediction(first[method], key, truth)
            cases.append(OutlinedCase(key, truth, predicted, float(rows[method, key]), image))
    return outlined


def _scores_csv(scores: pd.DataFrame) -> str:
    table = scores.rename(columns={"variant": "method"})
    return frame_csv(table[["method", "seed", "id", "note", *SCORE_COLUMNS]])
