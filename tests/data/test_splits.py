import csv
from collections import defaultdict
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Case, Entry
from mlffm_segdiff.data.splits import (
    SPLITS,
    Split,
    ignore_groups,
    leaked,
    load_split,
    make_split,
    official_split,
    save_split,
    select_cases,
    without_leaks,
)
from mlffm_segdiff.data.table import read_cases

SIZES = {"isic2018": (1356, 194, 387), "ph2": (80, 20, 100), "ham10000": (7200, 1800, 1015)}


def case(key: str, group: str) -> Case:
    return Case(key, Entry(Path(f"{key}.jpg")), None, group)


@pytest.mark.parametrize("name", SIZES)
def test_the_committed_lists_have_their_sizes_and_no_id_twice(name: str) -> None:
    split = official_split(name)
    assert tuple(len(split.ids(part)) for part in SPLITS) == SIZES[name]
    assert len({key for part in SPLITS for key in split.ids(part)}) == sum(SIZES[name])


def test_no_lesion_of_ham10000_is_in_two_parts() -> None:
    text = resources.files("mlffm_segdiff.data").joinpath("split_lists", "ham10000.csv").read_text()
    parts = defaultdict(set)
    for row in csv.DictReader(text.splitlines()):
        parts[row["group"]].add(row["part"])
    assert len(parts) == 7470
    assert all(len(found) == 1 for found in parts.values())


GROUPS = st.lists(st.integers(1, 4), min_size=1, max_size=12)


@given(GROUPS, st.integers(8, 30), st.integers(0, 5), st.data())
def test_parts_are_exact_and_disjoint_and_no_group_is_cut(
    groups: list[int], singles: int, seed: int, data: st.DataObject
) -> None:
    cases = [case(f"g{i}-{j}", f"g{i}") for i, count in enumerate(groups) for j in range(count)]
    cases += [case(f"s{i}", f"s{i}") for i in range(singles)]
    test = data.draw(st.integers(0, 4))
    val = data.draw(st.integers(0, 4))
    sizes = (len(cases) - val - test, val, test)
    split = make_split(cases, sizes, seed)
    assert tuple(len(split.ids(part)) for part in SPLITS) == sizes
    part_of = {key: part for part in SPLITS for key in split.ids(part)}
    assert sorted(part_of) == sorted(item.id for item in cases)
    parts = defaultdict(set)
    for item in cases:
        parts[item.group].add(part_of[item.id])
    assert all(len(found) == 1 for found in parts.values())
    shuffled = data.draw(st.permutations(cases))
    assert make_split(shuffled, sizes, seed) == split


def test_another_seed_gives_another_split() -> None:
    cases = [case(str(i), str(i)) for i in range(50)]
    assert make_split(cases, (30, 10, 10), 0) != make_split(cases, (30, 10, 10), 1)


def test_sizes_that_cannot_be_met_are_user_errors() -> None:
    cases = [case("a1", "a"), case("a2", "a"), case("b", "b")]
    with pytest.raises(UserError, match="do not add up to the 3 cases"):
        make_split(cases, (1, 1, 2))
    with pytest.raises(UserError, match="cannot fill test with exactly 1 cases"):
        make_split([*cases[:2], case("b1", "b"), case("b2", "b")], (2, 1, 1))


PAIRS = [case(f"g{i:02d}-{j}", f"g{i:02d}") for i in range(15) for j in range(2)]


def test_sizes_that_whole_groups_cannot_meet_are_aimed_at() -> None:
    with pytest.raises(UserError, match="cannot fill val with exactly 3 cases"):
        make_split(PAIRS, (21, 3, 6))
    split = make_split(PAIRS, (21, 3, 6), exact=False)
    assert tuple(len(split.ids(part)) for part in SPLITS) == (22, 2, 6)


@given(st.lists(st.integers(1, 6), min_size=3, max_size=12), st.integers(0, 5))
def test_inexact_parts_are_filled_and_no_group_is_cut(groups: list[int], seed: int) -> None:
    cases = [case(f"g{i}-{j}", f"g{i}") for i, count in enumerate(groups) for j in range(count)]
    test, val = len(cases) // 5, len(cases) // 10
    split = make_split(cases, (len(cases) - val - test, val, test), seed, exact=False)
    group_of = {item.id: item.group for item in cases}
    found = [{group_of[key] for key in split.ids(part)} for part in SPLITS]
    assert all(found)
    assert sum(map(len, found)) == len(groups)
    assert sorted(split.train + split.val + split.test) == sorted(group_of)


def test_where_groups_fit_an_inexact_split_is_the_exact_one() -> None:
    cases = [case(str(i), str(i)) for i in range(50)]
    assert make_split(cases, (35, 5, 10), exact=False) == make_split(cases, (35, 5, 10))


def test_fewer_groups_than_parts_are_a_user_error() -> None:
    with pytest.raises(UserError, match=r"2 group\(s\) cannot fill train, val, test; add cases or give"):
        make_split(PAIRS[:4], (2, 1, 1), exact=False)


def test_by_image_a_group_may_land_in_several_parts_and_its_test_cases_are_known() -> None:
    split = make_split(ignore_groups(PAIRS), (15, 5, 10), seed=1)
    assert tuple(len(split.ids(part)) for part in SPLITS) == (15, 5, 10)
    groups = {item.id: item.group for item in PAIRS}
    parts = {part: {groups[key] for key in split.ids(part)} for part in SPLITS}
    shared = parts["test"] & (parts["train"] | parts["val"])
    assert shared
    assert {groups[key] for key in leaked(split, groups)} == shared
    assert set(leaked(split, groups)) <= set(split.test)


def test_by_group_nothing_leaks() -> None:
    split = make_split(PAIRS, (20, 4, 6))
    assert leaked(split, {item.id: item.group for item in PAIRS}) == ()


def test_only_test_cases_leak_also_to_validation() -> None:
    split = Split(("a1",), ("b1",), ("a2", "b2", "c1", "c2"))
    assert leaked(split, {key: key[0] for key in ("a1", "b1", "a2", "b2", "c1", "c2")}) == ("a2", "b2")


def test_without_leaks_keeps_the_test_ids_and_loses_the_others_of_their_groups() -> None:
    split = Split(("a1", "d1"), ("b1", "e1"), ("a2", "b2", "c1", "c2"))
    groups = {key: key[0] for part in SPLITS for key in split.ids(part)}
    assert without_leaks(split, groups) == Split(("d1",), ("e1",), split.test)


def test_a_split_is_saved_and_loaded_and_its_digest_follows_the_content(tmp_path: Path) -> None:
    split = Split(("a", "c"), ("b",), ("d",))
    save_split(split, tmp_path / "s.csv")
    assert (tmp_path / "s.csv").read_text() == "id,part\na,train\nb,val\nc,train\nd,test\n"
    assert load_split(tmp_path / "s.csv") == split
    save_split(split, tmp_path / "g.csv", dict.fromkeys("abcd", "one"))
    assert load_split(tmp_path / "g.csv") == split
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["g.csv", "s.csv"]
    assert len(split.digest()) == 16
    assert len({split.digest(), Split(("a",), ("b", "c"), ("d",)).digest(), Split((), (), ()).digest()}) == 3


@pytest.mark.parametrize("stem", ["a ", " a", "a\u00a0", "L\udce4sion", "a, b", "e\u0301", '"a"', "=a"])
def test_a_split_names_every_image_of_a_folder(tmp_path: Path, stem: str) -> None:
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
        for name in (stem, "b", "c"):
            Image.new("L", (4, 4)).save(tmp_path / part / f"{name}.png", "PNG")
    cases = read_cases("folder", tmp_path)
    save_split(make_split(cases, (1, 1, 1)), tmp_path / "s.csv")
    split = load_split(tmp_path / "s.csv")
    assert {one.id for part in SPLITS for one in select_cases(cases, split.ids(part))} == {
        one.id for one in cases
    }
    assert len(split.digest()) == 16


def test_a_split_is_not_written_over_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written"):
        save_split(Split(("a",), (), ()), tmp_path)


def test_a_part_has_to_be_known() -> None:
    with pytest.raises(UserError, match="unknown part 'validation'; choose one of train, val, test"):
        Split((), (), ()).ids("validation")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "columns id,part"),
        ("name,part\na,train\n", "columns id,part"),
        ("id,part\na,train\nb,tset\n", r"line 3: unknown part 'tset'; write one of train, val, test"),
        ("id,part\na,train\nb\n", "line 3"),
        ("id,part\na," + "x" * 200_000, "is not CSV"),
        ("id,part\na,train\nb,\udce9\n", "line 3: not UTF-8"),
        (
            "id,part\n" + "".join(f"{key},train\n{key},test\n" for key in "abcdefg"),
            r"7 id\(s\) \(a, b, c, d, e, \.\.\.\) more than once",
        ),
    ],
)
def test_a_faulty_split_file_is_a_user_error_that_names_it(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match=rf"mine\.csv.*{message}"):
        load_split(path)


def test_an_absent_split_file_and_an_absent_official_one_are_user_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.csv cannot be read"):
        load_split(tmp_path / "none.csv")
    with pytest.raises(UserError, match="no packaged split for 'folder'"):
        official_split("folder")


def test_selected_cases_keep_the_order_and_absent_ids_are_named() -> None:
    cases = [case(key, key) for key in "abc"]
    assert [item.id for item in select_cases(cases, ("c", "a"))] == ["c", "a"]
    with pytest.raises(UserError, match=r"2 id\(s\) \(x, y\) of the 3 ids in the split"):
        select_cases(cases, ("x", "a", "y"))


def test_parts_may_have_their_usual_names_in_any_case(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("ID;Part\na;Training\nb;validation\nc;VALID\nd;testing\ne;train\n")
    assert load_split(path) == Split(("a", "e"), ("b", "c"), ("d",))


def test_ids_with_an_extension_or_in_another_case_are_corrected() -> None:
    cases = [case(key, key) for key in ("a", "Lesion1")]
    with pytest.raises(UserError, match=r"'?a\.jpg.*; write 'a', without the extension"):
        select_cases(cases, ("a.jpg",))
    with pytest.raises(UserError, match="; write 'Lesion1'"):
        select_cases(cases, ("lesion1",))
