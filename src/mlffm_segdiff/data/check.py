"""Check a data set for problems that affect training.

A finding affects training if a pair is lost or wrong (a missing image or mask, an unreadable file, different
sizes, a photograph or a nearly black image instead of a mask, no lesion in any mask, an id of the split that
is not in the data), or if the parts of the split are not independent (a group, or near-duplicate images, in
two parts). Empty and full masks, soft edges, ids outside the split, and near-duplicates without a split are
only reported.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Case, Entry
from mlffm_segdiff.data.duplicates import Fingerprint, fingerprint, near_duplicates
from mlffm_segdiff.data.files import decode_gray, decode_image, extent
from mlffm_segdiff.data.progress import Progress
from mlffm_segdiff.data.splits import SPLITS, Split

MISSING_MASK = "missing mask"
MISSING_IMAGE = "missing image"
UNREADABLE = "unreadable file"
SIZE_MISMATCH = "image and mask differ in size"
NOT_A_MASK = "not a mask"
SOFT_MASK = "mask not two-valued"
ALL_EMPTY = "every mask is empty"
EMPTY_MASK = "empty mask"
FULL_MASK = "full mask"
NOT_IN_DATA = "in the split, not in the data"
NOT_IN_SPLIT = "in the data, not in the split"
GROUP_ACROSS = "group in two parts"
ALIKE_ACROSS = "near-duplicates in two parts"
ALIKE = "near-duplicates in two groups"

AFFECTS_TRAINING: Mapping[str, bool] = {
    MISSING_MASK: True,
    MISSING_IMAGE: True,
    UNREADABLE: True,
    SIZE_MISMATCH: True,
    NOT_A_MASK: True,
    ALL_EMPTY: True,
    NOT_IN_DATA: True,
    GROUP_ACROSS: True,
    ALIKE_ACROSS: True,
    SOFT_MASK: False,
    EMPTY_MASK: False,
    FULL_MASK: False,
    NOT_IN_SPLIT: False,
    ALIKE: False,
}
"""Kinds of findings, in the order of the table, and whether they affect training."""

_BETWEEN = (26, 229)
_MANY = 0.05

Remark = tuple[str, str, str]


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
    def affects_training(self) -> bool:
        """Whether any finding would affect training."""
        return any(finding.affects_training for finding in self.findings)


def check_cases(
    cases: Sequence[Case],
    masks_without_image: Sequence[str] = (),
    split: Split | None = None,
    progress: Progress | None = None,
) -> Report:
    """Decode every file and report problems of the cases and of the split.

    Args:
        cases: Cases to check.
        masks_without_image: Ids from `Pairing.masks_without_image`.
        split: Split to check, if any.
        progress: Called with (done, total).
    """
    inspections: list[_Inspection] = []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for found in pool.map(_inspect, cases):
            inspections.append(found)
            if progress:
                progress(len(inspections), len(cases))
    pairs = sum(case.mask is not None for case in cases)
    remarks = _mark_all_empty([remark for found in inspections for remark in found.remarks], pairs)
    remarks += [(MISSING_IMAGE, key, f"{key} has a mask and no image") for key in masks_without_image]
    remarks += _split_remarks(cases, split) if split else []
    remarks += _alike(cases, inspections, split)
    return Report(pairs, _findings(remarks))


def report_rows(report: Report, shown: int = 3) -> list[tuple[str, str, str, str]]:
    """Return table rows: kind, count, `yes` or `no` for "affects training", and the first details."""
    return [
        (
            finding.kind,
            str(len(finding.ids)),
            "yes" if finding.affects_training else "no",
            "; ".join(finding.details[:shown]) + ("; ..." if len(finding.ids) > shown else ""),
        )
        for finding in report.findings
    ]


def _mark_all_empty(remarks: Sequence[Remark], pairs: int) -> list[Remark]:
    """Replace EMPTY_MASK by ALL_EMPTY if all masks are empty."""
    empty = sum(kind == EMPTY_MASK for kind, *_ in remarks)
    kinds = {EMPTY_MASK: ALL_EMPTY} if empty == pairs else {}
    return [(kinds.get(kind, kind), key, text) for kind, key, text in remarks]


def _findings(remarks: Iterable[Remark]) -> tuple[Finding, ...]:
    by_kind: dict[str, list[Remark]] = defaultdict(list)
    for remark in remarks:
        by_kind[remark[0]].append(remark)
    return tuple(
        Finding(kind, tuple(key for _, key, _ in by_kind[kind]), tuple(text for *_, text in by_kind[kind]))
        for kind in AFFECTS_TRAINING
        if kind in by_kind
    )


@dataclass(frozen=True)
class _Inspection:
    remarks: tuple[Remark, ...]
    fingerprint: Fingerprint | None


def _inspect(case: Case) -> _Inspection:
    try:
        image = decode_image(case.image.read(), str(case.image))
    except UserError as error:
        return _Inspection(((UNREADABLE, case.id, str(error)),), None)
    remarks = tuple((kind, case.id, text) for kind, text in _mask_problems(case, image))
    return _Inspection(remarks, fingerprint(image))


def _mask_problems(case: Case, image: npt.NDArray[np.uint8]) -> Iterator[tuple[str, str]]:
    if case.mask is None:
        yield MISSING_MASK, f"{case.id} has an image and no mask"
        return
    try:
        gray = decode_gray(case.mask.read(), str(case.mask))
    except UserError as error:
        yield UNREADABLE, str(error)
        return
    if gray.shape != image.shape[:2]:
        yield SIZE_MISMATCH, f"{case.id}: image {extent(image)}, mask {extent(gray)}"
    yield from _value_problems(gray, case.mask)


def _value_problems(gray: npt.NDArray[np.uint8], mask: Entry) -> Iterator[tuple[str, str]]:
    """Yield problems of gray values: in a photograph many are between black and white, in soft edges few."""
    values = np.flatnonzero(np.bincount(gray.ravel(), minlength=256))
    between = float(np.mean((gray >= _BETWEEN[0]) & (gray <= _BETWEEN[1])))
    if 0 < gray.max() < 128:
        yield NOT_A_MASK, f"{mask.name} has no gray value over {gray.max()} of 255"
    elif len(values) > 2 and between > _MANY:
        yield (
            NOT_A_MASK,
            f"{mask.name} has {len(values)} gray values, {between:.0%} of pixels are gray",
        )
    elif len(values) > 2:
        yield SOFT_MASK, f"{mask.name} has {len(values)} gray values"
    if gray.max() == 0:
        yield EMPTY_MASK, mask.name
    elif gray.min() >= 128:
        yield FULL_MASK, mask.name


def _split_remarks(cases: Sequence[Case], split: Split) -> list[Remark]:
    part_of = _part_of(split)
    present = {case.id for case in cases}
    parts_of_group: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        if case.id in part_of:
            parts_of_group[case.group].add(part_of[case.id])
    return [
        *((NOT_IN_DATA, key, f"{key} ({part})") for key, part in part_of.items() if key not in present),
        *((NOT_IN_SPLIT, case.id, case.id) for case in cases if case.id not in part_of),
        *(
            (GROUP_ACROSS, group, f"{group} ({', '.join(sorted(parts))})")
            for group, parts in parts_of_group.items()
            if len(parts) > 1
        ),
    ]


def _part_of(split: Split) -> dict[str, str]:
    return {key: part for part in SPLITS for key in split.ids(part)}


def _alike(cases: Sequence[Case], inspections: Sequence[_Inspection], split: Split | None) -> list[Remark]:
    """Return near-duplicates in two parts of the split, or in two groups if there is no split."""
    sides = _part_of(split) if split else {case.id: case.group for case in cases}
    kind = ALIKE_ACROSS if split else ALIKE
    seen = [
        (case.id, found.fingerprint)
        for case, found in zip(cases, inspections, strict=True)
        if found.fingerprint is not None and case.id in sides
    ]
    pairs = near_duplicates([item for _, item in seen])
    names = ((seen[i][0], seen[j][0]) for i, j in pairs)
    return [
        (kind, f"{a} = {b}", f"{a} ({sides[a]}) = {b} ({sides[b]})") for a, b in names if sides[a] != sides[b]
    ]
