"""Look through a data set for what would spoil training, and say it in a table.

A finding affects training where a pair is lost or wrong (a missing partner, an unreadable file, sizes that
differ, a picture or near-black in the mask's place, no lesion in any mask, an id of the split that is not
there) or where the parts are not independent (a group, or two images of one lesion, on both sides:
validation then chooses, and the test then praises, what was learnt by heart). An empty or full mask can be
right, and soft edges are cut at half the range, so those are only shown; so are ids that no part uses, and
likenesses where no split is given.
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
NOT_A_MASK = "mask is no mask"
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
"""Each kind of finding, in the order of the table, and whether it affects training."""

_BETWEEN = (26, 229)
_MANY = 0.05

Remark = tuple[str, str, str]


@dataclass(frozen=True)
class Finding:
    """All cases with one kind of trouble: `details[i]` says what is wrong with `ids[i]`."""

    kind: str
    ids: tuple[str, ...]
    details: tuple[str, ...]

    @property
    def affects_training(self) -> bool:
        """Whether training would be affected; see the module's text."""
        return AFFECTS_TRAINING[self.kind]


@dataclass(frozen=True)
class Report:
    """`pairs`: cases with an image and a mask. `findings`: those that affect training first."""

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
    """Decode every file of `cases` and report what is wrong with them, and with `split` if one is given.

    masks_without_image: ids, as `Pairing.masks_without_image` gives. progress: called with (done, total).
    """
    looks: list[_Look] = []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for look in pool.map(_look, cases):
            looks.append(look)
            if progress:
                progress(len(looks), len(cases))
    pairs = sum(case.mask is not None for case in cases)
    remarks = _weigh_empty([remark for look in looks for remark in look.remarks], pairs)
    remarks += [(MISSING_IMAGE, key, f"{key} has a mask and no image") for key in masks_without_image]
    remarks += _split_remarks(cases, split) if split else []
    remarks += _alike(cases, looks, split)
    return Report(pairs, _findings(remarks))


def report_rows(report: Report, shown: int = 3) -> list[tuple[str, str, str, str]]:
    """A table's rows: kind, count, `yes` or `no` for "affects training", and the first few details."""
    return [
        (
            finding.kind,
            str(len(finding.ids)),
            "yes" if finding.affects_training else "no",
            "; ".join(finding.details[:shown]) + ("; ..." if len(finding.ids) > shown else ""),
        )
        for finding in report.findings
    ]


def _weigh_empty(remarks: Sequence[Remark], pairs: int) -> list[Remark]:
    """`remarks`, where the empty masks become ALL_EMPTY if all `pairs` are empty: then 0 is not skin."""
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
class _Look:
    remarks: tuple[Remark, ...]
    fingerprint: Fingerprint | None


def _look(case: Case) -> _Look:
    try:
        image = decode_image(case.image.read(), str(case.image))
    except UserError as error:
        return _Look(((UNREADABLE, case.id, str(error)),), None)
    remarks = tuple((kind, case.id, text) for kind, text in _mask_trouble(case, image))
    return _Look(remarks, fingerprint(image))


def _mask_trouble(case: Case, image: npt.NDArray[np.uint8]) -> Iterator[tuple[str, str]]:
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
    yield from _value_trouble(gray, case.mask)


def _value_trouble(gray: npt.NDArray[np.uint8], mask: Entry) -> Iterator[tuple[str, str]]:
    """What is wrong with a mask's gray values: a picture's lie between the ends, soft edges are few."""
    values = np.flatnonzero(np.bincount(gray.ravel(), minlength=256))
    between = float(np.mean((gray >= _BETWEEN[0]) & (gray <= _BETWEEN[1])))
    if 0 < gray.max() < 128:
        yield NOT_A_MASK, f"{mask.name} has no gray value over {gray.max()} of 255"
    elif len(values) > 2 and between > _MANY:
        yield NOT_A_MASK, f"{mask.name} has {len(values)} gray values, {between:.0%} of it between the ends"
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


def _alike(cases: Sequence[Case], looks: Sequence[_Look], split: Split | None) -> list[Remark]:
    """Near-duplicates on two sides: of the split's parts, or of the groups where there is no split."""
    sides = _part_of(split) if split else {case.id: case.group for case in cases}
    kind = ALIKE_ACROSS if split else ALIKE
    seen = [
        (case.id, look.fingerprint)
        for case, look in zip(cases, looks, strict=True)
        if look.fingerprint is not None and case.id in sides
    ]
    pairs = near_duplicates([item for _, item in seen])
    names = ((seen[i][0], seen[j][0]) for i, j in pairs)
    return [
        (kind, f"{a} = {b}", f"{a} ({sides[a]}) = {b} ({sides[b]})") for a, b in names if sides[a] != sides[b]
    ]
