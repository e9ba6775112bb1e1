"""The public names of packages, which are imported on first use."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

PACKAGES = ("mlffm_segdiff.data", "mlffm_segdiff.metrics", "mlffm_segdiff.models", "mlffm_segdiff.training")


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_name_is_documented_and_imported_on_first_use(name: str) -> None:
    package = import_module(name)
    assert set(package.__all__) <= set(dir(package))
    for public in package.__all__:
        found = getattr(package, public)
        assert found.__module__.startswith("mlffm_segdiff.")
        assert found.__doc__
        assert not found.__doc__.startswith(f"{public}("), "a dataclass without docstring has its signature"
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'absent'"):
        _ = package.absent


@pytest.mark.parametrize("name", PACKAGES)
def test_type_checkers_see_the_same_names_from_the_same_modules(name: str) -> None:
    package = import_module(name)
    (typed,) = (
        node for node in ast.parse(Path(str(package.__file__)).read_text()).body if isinstance(node, ast.If)
    )
    modules = {
        alias.name: str(node.module)
        for node in typed.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(modules) == set(package.__all__)
    for public, module in modules.items():
        assert getattr(package, public) is getattr(import_module(module), public)


def test_importing_the_packages_imports_nothing_heavy() -> None:
    heavy = {"torch", "numpy", "lightning", "monai"}
    code = f"import sys, {', '.join(PACKAGES)}; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, text=True, capture_output=True)
    assert done.stdout == "set()\n"
