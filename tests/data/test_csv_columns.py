import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.csv_columns import read_rows

ROWS = [(2, ("a", "anna")), (3, ("b b", "bert"))]
TEXT = "id,note,group\na,x,anna\nb b,y, bert \n"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_as_spreadsheets_save_them_are_one_table(separator, end, encoding):
    text = TEXT.replace(",", separator).replace("\n", end)
    assert read_rows(text.encode(encoding), "x", ("id", "group")) == ROWS


@pytest.mark.parametrize(
    "header", ["ID;Note;Group", " id ; note ; group ", '"Id";"Note";"GROUP"', "id;a, b;group"]
)
def test_column_names_may_be_in_any_case_quoted_and_padded(header):
    text = TEXT.replace(",", ";").replace("id;note;group", header)
    assert read_rows(text.encode(), "x", ("id", "group")) == ROWS


def test_quoted_fields_keep_separators_and_fields_are_in_nfc():
    text = 'id;group\n"a;1";La\u0308sion\n\n;;\n'
    assert read_rows(text.encode(), "x", ("id", "group")) == [(2, ("a;1", "L\u00e4sion"))]


def test_a_line_that_is_too_short_is_named():
    with pytest.raises(UserError, match="x, line 3: no group; write id and group"):
        read_rows(b"id;group\na;1\nb\n", "x", ("id", "group"))
