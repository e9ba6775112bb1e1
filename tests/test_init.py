import subprocess
import sys
from importlib.metadata import version

import pytest

import mlffm_segdiff
from mlffm_segdiff.evaluation import evaluate
from mlffm_segdiff.inference.segmenter import Segmenter, segment
from mlffm_segdiff.study import compare
from mlffm_segdiff.training import train


def test_importing_the_package_imports_nothing_slow() -> None:
    code = "import sys; before = set(sys.modules); import mlffm_segdiff; print(*set(sys.modules) - before)"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "mlffm_segdiff" in found
    slow = {"torch", "numpy", "PIL", "pydantic", "importlib.metadata", "mlffm_segdiff.config.extra"}
    assert not slow & set(found)


def test_public_functions_come_from_their_homes() -> None:
    assert mlffm_segdiff.segment is segment
    assert mlffm_segdiff.Segmenter is Segmenter
    assert mlffm_segdiff.evaluate is evaluate
    assert (mlffm_segdiff.train, mlffm_segdiff.compare) == (train, compare)
    assert set(mlffm_segdiff.__all__) <= set(dir(mlffm_segdiff))


def test_the_version_is_that_of_the_distribution() -> None:
    assert version("mlffm-segdiff") == mlffm_segdiff.__version__


def test_other_names_are_no_attributes() -> None:
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        _ = mlffm_segdiff.absent


def test_the_package_runs_as_a_module() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "mlffm_segdiff", "--version"], capture_output=True, text=True, check=True
    )
    assert found.stdout == f"mlffm-segdiff {mlffm_segdiff.__version__}\n"
