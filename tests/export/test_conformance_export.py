"""Every model of the table, as small as tests/small_models.py makes it, as ONNX."""

from pathlib import Path

import pytest
import torch
from small_models import made, small_recipe

from mlffm_segdiff.export import onnx
from mlffm_segdiff.export.folder import read_export, write_export
from mlffm_segdiff.models.registry import MODELS
from mlffm_segdiff.segmenters.pretrained import Pretrained
from mlffm_segdiff.segmenters.sampling import chosen_sampling

SLOW = ("dermosegdiff", "medsegdiff", "mlffm_unet", "segdiff", "swin_unetr", "unetr")
"""Those of many operators, at 6 to 22 seconds each; the others take 45 together (one thread)."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in MODELS]
)
def test_a_models_graphs_compute_what_torch_does(name: str, tmp_path: Path) -> None:
    """Each graph gives the same as its part, one by one and in threes; together they find the same mask."""
    recipe = small_recipe(name)
    pretrained = Pretrained(recipe=recipe.model_dump(mode="json"))
    pretrained.segmenter = made(name)
    folder = tmp_path / "exported"
    write_export(pretrained, "onnx", folder)
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    for rows in (1, 3):
        with torch.no_grad():
            for key, part in pretrained.segmenter.parts(images[:rows]).items():
                outputs = onnx.read(folder / f"{key}.onnx", "float32", 1)(*part.inputs)
                for found, expected in zip(outputs, part.module(*part.inputs), strict=True):
                    scale = float(expected.std())
                    assert scale > 0
                    torch.testing.assert_close(found, expected, rtol=0, atol=5e-4 * scale)
    sampling = chosen_sampling(recipe)
    again = read_export(folder).segmenter.segment(images, sampling).probability
    expected = pretrained.segmenter.segment(images, sampling).probability
    torch.testing.assert_close(again, expected, rtol=0, atol=2e-3)  # two steps of noise magnify rounding
