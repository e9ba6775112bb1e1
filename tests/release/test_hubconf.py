"""torch.hub loads the model from a checkout."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from mlffm_segdiff import Segmenter

ROOT = Path(__file__).parents[2]
IMAGE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)


def test_torch_hub_gives_the_segmenter_with_the_default_weights() -> None:
    found = torch.hub.load(str(ROOT), "mlffm_segdiff", source="local")
    assert isinstance(found, Segmenter)
    assert not found.training
    expected = Segmenter.from_pretrained("default").segment(IMAGE)
    assert np.array_equal(found.segment(IMAGE).probability, expected.probability)


def test_without_pretrained_the_weights_are_random() -> None:
    found = torch.hub.load(str(ROOT), "mlffm_segdiff", source="local", pretrained=False)
    assert found.quality is None
    assert not found.training
    expected = Segmenter.from_pretrained("default").segment(IMAGE)
    assert not np.array_equal(found.segment(IMAGE).probability, expected.probability)


def test_torch_hub_needs_no_installation_of_the_package(tmp_path: Path) -> None:
    """-P and an empty PYTHONPATH leave only the checkout that hubconf.py adds, and installed packages."""
    code = (
        "import sys, torch; sys.path = [p for p in sys.path if 'src' not in p]; "
        f"torch.hub.load({str(ROOT)!r}, 'mlffm_segdiff', source='local'); "
        "print(sys.modules['mlffm_segdiff'].__file__)"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-P", "-c", code]
    found = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", check=True
    )
    assert Path(found.stdout.strip()) == ROOT / "src" / "mlffm_segdiff" / "__init__.py"
