"""The findings of a check of a data set, by kind."""

from collections.abc import Mapping
from dataclasses import dataclass

from mlffm_segdiff.data.datasets.mask_names import ACCEPTED
from mlffm_segdiff.data.read_pair import MISSING_MASK, NOT_A_MASK, SIZE_MISMATCH, UNREADABLE

MISSING_IMAGE = "missing image"
SOFT_MASK = "mask not two-valued"
ALL_EMPTY = "every mask is empty"
ALL_FULL = "every mask is full"
INVERTED = "perhaps inverted"
EMPTY_MASK = "empty mask"
FULL_MASK = "full mask"
TOO_FEW = "too few cases to split"
NOT_IN_DATA = "in the split, not in the data"
NOT_IN_SPLIT = "in the data, not in the split"
GROUP_ACROSS = "group in two parts"
SAME_ACROSS = "same image in two parts"
SAME = "same image twice"
ALIKE_ACROSS = "near-duplicates in two parts"
ALIKE = "near-duplicates in two groups"

AFFECTS_TRAINING: Mapping[str, bool] = {
    MISSING_MASK: True,
    MISSING_IMAGE: True,
    UNREADABLE: True,
    SIZE_MISMATCH: True,
    NOT_A_MASK: True,
    ALL_EMPTY: True,
    ALL_FULL: True,
    INVERTED: True,
    TOO_FEW: True,
    NOT_IN_DATA: True,
    GROUP_ACROSS: True,
    SAME_ACROSS: True,
    ALIKE_ACROSS: True,
    SOFT_MASK: False,
    EMPTY_MASK: False,
    FULL_MASK: False,
    NOT_IN_SPLIT: False,
    SAME: False,
    ALIKE: False,
}
"""Kinds of findings, in the order of the table, and whether they affect training."""


@dataclass(frozen=True)
class Finding:
    """All cases with one kind of problem; `details[i]` describes the problem of `ids[i]`."""

    kind: str
    ids: tuple[str, ...]
    details: tuple[str, ...]

    @property
    def affects_training(self) -> bool:
        """Whether training would be affected; see the module's documentation."""
        return AFFECTS_TRAINING[self.kind]


@dataclass(frozen=True)
class Report:
    """The result of a check.

    Attributes:
        pairs: Number of cases with an image and a mask.
        findings: Findings; those that affect training come first.
    """

    pairs: int
    findings: tuple[Finding, ...]

    @property
    def hint(self) -> str:
        """How masks are named, if masks and images lack partners."""
        lost = {MISSING_MASK, MISSING_IMAGE} <= {finding.kind for finding in self.findings}
        return ACCEPTED if lost else ""

    @property
    def affects_training(self) -> bool:
        """Whether any finding would affect training."""
        return any(finding.affects_training for finding in self.findings)


def report_rows(report: Report, shown: int = 3) -> list[tuple[str, str, str, str]]:
    """Return table rows: kind, count, `yes` or `no` for "affects training", and the first details.

    Args:
        report: Findings of a check.
        shown: Details shown of each finding.
    """
    return [
        (
            finding.kind,
            str(len(finding.ids)),
            "yes" if finding.affects_training else "no",
            "; ".join(finding.details[:shown]) + ("; ..." if len(finding.ids) > shown else ""),
        )
        for finding in report.findings
    ]
