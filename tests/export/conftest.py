from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mlffm_segdiff.export.folder import write_export
from mlffm_segdiff.export.manifest import FormatName
from mlffm_segdiff.segmenters.pretrained import Pretrained

Made = Callable[[str], Pretrained]
Exported = Callable[[str, FormatName], Path]

SIZE = 32
MODELS: dict[str, dict[str, object]] = {
    "diffusion": {
        "model": {"name": "mlffm_segdiff", "size": "tiny"},
        "diffusion": {"self_conditioning": True},
    },
    "styles": {"model": {"name": "mlffm_segdiff", "size": "tiny", "styles": ["isic2018", "ph2"]}},
    "direct": {"model": {"name": "unet", "widths": [4, 8], "residual_units": 1}},
    "nnunet": {"model": {"name": "nnunet", "image_size": SIZE}, "sampling": {"mirror": True}},
}


@pytest.fixture(scope="session")
def made() -> Made:
    """Weights of a tiny model by name, moved from where they start: fresh ones have parts switched off."""

    @cache
    def make(name: str) -> Pretrained:
        torch.manual_seed(0)
        data = {"sources": {"synthetic": None}, "size": SIZE}
        pretrained = Pretrained(recipe={"name": name, "data": data, **MODELS[name]})
        for p in pretrained.segmenter.parameters():
            p.data.add_(0.05 * torch.randn_like(p))
        pretrained.segmenter.eval()
        return pretrained

    return make


@pytest.fixture(scope="session")
def exported(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The folder of a model's graphs in a format; made once."""

    @cache
    def export(name: str, format_name: FormatName) -> Path:
        folder = tmp_path_factory.mktemp("exported") / f"{name}-{format_name}"
        write_export(made(name), format_name, folder)
        return folder

    return export


@pytest.fixture
def images() -> Tensor:
    """Three images, B3HW in [-1, 1]."""
    return torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)) * 2 - 1
