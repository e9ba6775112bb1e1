import subprocess
import sys
from pathlib import Path

import pytest

import mlffm_segdiff
from mlffm_segdiff.segmenters.recipe import load_recipe
from mlffm_segdiff.study.code_version import UNUSED, code_digest, code_of, digest_of

CODE = '''"""What it is."""

LIMIT = 3
"""The limit."""


def double(x: int) -> int:
    """Return twice x."""
    # twice
    return 2 * x  # not thrice


class Empty:
    """Nothing."""
'''
SAME = '''LIMIT = 3
def double(x: int) -> int:
    """Another sentence
    on two lines."""
    return (2 * x)
class Empty:
    """Nothing at all."""
'''


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for name in ("models/net.py", "models/deep/more.py", "cli/verb.py", "run.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(CODE)
    return tmp_path


def version(package: Path) -> str:
    return digest_of(package, ("cli",))


def test_a_changed_document_is_the_same_version(package: Path) -> None:
    before = version(package)
    (package / "models/net.py").write_text(SAME)
    (package / "models/notes.md").write_text("more")
    assert version(package) == before


@pytest.mark.parametrize("name", ["models/net.py", "models/deep/more.py", "run.py"])
def test_a_changed_statement_is_another_version(name: str, package: Path) -> None:
    before = version(package)
    (package / name).write_text(CODE.replace("2 * x", "3 * x"))
    assert version(package) != before


def test_a_file_more_or_elsewhere_is_another_version(package: Path) -> None:
    before = version(package)
    (package / "models/net.py").rename(package / "models/other.py")
    moved = version(package)
    (package / "models/net.py").write_text("")
    assert len({before, moved, version(package)}) == 3


def test_what_no_cell_runs_does_not_count(package: Path) -> None:
    before = version(package)
    (package / "cli/verb.py").write_text("print(3)")
    assert version(package) == before


def test_every_package_that_a_cell_loads_counts() -> None:
    root = Path(mlffm_segdiff.__file__).parent
    packages = {path.parent.name for path in root.glob("*/__init__.py")}
    code = "import sys, mlffm_segdiff.study.run_cell; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    loaded = {name.split(".")[1] for name in modules.split() if name.startswith("mlffm_segdiff.")}
    assert {"training", "evaluation", "inference"} <= loaded
    assert packages - loaded | {"study"} == set(UNUSED)
    assert code_digest() == digest_of(root, UNUSED)


def test_a_changed_loss_of_the_user_is_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "loss_of_a_user.py"
    module.write_text("def own(logit, mask, distance, weight):\n    return (logit - mask).square().mean()\n")
    monkeypatch.syspath_prepend(tmp_path)
    recipe = load_recipe("isic2018", ["loss={target: loss_of_a_user.own}"])
    before = code_of(recipe)
    assert before != code_digest() == code_of(load_recipe("isic2018"))
    module.write_text(module.read_text() + "# a comment\n")
    assert code_of(recipe) == before
    module.write_text(module.read_text().replace("square", "abs"))
    assert code_of(recipe) != before


def test_a_compiled_or_packaged_loss_is_found_by_its_module() -> None:
    recipe = load_recipe("isic2018", ["loss={target: torch.nn.functional.binary_cross_entropy_with_logits}"])
    assert code_of(recipe) != code_digest()
    assert code_of(load_recipe("unet", ["loss={target: math.fsum}"])) == code_digest()
