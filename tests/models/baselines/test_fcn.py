import pytest
import torch
import torch.nn.functional as F

from mlffm_segdiff.models.baselines.fcn import (
    FCN,
    FCNConfig,
    LearnedUpsampling,
    UnfoldedConv2d,
    bilinear_kernel,
)

VGG16 = 138_357_544
ITS_CLASSES = 1000 * 4096 + 1000


def network() -> FCN:
    return FCN((4, 4, 6, 8, 8), (1, 1, 2, 1, 1), 16, 0.5, True)


@pytest.mark.parametrize("normalise", [False, True])
def test_vgg_16_but_for_its_classes_and_the_scores(normalise: bool) -> None:
    """The paper gives 134 million for FCN-VGG16. A normalisation has two numbers a channel."""
    arguments = FCNConfig(name="fcn", normalise=normalise).model_dump(exclude={"name"})
    with torch.device("meta"):
        model = FCN(**arguments)
    scores = (4096 + 1) + (512 + 1) + (256 + 1)
    upsampling = 2 * 4 * 4
    norms = 2 * (2 * 64 + 2 * 128 + 3 * 256 + 6 * 512) if normalise else 0
    expected = VGG16 - ITS_CLASSES + scores + upsampling + norms
    assert sum(p.numel() for p in model.parameters()) == expected
    assert round(expected, -6) == 134_000_000


def test_a_new_network_scores_nothing() -> None:
    with torch.no_grad():
        assert not network()(torch.randn(1, 3, 64, 96)).any()


def test_the_unfolded_convolution_is_a_convolution() -> None:
    conv, x = UnfoldedConv2d(3, 5, 7, padding=3), torch.randn(2, 3, 4, 6)
    torch.testing.assert_close(conv(x), F.conv2d(x, conv.weight, conv.bias, padding=3))


def test_three_scores_are_added_by_hand() -> None:
    """Scores of 1, 2 and 4 everywhere: 7 away from the rim, where upsampling has nothing to read."""
    model = network().eval()
    with torch.no_grad():
        for conv, value in ((model.score_32, 1.0), (model.score_16, 2.0), (model.score_8, 4.0)):
            conv.bias.fill_(value)
        logit = model(torch.randn(1, 3, 128, 160))[0, 0]
    torch.testing.assert_close(logit[40:-40, 40:-40], torch.full((48, 80), 7.0))
    corner = 4 + 0.75**2 * (2 + 0.75**2)
    torch.testing.assert_close(logit[:4, :4], torch.full((4, 4), corner))


def test_the_scores_read_the_pools_at_an_eighth_to_a_thirty_second() -> None:
    model = network().eval()
    sizes = {}
    for name in ("score_8", "score_16", "score_32"):
        getattr(model, name).register_forward_hook(
            lambda module, given, result, name=name: sizes.update({name: tuple(given[0].shape[1:])})
        )
    with torch.no_grad():
        assert model(torch.randn(1, 3, 64, 96)).shape == (1, 1, 64, 96)
    assert sizes == {"score_8": (6, 8, 12), "score_16": (8, 4, 6), "score_32": (16, 2, 3)}


def test_dropout_is_active_only_in_training() -> None:
    model = network()
    image = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        model.score_32.weight.fill_(1)
        assert not torch.equal(model(image), model(image))
        model.eval()
        assert torch.equal(model(image), model(image))


def test_the_bilinear_kernel_by_hand() -> None:
    line = torch.tensor([0.25, 0.75, 0.75, 0.25])
    torch.testing.assert_close(bilinear_kernel(2), torch.outer(line, line))
    line = torch.tensor([1, 3, 5, 7, 7, 5, 3, 1]) / 8
    torch.testing.assert_close(bilinear_kernel(4), torch.outer(line, line))


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_a_new_upsampling_is_bilinear_but_for_the_rim(factor: int) -> None:
    scores = torch.randn(2, 1, 5, 6)
    with torch.no_grad():
        found = LearnedUpsampling(factor)(scores)
    assert found.shape == (2, 1, 5 * factor, 6 * factor)
    expected = F.interpolate(scores, scale_factor=float(factor), mode="bilinear", align_corners=False)
    rim = factor // 2
    inner = (..., slice(rim, -rim), slice(rim, -rim))
    torch.testing.assert_close(found[inner], expected[inner])


def test_an_upsampling_sees_nothing_outside_and_learns() -> None:
    up = LearnedUpsampling(2)
    found = up(torch.ones(1, 1, 3, 3))
    assert found[0, 0, 0, 0].item() == 0.75**2
    assert found[0, 0, 0, 2].item() == 0.75
    assert found[0, 0, 2, 2].item() == 1
    found.sum().backward()
    assert up.weight.grad is not None
    assert up.weight.grad.all()
