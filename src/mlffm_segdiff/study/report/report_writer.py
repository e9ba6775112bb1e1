"""Writes the report of a study."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from mlffm_segdiff.files.atomic import require_writable_folder, write_text
from mlffm_segdiff.files.results_folder import listed_files, remove_results
from mlffm_segdiff.study.report import figure_sections as figures
from mlffm_segdiff.study.report import score_sections as scores
from mlffm_segdiff.study.report.document import Document
from mlffm_segdiff.study.report.given_properties import read_properties
from mlffm_segdiff.study.report.image_properties import MEASURED
from mlffm_segdiff.study.report.property_sections import add_properties
from mlffm_segdiff.study.report.study_results import StudyResults, read_results
from mlffm_segdiff.study.study_folder import scoring_codes, training_codes

FILES = "files.json"
"""Lists the files of the report; the next report removes those that it does not write again."""


def write_report(study_folder: Path, properties: Path | None = None) -> Path:
    """Write report.md, report.html, tables and figures from a study's files.

    An unfinished study gets a report on its finished cells that lists what is missing. Figures whose
    images or weights are not available are replaced by the reason.

    Args:
        study_folder: The study's folder.
        properties: CSV file with further properties of the images, see `read_properties`.

    Returns:
        The folder of the report: ``study_folder``/report.

    Raises:
        UserError: If the folder is not a study, a case table or the table of properties is damaged, or the
            report cannot be written.
    """
    study = read_results(study_folder)
    given: Mapping[str, pd.Series] = {}
    command = study.command
    if properties and len(study.scores):
        given = read_properties(properties, study.scores["id"].unique(), MEASURED)
        command += f" --properties {shlex.quote(str(properties))}"
    require_writable_folder(study.folder.report)
    document = Document(study.folder.report, study.plan.name, command)
    document.heading(f"Study {study.plan.name}", 1)
    document.text(
        f"{len(study.cells)} training runs: {len(study.variants)} variants on {', '.join(study.datasets)}; "
        f"baseline {study.baseline!r}; scored on {study.subject}. This page is written by: "
        f"{document.command}"
    )
    if len(study.scores):
        _add_sections(study, document, given)
    else:
        scores.add_state(study, document)
        document.text("No cell is finished yet: there are no scores.")
    document.write()
    listing = document.folder / FILES
    remove_results(document.folder, set(listed_files(listing)) - set(document.files))
    write_text(listing, json.dumps({"files": document.files}, indent=2) + "\n")
    return document.folder


def _add_sections(study: StudyResults, document: Document, given: Mapping[str, pd.Series]) -> None:
    compared = scores.main_comparisons(study)
    scores.add_verdicts(study, compared, document)
    scores.add_state(study, document)
    scores.add_scores(study, document)
    if study.plan.rank:
        scores.add_ranking(study, document)
    scores.add_baseline_comparisons(study, compared, document)
    scores.add_evaluations(study, document)
    scores.add_splits(study, document)
    figures.add_datasets(study, document)
    figures.add_curves(study, document)
    figures.add_areas(study, document)
    figures.add_worst_cases(study, document)
    figures.add_fusion_weights(study, document)
    add_properties(study, document, given)
    _add_reproduction(study, document)


def _add_reproduction(study: StudyResults, document: Document) -> None:
    """Add how to repeat a cell, and all threads, packages and code that the finished cells ran with."""
    versions: dict[str, set[str]] = {}
    for one in study.finished:
        account = one.folder.account()
        threads = {"threads per training": str(account["threads"])} if "threads" in account else {}
        for name, version in {**threads, "python": account["python"], **account["packages"]}.items():
            versions.setdefault(name, set()).add(version)
        versions.setdefault("training code", set()).update(training_codes(account))
        versions.setdefault("scoring code", set()).update(scoring_codes(account))
    shown = ", ".join(f"{name} {' and '.join(sorted(found))}" for name, found in versions.items())
    document.heading("How to repeat it")
    document.points(
        "plan.json in the study's folder has the full recipe, seed and split of each training; "
        "`mlffm-segdiff study repeat` trains one again and compares the weights.",
        "tables/ has each table as CSV, unrounded, and as LaTeX (package booktabs).",
        f"They ran with: {shown}.",
    )
    for kind, word in (("training code", "trained"), ("scoring code", "scored")):
        if len(versions[kind]) > 1:
            document.text(
                f"Cells were {word} by different versions of the code (see above): compare them with care."
            )
