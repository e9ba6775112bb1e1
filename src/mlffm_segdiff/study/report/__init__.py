"""The report of a study: tables and figures as Markdown, HTML, CSV, LaTeX and PNG."""

from mlffm_segdiff.study.report.report_writer import write_report
from mlffm_segdiff.study.report.study_results import StudyResults, read_results

__all__ = ["StudyResults", "read_results", "write_report"]
