import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """Ground truth of eight lesions, one method that finds all and one that finds half."""
    for name, width in (("truth", 10), ("all", 10), ("half", 5)):
        (tmp_path / name).mkdir()
        for number in range(8):
            mask = np.zeros((12, 20), np.uint8)
            mask[: number + 4, :width] = 255
            Image.fromarray(mask).save(tmp_path / name / f"a{number}.png")
    return {name: tmp_path / name for name in ("truth", "all", "half")}


def test_two_methods_are_compared_and_the_verdict_printed(
    tmp_path: Path, folders: dict[str, Path], command: Command
) -> None:
    masks = ("--masks", f"all={folders['all']}", "--masks", f"half={folders['half']}")
    status, out, err = command("compare", *masks, "--truth", folders["truth"], "-o", tmp_path / "ours")
    assert (status, err) == (0, "")
    verdict = "half against 'all': worse (one run only) (-0.5000, -0.5000 to -0.5000; p = 0.008 after Holm"
    assert verdict in out
    assert "boundary Dice" in out
    assert (tmp_path / "ours" / "report.html").is_file()


def test_scores_by_properties_of_a_table(tmp_path: Path, folders: dict[str, Path], command: Command) -> None:
    table = tmp_path / "patients.csv"
    table.write_text("id;age\n" + "".join(f"A{number};{30 + number}\n" for number in range(8)))
    masks = ("--masks", f"all={folders['all']}", "--masks", f"half={folders['half']}")
    where = ("--truth", folders["truth"], "-o", tmp_path / "ours")
    status, _, err = command("compare", *masks, *where, "--properties", table)
    assert (status, err) == (0, "")
    rows = (tmp_path / "ours" / "tables" / "groups_age.csv").read_text().splitlines()
    assert [row.split(",")[:3] for row in rows[1:3]] == [["30 to 32", "all", "3"], ["30 to 32", "half", "3"]]


def test_json_is_one_document(tmp_path: Path, folders: dict[str, Path], command: Command) -> None:
    masks = ("--masks", f"all={folders['all']}", "--masks", f"half={folders['half']}")
    where = ("--truth", folders["truth"], "-o", tmp_path / "out")
    status, out, err = command("compare", *masks, *where, "--json", "-q")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert (found["images"], found["baseline"], list(found["methods"])) == (8, "all", ["all", "half"])
    written = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert found == {"output": str(tmp_path / "out"), **written}


def test_what_is_not_name_and_folder_is_refused(
    tmp_path: Path, folders: dict[str, Path], command: Command
) -> None:
    where = ("--truth", folders["truth"], "-o", tmp_path / "out")
    for text in ("ours", "=x", "ours="):
        status, out, err = command("compare", "--masks", text, *where)
        assert (status, out) == (2, "")
        assert err == f"error: --masks {text!r} is not NAME=PATH, for example --masks ours=OUT/masks\n"


def test_the_report_is_not_written_among_the_images(
    folders: dict[str, Path], command: Command, tmp_path: Path
) -> None:
    (tmp_path / "images").mkdir()
    masks = [text for one in ("all", "half") for text in ("--masks", f"{one}={folders[one]}")]
    where = "--truth", folders["truth"], "--images", tmp_path / "images", "-o", tmp_path / "images"
    status, out, err = command("compare", *masks, *where)
    assert (status, out) == (2, "")
    assert "images is the folder of masks or images" in err
    assert not list((tmp_path / "images").iterdir())


def test_methods_need_names_that_differ_in_more_than_capital_letters(
    folders: dict[str, Path], command: Command, tmp_path: Path
) -> None:
    masks = "--masks", f"ours={folders['all']}", "--masks", f"Ours={folders['half']}"
    status, out, err = command("compare", *masks, "--truth", folders["truth"], "-o", tmp_path / "out")
    assert (status, out) == (2, "")
    assert err == "error: 'ours' and 'Ours' differ only in capital letters; rename one\n"


@pytest.mark.parametrize("where", ["all", "truth", "half/report"])
def test_the_report_is_not_written_among_the_masks(
    folders: dict[str, Path], command: Command, tmp_path: Path, where: str
) -> None:
    name, _, below = where.partition("/")
    masks = [text for one in ("all", "half") for text in ("--masks", f"{one}={folders[one]}")]
    output = folders[name] / below
    before = sorted(folders[name].rglob("*"))
    status, out, err = command("compare", *masks, "--truth", folders["truth"], "-o", output)
    assert (status, out) == (2, "")
    assert "is the folder of masks or images" in err
    assert "or in it; choose another output folder" in err
    assert sorted(folders[name].rglob("*")) == before
