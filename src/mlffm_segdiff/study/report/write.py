"""The report of a study: one Markdown page, one HTML page, tables and figures, from its files."""

from __future__ import annotations

from pathlib import Path

from mlffm_segdiff.data.atomic import atomic_write
from mlffm_segdiff.study.report import outcome_sections as outcome
from mlffm_segdiff.study.report import picture_sections as pictures
from mlffm_segdiff.study.report.draft import Draft
from mlffm_segdiff.study.report.page import Block, Heading, Paragraph, Points, html_page, markdown_page
from mlffm_segdiff.study.report.study import Kind, Studied, read_study

MARKDOWN_FILE, HTML_FILE = "report.md", "report.html"


def write_report(study_folder: Path, kind: Kind) -> Path:
    """Write report.md, report.html, tables and figures into the study's folder ``report``; return that.

    The study may be unfinished: the report says what is missing, and is of the rest. Figures that need images
    or weights that are not at hand are left out, with the reason in their place. Raises UserError where the
    folder holds no study, a case table is damaged, or the report cannot be written.
    """
    study = read_study(study_folder, kind)
    folder = study.folder.report
    blocks = report_blocks(study, Draft(folder, study.command))
    for name, text in (
        (MARKDOWN_FILE, markdown_page(blocks)),
        (HTML_FILE, html_page(study.lock.name, blocks)),
    ):
        with atomic_write(folder / name) as path:
            path.write_text(text, encoding="utf-8")
    return folder


def report_blocks(study: Studied, draft: Draft) -> list[Block]:
    """Return the sections of the report; tables and figures are written on the way."""
    head: list[Block] = [
        Heading(f"{study.lock.name}: {study.kind}", 1),
        Paragraph(
            f"{len(study.cells)} trainings: {len(study.variants)} {study.noun}s on "
            f"{', '.join(study.datasets)}; baseline {study.baseline!r}; scored on part {study.part!r}. "
            f"Code {study.lock.code}. This page is made by: {study.command}"
        ),
    ]
    if not len(study.scores):
        return [*head, *outcome.state_section(study, draft), Paragraph("No cell is finished yet: no scores.")]
    ranking = outcome.ranking_section(study, draft) if study.kind == "comparison" else []
    return [
        *head,
        *outcome.verdict_section(study),
        *outcome.state_section(study, draft),
        *outcome.score_section(study, draft),
        *ranking,
        *outcome.baseline_section(study, draft),
        *outcome.sampling_section(study, draft),
        *outcome.leak_section(study, draft),
        *pictures.dataset_section(study, draft),
        *pictures.curve_section(study, draft),
        *pictures.area_section(study, draft),
        *pictures.size_section(study, draft),
        *pictures.tone_section(study, draft),
        *pictures.gallery_section(study, draft),
        *pictures.fusion_section(study, draft),
        *_reproduce(study),
    ]


def _reproduce(study: Studied) -> list[Block]:
    return [
        Heading("To make it again"),
        Points(
            [
                "study.lock in the study's folder holds each training's full recipe, seed, split and code "
                "version.",
                "tables/ holds each table as CSV, unrounded, and as LaTeX (package booktabs).",
                f"{study.lock.threads} processor threads a training; "
                + ", ".join(f"{name} {version}" for name, version in _packages(study).items())
                + ".",
            ]
        ),
    ]


def _packages(study: Studied) -> dict[str, str]:
    """Return the versions that trained the finished cells, all that there are."""
    found: dict[str, dict[str, None]] = {}
    for record in (one.folder.record() for one in study.cells if one.finished):
        for name, version in {"python": record["python"], **record["packages"]}.items():
            found.setdefault(name, {})[version] = None
    return {name: " and ".join(versions) for name, versions in found.items()}
