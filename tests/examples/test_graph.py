"""The programs that run an exported graph without this package."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mlffm_segdiff.export.folder import write_export
from mlffm_segdiff.inference.demo import samples_folder
from mlffm_segdiff.inference.postprocessing import AS_THRESHOLDED
from mlffm_segdiff.inference.segmenter import segment
from mlffm_segdiff.segmenters.pretrained import Pretrained, load_pretrained, save_segmenter

EXAMPLE = Path(__file__).parents[2] / "examples" / "graph"
NODE = shutil.which("node")
IMAGE = min(samples_folder().glob("*.png"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with weights and, in graphs/, their graph."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("exported")
    data = {"sources": {"synthetic": None}, "size": 32}
    model = {"name": "unet", "widths": [4, 8], "residual_units": 1}
    pretrained = Pretrained(recipe={"name": "tiny", "data": data, "model": model}).eval()
    save_segmenter(pretrained.segmenter, pretrained.recipe, folder / "weights")
    write_export(load_pretrained(folder / "weights"), "onnx", folder / "graphs")
    return folder


@pytest.fixture(params=[1, 6], ids=["upright", "turned by EXIF"])
def image(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A photograph that is wider than high in its file."""
    exif = Image.Exif()
    exif[0x0112] = request.param
    with Image.open(IMAGE) as drawn:
        drawn.crop((0, 20, drawn.width, drawn.height - 20)).save(tmp_path / "image.png", exif=exif)
    return tmp_path / "image.png"


def share_that_differs(mask: Path, image: Path, weights: Path) -> float:
    (expected,) = segment([image], weights, post=AS_THRESHOLDED)
    found = np.asarray(Image.open(mask))
    assert set(np.unique(found)) <= {0, 255}
    assert expected.mask.any()
    return float(np.mean((found > 0) != expected.mask))


def test_the_python_program_finds_the_mask_of_this_package(
    exported: Path, image: Path, tmp_path: Path
) -> None:
    command = [exported / "graphs" / "segmenter.onnx", image, tmp_path / "mask.png"]
    subprocess.run([sys.executable, EXAMPLE / "segment.py", *command], check=True)
    assert share_that_differs(tmp_path / "mask.png", image, exported / "weights") < 1e-4


@pytest.mark.skipif(NODE is None, reason="no Node.js")
def test_the_javascript_program_is_valid() -> None:
    subprocess.run([str(NODE), "--check", EXAMPLE / "segment.mjs"], check=True)


@pytest.mark.skipif(
    not (EXAMPLE / "node_modules").is_dir(), reason="run npm install onnxruntime-node sharp in examples/graph"
)
def test_the_javascript_program_finds_nearly_that_mask(exported: Path, image: Path, tmp_path: Path) -> None:
    """sharp resizes by another filter than Pillow, so masks differ near the contour."""
    command = [exported / "graphs" / "segmenter.onnx", image, tmp_path / "mask.png"]
    subprocess.run([str(NODE), EXAMPLE / "segment.mjs", *command], check=True)
    assert share_that_differs(tmp_path / "mask.png", image, exported / "weights") < 0.05


@pytest.mark.parametrize("name", ["segment.py", "segment.mjs"])
def test_the_programs_are_short(name: str) -> None:
    lines = [line for line in (EXAMPLE / name).read_text().splitlines() if line.strip()]
    assert len(lines) <= 15
