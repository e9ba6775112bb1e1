"""Which cases train, validate and test: id lists, made once by group and committed as CSV."""

import csv
import hashlib
import io
import random
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.atomic import atomic_write
from mlffm_segdiff.data.case import Case
from mlffm_segdiff.data.csv_columns import read_rows

SPLITS = ("train", "val", "test")
OFFICIAL = ("ham10000", "isic2018", "ph2")


@dataclass(frozen=True)
class Split:
    """The ids of the three parts, each sorted; no id is in two."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]

    def ids(self, name: str) -> tuple[str, ...]:
        """The ids of `train`, `val` or `test`. Raises UserError on another name."""
        if name not in SPLITS:
            raise UserError(f"unknown part {name!r}; choose one of {', '.join(SPLITS)}")
        ids: tuple[str, ...] = getattr(self, name)
        return ids

    def digest(self) -> str:
        """16 hexadecimal digits that change with any id or its part."""
        lines = "".join(f"{part},{key}\n" for part in SPLITS for key in sorted(self.ids(part)))
        return hashlib.sha256(lines.encode()).hexdigest()[:16]


def make_split(
    cases: Sequence[Case], sizes: tuple[int, int, int], seed: int = 0, exact: bool = True
) -> Split:
    """Parts of `sizes` cases (train, val, test); the cases of a group stay together.

    Groups are sorted by name and shuffled; test, then validation take each next group that still fits,
    training takes the rest. The same cases and seed give the same split, in whatever order they come.
    Where `exact` is False, sizes are only aimed at: a part takes one small group more where that comes
    nearer, and none stays empty.
    Raises UserError if the sizes do not add up, whole groups cannot fill them, or for not exact ones there
    are fewer groups than parts.
    """
    if sum(sizes) != len(cases) or min(sizes) < 0:
        raise UserError(f"split sizes {sizes} do not add up to the {len(cases)} cases")
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


def ignore_groups(cases: Iterable[Case]) -> list[Case]:
    """The cases, each a group of its own: what `make_split` needs to split by image.

    Images of one lesion or patient then land in training and test alike, which flatters scores: such a
    split is for measuring by how much (see `leaked`).
    """
    return [replace(case, group=case.id) for case in cases]


def leaked(split: Split, groups: Mapping[str, str]) -> tuple[str, ...]:
    """The test ids whose group also has a case in train or val, sorted. groups: by id, of all ids."""
    seen = {groups[key] for key in (*split.train, *split.val)}
    return tuple(sorted(key for key in split.test if groups[key] in seen))


def without_leaks(split: Split, groups: Mapping[str, str]) -> Split:
    """The split less the train and val ids whose group also has a case in test. groups: by id, of all ids."""
    tested = {groups[key] for key in split.test}
    train, val = (
        tuple(key for key in part if groups[key] not in tested) for part in (split.train, split.val)
    )
    return Split(train, val, split.test)


def _fill(order: Iterable[str], members: Mapping[str, Sequence[str]], room: int) -> list[str]:
    """The groups, in order, that fit into `room` cases."""
    taken = []
    for group in order:
        if len(members[group]) <= room:
            taken.append(group)
            room -= len(members[group])
    return taken


def _fill_nearly(
    order: Collection[str], members: Mapping[str, Sequence[str]], room: int, most: int
) -> list[str]:
    """One to `most` groups that come near to `room` cases."""
    taken = _fill(order, members, room)[:most]
    lacking = room - sum(len(members[group]) for group in taken)
    smallest = min(set(order) - set(taken), key=lambda group: (len(members[group]), group))
    if not taken or (len(taken) < most and abs(lacking - len(members[smallest])) < lacking):
        taken.append(smallest)
    return taken


def _split(parts: Mapping[str, Iterable[str]]) -> Split:
    return Split(*(tuple(sorted(parts.get(part, ()))) for part in SPLITS))


def official_split(name: str) -> Split:
    """The split that comes with the package. Raises UserError if `name` has none."""
    if name not in OFFICIAL:
        raise UserError(
            f"no split comes with {name!r} (only {', '.join(OFFICIAL)}); give one by --split FILE"
        )
    data = resources.files("mlffm_segdiff.data").joinpath("split_lists", f"{name}.csv").read_bytes()
    return _parse(data, f"{name}.csv")


def load_split(path: Path) -> Split:
    """The split in a CSV file with the columns id,part (others are passed over), parts train, val, test.

    Raises UserError if the file cannot be read, names an id twice, or an unknown or no training part.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"split file {path} cannot be read ({error})") from error
    return _parse(data, str(path))


def _parse(data: bytes, name: str) -> Split:
    parts: dict[str, list[str]] = {part: [] for part in SPLITS}
    lines: dict[str, list[int]] = defaultdict(list)
    for line, (key, part) in read_rows(data, f"split file {name}", ("id", "part")):
        if part not in SPLITS:
            raise UserError(f"split file {name}, line {line}: write an id and one of {', '.join(SPLITS)}")
        parts[part].append(key)
        lines[key].append(line)
    twice = [key for key, seen in lines.items() if len(seen) > 1]
    if twice:
        raise UserError(f"split file {name} names {_some(twice)} more than once; keep one line each")
    return _split(parts)


def save_split(split: Split, path: Path, groups: Mapping[str, str] | None = None) -> None:
    """Write `split` as CSV with columns id,part, sorted by id; with `groups` (by id) a third one, group."""
    parts = sorted((key, part) for part in SPLITS for key in split.ids(part))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("id", "part") if groups is None else ("id", "part", "group"))
    writer.writerows((*row, groups[row[0]]) if groups is not None else row for row in parts)
    with atomic_write(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8", newline="")


def select_cases(cases: Iterable[Case], ids: Sequence[str]) -> list[Case]:
    """The cases of `ids`, in that order. Raises UserError naming the ids that no case has."""
    known = {case.id: case for case in cases}
    absent = [key for key in ids if key not in known]
    if absent:
        raise UserError(
            f"{_some(absent)} of the {len(ids)} ids in the split have no image in the data; "
            "complete the data or give your own --split FILE"
        )
    return [known[key] for key in ids]


def _some(ids: Sequence[str]) -> str:
    shown = ", ".join(ids[:5])
    return f"{len(ids)} id(s) ({shown}{', ...' if len(ids) > 5 else ''})"
