"""Splits into train, val and test: lists of ids, made by group and stored as CSV."""

import hashlib
import random
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Case
from mlffm_segdiff.data.datasets.mask_names import id_hint
from mlffm_segdiff.files.atomic import require_writable_file, write_text
from mlffm_segdiff.files.csv_columns import read_rows
from mlffm_segdiff.files.csv_text import csv_table

SPLITS = ("train", "val", "test")
PART_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Part of each name that a split file may use, in any case."""
OFFICIAL = ("ham10000", "isic2018", "ph2")


def check_part(name: str) -> None:
    """Raise UserError for a name that is not one of SPLITS."""
    if name not in SPLITS:
        raise UserError(f"unknown part {name!r}; choose one of {', '.join(SPLITS)}")


@dataclass(frozen=True)
class Split:
    """The ids of the three parts, each sorted and without overlap."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]

    def ids(self, name: str) -> tuple[str, ...]:
        """Return the ids of `train`, `val` or `test`. Raises UserError for another name."""
        check_part(name)
        ids: tuple[str, ...] = getattr(self, name)
        return ids

    def digest(self) -> str:
        """Return 16 hexadecimal digits that change with any id or its part."""
        lines = "".join(f"{part},{key}\n" for part in SPLITS for key in sorted(self.ids(part)))
        return hashlib.sha256(lines.encode()).hexdigest()[:16]


def make_split(
    cases: Sequence[Case], sizes: tuple[int, int, int], seed: int = 0, exact: bool = True
) -> Split:
    """Split cases into train, val and test; the cases of a group stay together.

    Groups are sorted by name and shuffled; test, then val take each next group that still fits, and train
    takes the rest. The result does not depend on the order of the cases.

    Args:
        cases: Cases to split.
        sizes: Numbers of cases in train, val and test, which add up to all cases.
        seed: Seed of the shuffle.
        exact: Whether the sizes must be met exactly. Otherwise a part takes one more small group if that is
            nearer to its size, and no part is empty.

    Returns:
        The split.

    Raises:
        UserError: If the sizes do not add up, or cannot be filled with whole groups.
    """
    if sum(sizes) != len(cases) or min(sizes) < 0:
        shown = "/".join(map(str, sizes))
        raise UserError(f"sizes {shown} do not add up to the {len(cases)} cases; make them {len(cases)}")
    members: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        members[case.group].append(case.id)
    order = sorted(members)
    random.Random(seed).shuffle(order)
    if not exact and len(order) < len(SPLITS):
        raise UserError(f"{len(order)} group(s) cannot fill {', '.join(SPLITS)}; add cases or give a split")
    parts: dict[str, list[str]] = {}
    for part, size in zip(reversed(SPLITS), reversed(sizes), strict=True):
        others = len(SPLITS) - len(parts) - 1
        if exact:
            taken = _fill(order, members, size)
        else:
            taken = _fill_nearly(order, members, size, len(order) - others) if others else order
        parts[part] = [key for group in taken for key in members.pop(group)]
        order = [group for group in order if group in members]
        if exact and len(parts[part]) != size:
            raise UserError(f"whole groups cannot fill {part} with exactly {size} cases; try other sizes")
    return _split(parts)


def draw_validation(cases: Sequence[Case], share: float) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Draw about a share of training cases that validate, by group and with seed 0.

    Returns:
        The ids that train, and those that validate.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        members[case.group].append(case.id)
    order = sorted(members)
    random.Random(0).shuffle(order)
    drawn = _fill_nearly(order, members, max(1, round(share * len(cases))), len(order) - 1)
    val = {key for group in drawn for key in members[group]}
    ids = sorted(case.id for case in cases)
    return tuple(key for key in ids if key not in val), tuple(key for key in ids if key in val)


def ignore_groups(cases: Iterable[Case]) -> list[Case]:
    """Return the cases with a group each, so that `make_split` splits by image.

    Images of one lesion or patient are then in training and test, which inflates scores; such a split serves
    to measure by how much (see `leaked`).
    """
    return [replace(case, group=case.id) for case in cases]


def leaked(split: Split, groups: Mapping[str, str]) -> tuple[str, ...]:
    """Find the test cases whose group also has a case in train or val.

    Args:
        split: Ids of each part.
        groups: Group (lesion or patient) of each id.

    Returns:
        Ids of such test cases, sorted.
    """
    seen = {groups[key] for key in (*split.train, *split.val)}
    return tuple(sorted(key for key in split.test if groups[key] in seen))


def without_leaks(split: Split, groups: Mapping[str, str]) -> Split:
    """Remove train and val ids whose group also has a case in test.

    Args:
        split: Ids of each part.
        groups: Group (lesion or patient) of each id.

    Returns:
        Split with the same test ids.
    """
    tested = {groups[key] for key in split.test}
    train, val = (
        tuple(key for key in part if groups[key] not in tested) for part in (split.train, split.val)
    )
    return Split(train, val, split.test)


def _fill(order: Iterable[str], members: Mapping[str, Sequence[str]], capacity: int) -> list[str]:
    """Return the groups, in order, that fit into `capacity` cases."""
    taken = []
    for group in order:
        if len(members[group]) <= capacity:
            taken.append(group)
            capacity -= len(members[group])
    return taken


def _fill_nearly(
    order: Collection[str], members: Mapping[str, Sequence[str]], size: int, most: int
) -> list[str]:
    """Return one to `most` groups with about `size` cases."""
    taken = _fill(order, members, size)[:most]
    lacking = size - sum(len(members[group]) for group in taken)
    smallest = min(set(order) - set(taken), key=lambda group: (len(members[group]), group))
    if not taken or (len(taken) < most and abs(lacking - len(members[smallest])) < lacking):
        taken.append(smallest)
    return taken


def _split(parts: Mapping[str, Iterable[str]]) -> Split:
    return Split(*(tuple(sorted(parts.get(part, ()))) for part in SPLITS))


def official_split(name: str) -> Split:
    """Return the packaged split of a data set. Raises UserError if it has none."""
    if name not in OFFICIAL:
        raise UserError(
            f"no packaged split for {name!r} (only {', '.join(OFFICIAL)}); give one with --split FILE"
        )
    data = resources.files("mlffm_segdiff.data").joinpath("split_lists", f"{name}.csv").read_bytes()
    return _parse(data, f"{name}.csv")


def load_split(path: Path) -> Split:
    """Read a split from a CSV file with the columns id and part; other columns are ignored.

    Raises:
        UserError: If the file cannot be read, has an id twice, or has an unknown part.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"split file {path} cannot be read ({error.strerror}); check the path") from error
    return _parse(data, str(path))


def _parse(data: bytes, name: str) -> Split:
    parts: dict[str, list[str]] = {part: [] for part in SPLITS}
    lines: dict[str, list[int]] = defaultdict(list)
    for line, (key, given) in read_rows(data, f"split file {name}", ("id", "part")):
        part = PART_NAMES.get(given.lower())
        if part is None:
            raise UserError(
                f"split file {name}, line {line}: unknown part {given!r}; write one of {', '.join(SPLITS)}"
            )
        parts[part].append(key)
        lines[key].append(line)
    twice = [key for key, seen in lines.items() if len(seen) > 1]
    if twice:
        raise UserError(f"split file {name} names {_some(twice)} more than once; keep one line each")
    return _split(parts)


def save_split(split: Split, path: Path, groups: Mapping[str, str] | None = None) -> None:
    """Write a split as CSV with columns id and part, and group if `groups` is given.

    Args:
        split: Ids of each part.
        path: CSV file to write.
        groups: Group (lesion or patient) of each id; None leaves the column out.

    Raises:
        UserError: If the file cannot be written, or exists with other contents.
    """
    parts = sorted((key, part) for part in SPLITS for key in split.ids(part))
    header = ("id", "part") if groups is None else ("id", "part", "group")
    rows = ((*row, groups[row[0]]) if groups is not None else row for row in parts)
    text = csv_table(header, rows)
    require_writable_file(path)
    if path.exists() and path.read_bytes() != text.encode():
        raise UserError(
            f"{path} exists with other contents; choose another name, or delete it if nothing needs it"
        )
    write_text(path, text)


def select_cases(cases: Iterable[Case], ids: Sequence[str]) -> list[Case]:
    """Return the cases of `ids`, in that order. Raises UserError naming ids without a case."""
    known = {case.id: case for case in cases}
    absent = [key for key in ids if key not in known]
    if absent:
        raise UserError(
            f"{_some(absent)} of the {len(ids)} ids in the split have no image in the data; "
            + id_hint(absent[0], known, "complete the data or give your own --split FILE")
        )
    return [known[key] for key in ids]


def _some(ids: Sequence[str]) -> str:
    shown = ", ".join(ids[:5])
    return f"{len(ids)} id(s) ({shown}{', ...' if len(ids) > 5 else ''})"
