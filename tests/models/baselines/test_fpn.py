import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlffm_segdiff.models.baselines.fpn import FPN, FPNConfig, ResNetEncoder, SemanticHead
from mlffm_segdiff.models.encoders import EfficientNetLite

RESNET_50 = 25_557_032
ITS_CLASSES = 1000 * 2048 + 1000


def network(pyramid_width: int = 8) -> FPN:
    return FPN(ResNetEncoder((4, 6, 8, 10), (1, 2, 1, 1)), pyramid_width, 32)


def test_resnet_50_but_for_its_classes_and_a_pyramid_of_both_papers_widths() -> None:
    with torch.device("meta"):
        model = FPNConfig(name="fpn").build(1)
    lateral = 256 * (256 + 512 + 1024 + 2048 + 4)
    merged = 4 * 256 * (9 * 256 + 1)
    stages = 4 * (9 * 256 * 128) + 3 * (9 * 128 * 128) + 7 * 2 * 128
    assert sum(p.numel() for p in model.encoder.parameters()) == RESNET_50 - ITS_CLASSES
    assert sum(p.numel() for p in model.pyramid.parameters()) == lateral + merged
    assert sum(p.numel() for p in model.head.parameters()) == stages + 128 + 1


def test_resnet_gives_four_levels() -> None:
    levels = network().encoder(torch.randn(2, 3, 64, 96))
    assert [tuple(level.shape[1:]) for level in levels] == [
        (16, 16, 24),
        (24, 8, 12),
        (32, 4, 6),
        (40, 2, 3),
    ]


def test_coarse_levels_are_added_to_finer_ones_by_hand() -> None:
    """With convolutions that pass their first channel on, levels of 1, 10, 100 and 1000 add up downwards."""
    model = network(pyramid_width=1)
    with torch.no_grad():
        for conv in model.pyramid.modules():
            if isinstance(conv, nn.Conv2d):
                middle = conv.kernel_size[0] // 2
                conv.weight.zero_()
                conv.weight[:, 0, middle, middle] = 1
        levels = {
            str(n): torch.full((1, 4 * width, 16 >> n, 8 >> n), 10.0**n)
            for n, width in enumerate((4, 6, 8, 10))
        }
        pyramid = list(model.pyramid(levels).values())
    assert [p.unique().tolist() for p in pyramid] == [[1111], [1110], [1100], [1000]]
    assert [tuple(p.shape[1:]) for p in pyramid] == [(1, 16, 8), (1, 8, 4), (1, 4, 2), (1, 2, 1)]


def test_a_pyramid_on_an_encoder_reads_its_last_four_levels() -> None:
    encoder = EfficientNetLite("efficientnet_lite0")
    model = FPN(encoder, 8, 32).eval()
    assert [conv.in_channels for conv in model.pyramid.inner_blocks] == [24, 40, 112, 320]
    image = torch.randn(2, 3, 64, 96)
    logit = model(image)
    assert logit.shape == (2, 1, 64, 96)
    _, *features = encoder(image)
    pyramid = model.pyramid({str(n): feature for n, feature in enumerate(features)})
    expected = nn.functional.interpolate(model.head([*pyramid.values()]), scale_factor=4, mode="bilinear")
    torch.testing.assert_close(logit, expected, rtol=0, atol=0)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (32, 96)])
def test_an_image_becomes_a_logit_of_its_size(height: int, width: int) -> None:
    model = network().eval()
    with torch.no_grad():
        logit = model(torch.randn(2, 3, height, width))
    assert logit.shape == (2, 1, height, width)
    assert float(logit.std()) > 0


def pyramid(height: int, width: int, channels: int) -> list[Tensor]:
    return [torch.randn(2, channels, height >> level, width >> level) for level in range(4)]


def brought_up(head: SemanticHead, level: int, p: Tensor) -> Tensor:
    """Return a level at the finest one's size, by functions on the head's weights."""
    stages = head.branches[level]
    assert len(stages) == max(level, 1)
    for conv, norm, *_ in stages:
        p = F.conv2d(p, conv.weight, padding=1)
        p = F.relu(F.group_norm(p, 2, norm.weight, norm.bias))
        if level:
            p = F.interpolate(p, scale_factor=2.0, mode="bilinear", align_corners=False)
    return p


@pytest.mark.parametrize(("height", "width"), [(16, 24), (24, 8)])
def test_the_head_scores_the_sum_of_all_levels_at_the_finest_size(height: int, width: int) -> None:
    head = SemanticHead(4, channels=5, width=6, groups=2)
    levels = pyramid(height, width, 5)
    with torch.no_grad():
        logit = head(levels)
        total = torch.stack([brought_up(head, level, p) for level, p in enumerate(levels)]).sum(dim=0)
        expected = F.conv2d(total, head.score.weight, head.score.bias)
    assert logit.shape == (2, 1, height, width)
    torch.testing.assert_close(logit, expected, rtol=1e-4, atol=1e-5)


def test_as_many_stages_as_halvings_and_one_for_the_finest() -> None:
    head = SemanticHead(4, channels=256, width=128, groups=32)
    stages = 4 * (9 * 256 * 128) + 3 * (9 * 128 * 128) + 7 * 2 * 128
    assert sum(p.numel() for p in head.parameters()) == stages + 128 + 1
