import pytest
import torch
from monai.networks import nets
from pydantic import ValidationError

from mlffm_segdiff.models.baselines.unetr import UNETR, UNETRConfig

SMALL = (64, 4, 24, 32, 2)


def test_the_encoder_has_as_many_parameters_as_vit_base() -> None:
    """Dosovitskiy et al. 2021, table 1: 86 M, with biases of the queries, keys and values."""
    section = UNETRConfig(name="unetr")
    with torch.device("meta"):
        network = UNETR(
            section.image_size, section.feature_size, section.hidden_size, section.mlp_size, section.heads
        )
    assert sum(p.numel() for p in network.vit.parameters()) == pytest.approx(86e6, rel=0.01)


def test_at_its_own_size_it_is_monais() -> None:
    ours = UNETR(*SMALL).eval()
    theirs = nets.UNETR(
        3, 1, 64, feature_size=4, hidden_size=24, mlp_dim=32, num_heads=2, spatial_dims=2
    ).eval()
    state = ours.state_dict()
    positions = state.pop("vit.patch_embedding.position.embedding")
    for part in ("weight", "bias"):
        name = f"vit.patch_embedding.patch_embeddings.{part}"
        state[name] = state.pop(f"vit.patch_embedding.projection.{part}")
    state["vit.patch_embedding.position_embeddings"] = positions.flatten(2).transpose(1, 2)
    missing, unexpected = theirs.load_state_dict(state, strict=False)
    assert all("norm_cross_attn" in name for name in missing)
    assert unexpected == []
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(image), theirs(image), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(48, 80), (128, 64), (32, 32)])
def test_other_sizes_take_positions_between_the_learnt_ones(height: int, width: int) -> None:
    network = UNETR(*SMALL).eval()
    assert height % network.total_stride == width % network.total_stride == 0
    with torch.no_grad():
        assert network(torch.randn(1, 3, height, width)).shape == (1, 1, height, width)
        network.vit.patch_embedding.projection.weight.zero_()
        network.vit.patch_embedding.projection.bias.zero_()
        tokens = network.vit.patch_embedding(torch.randn(1, 3, height, width))
    learnt = network.vit.patch_embedding.position.embedding[0]
    corners = tokens[0].unflatten(0, (height // 16, width // 16))[:: height // 16 - 1, :: width // 16 - 1]
    torch.testing.assert_close(corners, learnt[:, ::3, ::3].permute(1, 2, 0))


def test_heads_share_the_channels() -> None:
    with pytest.raises(ValidationError, match="heads=5 does not divide hidden_size=24"):
        UNETRConfig(name="unetr", hidden_size=24, heads=5)
