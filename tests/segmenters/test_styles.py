"""The annotation style: which number reaches the encoder, in training and at inference."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.models.mlffm_segdiff import MLFFMSegDiffConfig
from mlffm_segdiff.segmenters.base import BaseSegmenter
from mlffm_segdiff.segmenters.diffusion import STYLE_DROP, DiffusionSegmenter
from mlffm_segdiff.segmenters.training_draws import Dual, Recycling, Single, TrainingDraws

Make = Callable[..., BaseSegmenter]
Recorded = Callable[..., tuple[DiffusionSegmenter, Any]]
STYLES = ("isic2018", "ham10000", "ph2")
TINY = {"name": "mlffm_segdiff", "size": "tiny"}


def styled(batch: Batch, styles: list[str]) -> Batch:
    """Images with these styles, as many as there are styles."""
    rows = [number % len(batch.ids) for number in range(len(styles))]
    return Batch(
        batch.image[rows], batch.mask[rows], batch.distance[rows], [str(n) for n in range(len(rows))], styles
    )


@pytest.mark.parametrize("draws", [Single(), Dual(), Recycling(2.0)])
def test_training_encodes_with_the_styles_number_but_for_those_withheld(
    draws: TrainingDraws, recorded: Recorded, batch: Batch
) -> None:
    """A style's number is 1 + its place; unknown ones, and a quarter drawn by torch's generator, are 0."""
    segmenter, network = recorded(lambda x, t, image: x, styles=STYLES, draws=draws)
    names = ["ph2", "isic2018", "", "ham10000", "elsewhere"] * 200
    many = styled(batch._replace(image=batch.image[:, :, :2, :2]), names)
    small = many._replace(mask=many.mask[:, :, :2, :2], distance=many.distance[:, :, :2, :2])
    torch.manual_seed(6)
    segmenter.loss(small)
    torch.manual_seed(6)
    dropped = torch.rand(1000) < 0.25
    numbers = torch.tensor([3, 1, 0, 2, 0] * 200)
    assert len(network.style_numbers) == 1
    assert torch.equal(network.style_numbers[0], torch.where(dropped, 0, numbers))
    assert float(dropped.float().mean()) == pytest.approx(STYLE_DROP, abs=0.04)


@pytest.mark.parametrize("styles", [["any", "ph2"], ["", "ph2"], ["ph2", "ph2"]])
def test_styles_have_names_of_their_own(styles: list[str]) -> None:
    with pytest.raises(ValueError, match="must be names of data sets, each once"):
        MLFFMSegDiffConfig(**{**TINY, "encoder": "scratch"}, styles=styles)


def test_a_batch_without_styles_is_of_unknown_style(recorded: Recorded, batch: Batch) -> None:
    segmenter, network = recorded(lambda x, t, image: x, styles=STYLES)
    segmenter.loss(Batch(batch.image, batch.mask, batch.distance, batch.ids))
    assert network.style_numbers[0].tolist() == [0] * 4


def test_a_network_without_styles_gets_none(recorded: Recorded, batch: Batch) -> None:
    segmenter, network = recorded(lambda x, t, image: x)
    assert segmenter.styles == ()
    segmenter.loss(styled(batch, ["ph2"] * 4))
    segmenter.segment(batch.image, SamplingConfig())
    assert network.style_numbers == [None, None]


@pytest.mark.parametrize(("style", "number"), [("any", 0), ("isic2018", 1), ("ham10000", 2), ("ph2", 3)])
@pytest.mark.parametrize("samples", [0, 2])
def test_the_style_of_sampling_reaches_the_encoder(
    style: str, number: int, samples: int, recorded: Recorded, batch: Batch
) -> None:
    segmenter, network = recorded(lambda x, t, image: x, styles=STYLES)
    assert segmenter.styles == STYLES
    segmenter.segment(batch.image[:3], SamplingConfig(samples=samples, steps=1, style=style))
    (found,) = network.style_numbers
    assert found.tolist() == [number] * 3
    assert found.dtype == torch.int64


def test_the_style_reaches_the_encoder_of_every_mirror_image(recorded: Recorded, batch: Batch) -> None:
    segmenter, network = recorded(lambda x, t, image: x, styles=STYLES)
    segmenter.segment(batch.image, SamplingConfig(mirror=True, style="ph2"))
    assert [found.tolist() for found in network.style_numbers] == [[3] * 4] * 4


@pytest.mark.parametrize("styles", [(), STYLES])
def test_an_unknown_style_is_refused(trained: Make, batch: Batch, styles: tuple[str, ...]) -> None:
    segmenter = trained(model={**TINY, "styles": styles}) if styles else trained()
    choices = ", ".join(("any", *styles))
    with pytest.raises(UserError, match=f"no annotation style 'ph3'; choose one of {choices}$"):
        segmenter.segment(batch.image, SamplingConfig(style="ph3"))


def test_a_fresh_token_changes_nothing(fresh: Make, trained: Make, batch: Batch) -> None:
    """Its embeddings start at 0, so a model with styles starts as the same model without."""
    plain = trained().eval()
    segmenter = fresh(model={**TINY, "styles": STYLES}).eval()
    missing, unexpected = segmenter.load_state_dict(plain.state_dict(), strict=False)
    assert (missing, unexpected) == (["network.style.weight"], [])
    expected = plain.segment(batch.image, SamplingConfig()).probability
    assert float(expected.std()) > 0.01
    for style in ("any", *STYLES):
        assert torch.equal(segmenter.segment(batch.image, SamplingConfig(style=style)).probability, expected)


def test_a_trained_token_changes_the_mask(trained: Make, batch: Batch) -> None:
    segmenter = trained(model={**TINY, "styles": STYLES})
    segmenter.get_parameter("network.style.weight").data.normal_()
    found = [
        segmenter.segment(batch.image, SamplingConfig(style=style)).probability for style in ("any", *STYLES)
    ]
    assert all(not torch.equal(one, other) for n, one in enumerate(found) for other in found[:n])


def test_training_moves_the_tokens_of_the_styles_it_sees(trained: Make, batch: Batch) -> None:
    segmenter = trained(model={**TINY, "styles": STYLES})
    torch.manual_seed(5)
    dropped = torch.rand(4) < STYLE_DROP
    assert 0 < int(dropped.sum()) < 4
    torch.manual_seed(5)
    segmenter.loss(styled(batch, ["ham10000"] * 4)).backward()
    gradient = segmenter.get_parameter("network.style.weight").grad
    assert gradient is not None
    assert gradient.any(dim=1).tolist() == [True, False, True, False]


def test_a_model_with_styles_runs_on_its_own_parts(trained: Make, batch: Batch) -> None:
    segmenter = trained(model={**TINY, "styles": STYLES})
    segmenter.get_parameter("network.style.weight").data.normal_()
    sampling = SamplingConfig(samples=2, steps=2, style="ph2")
    expected = segmenter.segment(batch.image, sampling).probability
    parts = segmenter.parts(batch.image)
    assert parts["encoder"].input_names == ("image", "style")
    segmenter.run_on({name: part.module for name, part in parts.items()})
    assert segmenter.styles == STYLES
    assert torch.equal(segmenter.segment(batch.image, sampling).probability, expected)
