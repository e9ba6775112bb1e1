"""Print our Jaccard index next to that of people with each other: human_ceiling.py AGREEMENT.csv CASES.csv

AGREEMENT.csv: columns id and mean_jaccard, the mean over pairs of human masks of the same image (IMA++).
CASES.csv is what `mlffm-segdiff evaluate` wrote.
"""

import csv
import sys
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from mlffm_segdiff.evaluation.report import markdown_table
from mlffm_segdiff.metrics.thirds import thirds

HEADER = ("test images", "cases", "people with each other", "ours with the data set's mask")


def read_column(path: Path, column: str) -> dict[str, float]:
    """Return a column of a CSV file by its column id."""
    with path.open(newline="", encoding="utf-8") as file:
        return {row["id"]: float(row[column]) for row in csv.DictReader(file)}


def main(agreement: str, cases: str) -> None:
    """Print a Markdown table of the images with several masks, in thirds by agreement, and of the others."""
    human, ours = read_column(Path(agreement), "mean_jaccard"), read_column(Path(cases), "network_jaccard")
    several = [case for case in ours if case in human]
    groups = {"all with several masks": several}
    places = thirds(np.array([human[case] for case in several]))
    for number, name in enumerate(("least agreed third", "middle third", "most agreed third")):
        groups[name] = [case for case, place in zip(several, places, strict=True) if place == number]
    groups["not in the agreement table"] = [case for case in ours if case not in human]
    rows = []
    for name, members in groups.items():
        known = [human[case] for case in members if case in human]
        people = f"{np.mean(known):.4f}" if known else ""
        rows.append((name, str(len(members)), people, f"{np.mean([ours[case] for case in members]):.4f}"))
    print(markdown_table(HEADER, rows), end="")
    rank = spearmanr([human[case] for case in several], [ours[case] for case in several]).statistic
    print(f"\nSpearman's rank correlation of the two over the {len(several)} images: {rank:.2f}.")


if __name__ == "__main__":
    main(*sys.argv[1:])
