from pathlib import Path

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.study.report.given_properties import given_properties, read_properties
from mlffm_segdiff.study.report.image_properties import MEASURED


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_table_is_read_as_spreadsheets_save_it(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(
        "Id;Größe;age;site;old\n0012;1.5;30;Arm;True\nmOLE;2.5;NaN;upper  leg;False\n0013;;45;;False\n"
        "another;9;9;x;x\n",
        encoding=encoding,
    )
    ids = ["0012", "Mole", "0013", "0014"]
    found = read_properties(path, ids, MEASURED)
    assert {name: values.to_dict() for name, values in found.items()} == {
        "Größe": {"0012": 1.5, "Mole": 2.5},
        "age": {"0012": 30, "0013": 45},
        "site": {"0012": "Arm", "Mole": "upper leg"},
        "old": {"0012": "True", "Mole": "False", "0013": "False"},
    }
    groups = {one.name: list(one.groups) for one in given_properties(found, ids)}
    assert (groups["Größe"], groups["age"], groups["site"]) == (
        ["1.50", "2.50"],
        ["30", "45"],
        ["Arm", "upper leg"],
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,age\na,1\n", "must have the columns id"),
        ("id\na\n", "has no column but id"),
        ("id,age\na,1\nA,2\n", "line 3: 'A' has an earlier line that differs"),
        ("id,age\n7,1\n", "no image has the id '7' .*; write '0007'"),
        ("id,age\na,1\n0001,2\n0002,old\n", "column 'age' has numbers and the text 'old'; leave unknown"),
        ("id,age\na,-inf\n", "column 'age' has '-inf'; leave it empty"),
        ("id,Skin Tone\na,1\n", "column 'Skin Tone' has the name of another property, 'skin tone'; rename"),
        ("id,contrast\na,1\n", "column 'contrast' has the name of another property, 'contrast'; rename"),
        ("id,a-b,a b\na,1,2\n", "column 'a b' has the name of another property, 'a-b'; rename"),
        ("id,$a$\na,1\n", r"'\$a\$' cannot name a property"),
        ("id," + "a" * 61 + "\na,1\n", "cannot name a property; use at most 60 letters"),
        ("id;age\n0001;4,5\n0002;5\n", "column 'age' has '4,5'; write numbers with a decimal point"),
        ("id;age\n" + "".join(f"{n:04};{n} y\n" for n in range(21)), "21 different texts, .*decimal point"),
        (
            "id,site\n" + "".join(f"{n:04},site {n}\n" for n in range(21)),
            "21 .* such as 'site 0'",
        ),
    ],
)
def test_a_table_that_cannot_be_used_is_a_user_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_properties(path, ["a", *(f"{n:04}" for n in range(21))], MEASURED)


def test_ids_that_differ_only_in_case_have_their_own_lines(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("id,age\na,1\nA,2\nMOLE,3\n", encoding="utf-8")
    assert read_properties(path, ["a", "A", "mole"], [])["age"].to_dict() == {"a": 1, "A": 2, "mole": 3}


def test_a_table_that_is_absent_or_a_folder_is_a_user_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.csv"):
        with pytest.raises(UserError, match=r"cannot be read \(.*\); give a CSV file"):
            read_properties(path, ["a"], MEASURED)


def test_unknown_fields_are_no_text_and_properties_keep_their_images(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("id,age,site,none\na,1,Unknown,-\nb,?,arm,\n", encoding="utf-8")
    found = read_properties(path, ["a", "b"], MEASURED)
    age, site, none = given_properties(found, {"b": 0, "a": 0}.keys())
    assert (age.groups.to_dict(), site.groups.to_dict(), none.groups.to_dict()) == (
        {"a": "1"},
        {"b": "arm"},
        {},
    )


def test_a_name_is_free_where_nothing_is_measured_by_it(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("id,skin tone\na,dark\n", encoding="utf-8")
    assert read_properties(path, ["a"], [])["skin tone"].to_dict() == {"a": "dark"}
