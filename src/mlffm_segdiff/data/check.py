"""Check a data set for problems that affect training.

A finding affects training if a pair is lost or wrong (a missing image or mask, an unreadable file, different
sizes, a mask whose values are not understood, training masks that are all empty or all full, perhaps inverted
masks, an id of the split that is not in the data), if there are too few cases for a split, or if the parts of
the split are not independent (a group, an image, or near-duplicate images, in two parts). Some empty or full
masks, soft edges, ids outside the split, an image twice in one part, and near-duplicates without a split are
only reported.

What training refuses or warns about is decided by the same functions: `read_pair`, `all_empty`, `all_full`,
`perhaps_inverted` and `Pairing.own_split`.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.progress import Progress
from mlffm_segdiff.data.case import Case
from mlffm_segdiff.data.check_report import (
    AFFECTS_TRAINING,
    ALIKE,
    ALIKE_ACROSS,
    ALL_EMPTY,
    ALL_FULL,
    EMPTY_MASK,
    FULL_MASK,
    GROUP_ACROSS,
    INVERTED,
    MISSING_IMAGE,
    NOT_IN_DATA,
    NOT_IN_SPLIT,
    SAME,
    SAME_ACROSS,
    SOFT_MASK,
    TOO_FEW,
    Finding,
    Report,
)
from mlffm_segdiff.data.datasets.mask_names import nearest
from mlffm_segdiff.data.datasets.pairing import Pairing
from mlffm_segdiff.data.duplicates import Fingerprint, fingerprint, near_duplicates, same_images
from mlffm_segdiff.data.mask_traits import MaskTraits, all_empty, all_full, perhaps_inverted
from mlffm_segdiff.data.read_pair import MISSING_MASK, UnfitCaseError, read_image, read_mask_of
from mlffm_segdiff.data.splits import SPLITS, Split
from mlffm_segdiff.machine.processors import processors

_NEAREST_FOR = 20
"""Number of missing masks for which the most similar name is searched, which is slow."""

Remark = tuple[str, str, str]


def check_pairing(found: Pairing, split: Split | None = None, progress: Progress | None = None) -> Report:
    """Check a data set and the split that training would use.

    Args:
        found: Images and masks of the data set.
        split: Your own split; by default the data set's own, or the one that training would draw.
        progress: Called with (done, total).
    """
    cases, too_few = found.cases(), []
    if split is None:
        try:
            split = found.own_split()
        except UserError as error:
            too_few = [(TOO_FEW, case.id, str(error)) for case in cases[:1]]
    return check_cases(cases, found.masks_without_image(), split, progress, too_few)


def check_cases(
    cases: Sequence[Case],
    masks_without_image: Sequence[str] = (),
    split: Split | None = None,
    progress: Progress | None = None,
    known: Sequence[Remark] = (),
) -> Report:
    """Decode every file and report problems of the cases and of the split.

    Args:
        cases: Cases to check.
        masks_without_image: Ids from `Pairing.masks_without_image`.
        split: Split to check, if any.
        progress: Called with (done, total).
        known: Findings made before: kind, id and detail of each.
    """
    inspections: list[_Inspection] = []
    with ThreadPoolExecutor(min(8, processors())) as pool:
        for found in pool.map(_inspect, cases):
            inspections.append(found)
            if progress:
                progress(len(inspections), len(cases))
    remarks = [*known, *(remark for found in inspections for remark in found.remarks)]
    lost = [
        case.id
        for case, found in zip(cases, inspections, strict=True)
        if case.mask is None and found.fingerprint is not None
    ]
    remarks += _missing_masks(lost, masks_without_image)
    remarks += [(MISSING_IMAGE, key, f"{key} has a mask and no image") for key in masks_without_image]
    remarks += _split_remarks(cases, split) if split else []
    remarks += _alike(cases, inspections, split)
    trained = set(split.train) if split and split.train else {case.id for case in cases}
    traits = [(case.id, found.traits) for case, found in zip(cases, inspections, strict=True) if found.traits]
    remarks = _mark_all_uniform(remarks, [one for key, one in traits if key in trained])
    if perhaps_inverted([one for _, one in traits]):
        inverted = [key for key, one in traits if one.corners and not one.full]
        remarks += [(INVERTED, key, f"{key} has lesion in all four corners") for key in inverted]
    return Report(sum(case.mask is not None for case in cases), _findings(remarks))


def _missing_masks(ids: Sequence[str], masks_without_image: Sequence[str]) -> Iterator[Remark]:
    for number, key in enumerate(ids):
        near = nearest(key, masks_without_image) if number < _NEAREST_FOR else None
        hint = "" if near is None else f" (the most similar name of a mask is {near})"
        yield MISSING_MASK, key, f"{key} has an image and no mask{hint}"


def _mark_all_uniform(remarks: Sequence[Remark], trained: Sequence[MaskTraits]) -> list[Remark]:
    """Replace EMPTY_MASK or FULL_MASK by ALL_EMPTY or ALL_FULL if all training masks are."""
    kinds = (
        {EMPTY_MASK: ALL_EMPTY} if all_empty(trained) else {FULL_MASK: ALL_FULL} if all_full(trained) else {}
    )
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
    fingerprint: Fingerprint | None = None
    traits: MaskTraits | None = None


def _inspect(case: Case) -> _Inspection:
    try:
        image = read_image(case)
    except UnfitCaseError as error:
        return _Inspection(((error.kind, case.id, str(error)),))
    return _inspect_mask(case, image, fingerprint(np.asarray(image)))


def _inspect_mask(case: Case, image: Image.Image, seen: Fingerprint) -> _Inspection:
    if case.mask is None:
        return _Inspection((), seen)
    try:
        mask = read_mask_of(case, image)
    except UnfitCaseError as error:
        return _Inspection(((error.kind, case.id, str(error)),), seen)
    traits, name = MaskTraits.of(mask.lesion), case.mask.name
    marks = {SOFT_MASK: mask.soft, EMPTY_MASK: traits.empty, FULL_MASK: traits.full}
    texts = {SOFT_MASK: f"{name} has {mask.levels} grey values, and is cut at half"}
    remarks = tuple((kind, case.id, texts.get(kind, name)) for kind, applies in marks.items() if applies)
    return _Inspection(remarks, seen, traits)


def _split_remarks(cases: Sequence[Case], split: Split) -> list[Remark]:
    part_of = _part_of(split)
    present = {case.id for case in cases}
    absent = [(key, part) for key, part in part_of.items() if key not in present]
    parts_of_group: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        if case.id in part_of:
            parts_of_group[case.group].add(part_of[case.id])
    return [
        *((NOT_IN_DATA, key, f"{key} ({part}){_file_name_hint(key, present)}") for key, part in absent),
        *((NOT_IN_SPLIT, case.id, case.id) for case in cases if case.id not in part_of),
        *(
            (GROUP_ACROSS, group, f"{group} ({', '.join(sorted(parts))})")
            for group, parts in parts_of_group.items()
            if len(parts) > 1
        ),
    ]


def _file_name_hint(key: str, present: Collection[str]) -> str:
    stem = Path(key).stem
    return f": write {stem}, without the extension" if stem in present else ""


def _part_of(split: Split) -> dict[str, str]:
    return {key: part for part in SPLITS for key in split.ids(part)}


def _alike(cases: Sequence[Case], inspections: Sequence[_Inspection], split: Split | None) -> list[Remark]:
    """Return repeated images, and near-duplicates in two parts, or without a split in two groups."""
    sides = _part_of(split) if split else {case.id: case.group for case in cases}
    across = (SAME_ACROSS, ALIKE_ACROSS) if split else (SAME, ALIKE)
    seen = [
        (case.id, found.fingerprint)
        for case, found in zip(cases, inspections, strict=True)
        if found.fingerprint is not None
    ]
    prints = [item for _, item in seen]
    remarks = []
    for same in same_images(prints):
        ids = [seen[index][0] for index in same]
        apart = len({sides[key] for key in ids if key in sides}) > 1
        remarks.append((across[0] if apart else SAME, " = ".join(ids), _sided(ids, sides)))
    for pair in near_duplicates(prints):
        ids = [seen[index][0] for index in pair]
        apart = len({sides[key] for key in ids if key in sides}) > 1
        if apart and prints[pair[0]].pixels != prints[pair[1]].pixels:
            remarks.append((across[1], " = ".join(ids), _sided(ids, sides)))
    return remarks


def _sided(ids: Sequence[str], sides: Mapping[str, str]) -> str:
    return " = ".join(f"{key} ({sides[key]})" if key in sides else key for key in ids)
