import torch

from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.base import MIRRORS
from mlffm_segdiff.segmenters.recipe import load_recipe


def test_a_diffusion_model_averages_mirror_images_as_an_explicit_loop_does() -> None:
    torch.manual_seed(0)
    segmenter = build_segmenter(load_recipe("isic2018", ["model.size=tiny", "data.size=32"])).eval()
    image = torch.rand(2, 3, 32, 32) * 2 - 1
    maps = [segmenter.segment(image.flip(axes), SamplingConfig()).probability.flip(axes) for axes in MIRRORS]
    found = segmenter.segment(image, SamplingConfig(mirror=True)).probability
    assert (maps[0] - maps[1]).abs().max() > 1e-4
    torch.testing.assert_close(found, torch.stack(maps).mean(0))
