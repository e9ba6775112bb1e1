"""Print the results table of docs/RESULTS.md from evaluated folders: results_table.py network NAME=FOLDER ...

The first argument is the resolution, network or source; each FOLDER is what `mlffm-segdiff evaluate` wrote.
"""

import json
import sys
from pathlib import Path

from mlffm_segdiff.evaluation.report import HEADLINE_HEADER, SUMMARY_FILE, headline_row, markdown_table
from mlffm_segdiff.metrics.intervals import Interval
from mlffm_segdiff.metrics.summary import Summary


def read_summary(folder: Path, resolution: str) -> Summary:
    """Return the summary that ``evaluate`` wrote into the folder."""
    found = json.loads((folder / SUMMARY_FILE).read_text("utf-8"))[resolution]
    intervals = {name: Interval(**interval) for name, interval in found["per_image"].items()}
    return Summary(found["cases"], intervals, found["pooled"])


def main(resolution: str, *results: str) -> None:
    """Print one row a result."""
    rows = []
    for result in results:
        name, _, folder = result.partition("=")
        rows.append(headline_row(name, read_summary(Path(folder), resolution)))
    print(markdown_table(HEADLINE_HEADER, rows), end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
