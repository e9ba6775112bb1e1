import io

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.files.csv_columns import read_rows, read_table, stream_column

ROWS = [(2, ("a", "anna")), (3, ("b b", "bert"))]
TEXT = "id,note,group\na,x,anna\nb b,y, bert \n"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_as_spreadsheets_save_them_are_one_table(separator: str, end: str, encoding: str) -> None:
    text = TEXT.replace(",", separator).replace("\n", end)
    assert read_rows(text.encode(encoding), "x", ("id", "group")) == ROWS


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_a_line_that_names_the_separator_is_no_row(separator: str) -> None:
    """Excel writes and reads it."""
    text = f"sep={separator}\n{TEXT.replace(',', separator)}"
    assert read_rows(text.encode(), "x", ("id", "group")) == [(line + 1, row) for line, row in ROWS]
    assert [*stream_column(io.BytesIO(text.encode()), "x", ("group",))] == ["anna", "bert"]


@pytest.mark.parametrize(
    "header", ["ID;Note;Group", " id ; note ; group ", '"Id";"Note";"GROUP"', "id;a, b;group"]
)
def test_column_names_may_be_in_any_case_quoted_and_padded(header: str) -> None:
    text = TEXT.replace(",", ";").replace("id;note;group", header)
    assert read_rows(text.encode(), "x", ("id", "group")) == ROWS


def test_quoted_fields_keep_separators_and_fields_are_in_nfc() -> None:
    text = 'id;group\n"a;1";La\u0308sion\n\n;;\n'
    assert read_rows(text.encode(), "x", ("id", "group")) == [(2, ("a;1", "L\u00e4sion"))]


def test_a_line_that_is_too_short_is_named() -> None:
    with pytest.raises(UserError, match="x, line 3: no group; write id and group"):
        read_rows(b"id;group\na;1\nb\n", "x", ("id", "group"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";"])
def test_a_table_has_all_columns_with_a_name(separator: str, encoding: str) -> None:
    text = ",Age,ID,Site \n0,45,0012,\n1,,b b\n\n".replace(",", separator)
    assert read_table(text.encode(encoding), "x", "id") == [
        (2, "0012", {"Age": "45", "Site": ""}),
        (3, "b b", {"Age": "", "Site": ""}),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "x must have the columns id and at least one line"),
        (b"id,age\n,\n", "x must have the columns id and at least one line"),
        (b"name,age\na,1\n", "x must have the columns id and at least one line"),
        (b"id,\na,1\n", "x has no column but id; add one"),
        (b"id,age,Age\na,1,2\n", "x has several columns 'age'; rename or remove all but one"),
        (b"id,Id,age\na,b,2\n", "x has several columns 'id'"),
        (b"id,age\n,1\n", "x, line 2: no id"),
        (b"id,size\na,1\nb,1,5\n", "x, line 3: 3 fields in 2 columns; put fields with separators in quotes"),
        (b"\x89PNG\r\n\x1a\n", "x, line 1: not UTF-8"),
    ],
)
def test_a_table_that_cannot_be_used_is_a_user_error(text: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_table(text, "x", "id")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"id,dx,group\na,mel,p1\nb,melanoma, in situ,p1\n", "x, line 3: 4 fields in 3 columns; put fields"),
        (b"id,group,Group\na,p1,p2\n", "x has several columns 'group'; rename or remove all but one"),
        (b"id,note,Note,id,group\na,1,2,b,p1\n", "x has several columns 'id'"),
    ],
)
def test_a_field_whose_column_is_not_known_is_a_user_error(text: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_rows(text, "x", ("id", "group"))


def test_a_column_that_is_not_read_may_be_there_twice() -> None:
    assert read_rows(b"id,note,Note,group\na,1,2,p1\n", "x", ("id", "group")) == [(2, ("a", "p1"))]
    assert list(stream_column(io.BytesIO(b"note,image,Note\n1,a.png,2\n"), "x", ("image",))) == ["a.png"]


def test_a_line_with_more_fields_than_columns_is_named_in_a_stream() -> None:
    rows = stream_column(io.BytesIO(b"note,image\nred,a.png\nred, scaly,b.png\n"), "x", ("image",))
    assert next(rows) == "a.png"
    with pytest.raises(UserError, match="x, line 3: 3 fields in 2 columns; put fields with separators in"):
        next(rows)


def test_a_streamed_column_must_be_the_only_one_of_its_name() -> None:
    with pytest.raises(UserError, match="x has several columns 'image'"):
        next(stream_column(io.BytesIO(b"image,Image\na.png,b.png\n"), "x", ("image",)))
