"""The links that need the repository's address are added once, where each tool looks for them."""

import json
import runpy
import shutil
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = ("README.md", "pyproject.toml", "CITATION.cff", "docs/tour.ipynb")
COLAB = "https://colab.research.google.com/github/owner/name/blob/main/docs/tour.ipynb"
add_links = runpy.run_path(str(ROOT / "tools" / "repository_links.py"))["add_links"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_each_file_gets_its_link(checkout: Path) -> None:
    add_links(checkout, "owner/name")
    text = {name: (checkout / name).read_text("utf-8") for name in FILES}
    assert (
        tomllib.loads(text["pyproject.toml"])["project"]["urls"]["Repository"]
        == "https://github.com/owner/name"
    )
    assert yaml.safe_load(text["CITATION.cff"])["repository-code"] == "https://github.com/owner/name"
    assert f"[![Open in Colab](docs/images/colab.svg)]({COLAB})\n" in text["README.md"]
    cell = "".join(json.loads(text["docs/tour.ipynb"])["cells"][0]["source"])
    assert f"\n\n[![Open in Colab](images/colab.svg)]({COLAB})\n\n" in cell
    assert (ROOT / "docs" / "images" / "colab.svg").is_file()
    for name in FILES:
        assert set((ROOT / name).read_text("utf-8").splitlines()) <= set(text[name].splitlines())


def test_a_second_time_is_refused(checkout: Path) -> None:
    add_links(checkout, "owner/name")
    with pytest.raises(ValueError, match="has its link"):
        add_links(checkout, "owner/name")


@pytest.mark.parametrize("name", ["owner", "owner/name/more", "https://github.com/owner/name", "o w/name"])
def test_other_addresses_are_refused(checkout: Path, name: str) -> None:
    with pytest.raises(ValueError, match="is not OWNER/REPOSITORY"):
        add_links(checkout, name)
