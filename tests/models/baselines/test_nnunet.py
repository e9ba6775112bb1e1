from itertools import pairwise

import numpy as np
import torch
from monai.networks.nets import DynUNet
from torch import nn

from mlffm_segdiff.models.baselines.nnunet import NNUNet, supervision_weights, z_score
from mlffm_segdiff.models.baselines.nnunet_plan import plan_network

FEATURES, STRIDES = (4, 6, 8, 8, 8), ((1, 1), (2, 2), (2, 2), (2, 2), (2, 1))


def test_nnunet_is_monais_dynunet() -> None:
    ours = NNUNet(FEATURES, STRIDES).eval()
    steps = [list(stride) for stride in STRIDES]
    theirs = DynUNet(2, 3, 1, [3] * 5, steps, steps[1:], filters=FEATURES).eval()
    missing, unexpected = theirs.load_state_dict(ours.state_dict(), strict=False)
    assert all(name.startswith("skip_layers.") for name in missing)
    assert all(name.startswith("coarser_outputs.") for name in unexpected)
    image = torch.randn(2, 3, 32, 16)
    assert ours.total_stride == 16
    with torch.no_grad():
        assert torch.equal(ours(image), theirs(z_score(image)))


def test_an_image_is_normalised_as_nnunet_does() -> None:
    """By channel, mean 0 and deviation 1, so brightness and contrast of the whole do not count."""
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 6)).astype(np.float32)
    expected = np.stack([[(c - c.mean()) / c.std() for c in image] for image in pixels])
    image = torch.from_numpy(pixels)
    torch.testing.assert_close(z_score(image), torch.from_numpy(expected), rtol=0, atol=1e-5)
    torch.testing.assert_close(z_score(image / 127.5 - 1), z_score(image), rtol=0, atol=1e-5)
    assert not z_score(torch.ones(1, 3, 4, 4)).any()
    network = NNUNet(FEATURES, STRIDES).eval()
    image = torch.rand(2, 3, 32, 16)
    with torch.no_grad():
        torch.testing.assert_close(network(image * 0.5 - 0.3), network(image), rtol=0, atol=1e-4)


def test_each_stage_of_the_decoder_but_the_coarsest_is_supervised() -> None:
    network = NNUNet(FEATURES, STRIDES)
    image = torch.randn(2, 3, 32, 32)
    weights, logits = zip(*network.supervise(image), strict=True)
    assert weights == (4 / 7, 2 / 7, 1 / 7)
    assert [tuple(logit.shape) for logit in logits] == [(2, 1, 32, 32), (2, 1, 16, 16), (2, 1, 8, 8)]
    assert torch.equal(network(image), logits[0])
    torch.stack([logit.sum() for logit in logits]).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


def test_weights_halve_and_sum_to_one() -> None:
    """nnU-Net's own for a network of six stages, whose coarsest output has no weight."""
    assert supervision_weights(1) == [1]
    assert supervision_weights(4) == [8 / 15, 4 / 15, 2 / 15, 1 / 15]


def test_each_weight_is_kept_once() -> None:
    network = NNUNet(FEATURES, STRIDES)
    stored = [value.data_ptr() for value in network.state_dict().values()]
    assert len(set(stored)) == len(stored)


def test_the_parameters_of_the_plan_for_128() -> None:
    """nnU-Net's network has biases before its normalisations too, where they do nothing."""
    plan = plan_network(128, 128)
    with torch.device("meta"):
        network = NNUNet(plan.features, plan.strides)
    convolutions = sum(
        m.weight.numel() for m in network.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))
    )
    f = (3, 32, 64, 128, 256, 512, 512)
    encoder = sum(9 * b * (a + b) for a, b in pairwise(f))
    decoder = sum(4 * a * b + 9 * a * 2 * a + 9 * a * a for a, b in pairwise(f[1:]))
    assert convolutions == encoder + decoder + sum(f[1:5])
