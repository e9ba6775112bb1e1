import pytest
import torch
from monai.networks.nets import BasicUNet
from torch import nn

from mlffm_segdiff.config.diffusion_config import DiffusionConfig
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.loss_config import LossConfig
from mlffm_segdiff.config.packaged import recipe_names
from mlffm_segdiff.config.schema import Recipe, SamplingConfig
from mlffm_segdiff.diffusion.process import MaskDiffusion
from mlffm_segdiff.losses.boundary_weight import band_weight, dermosegdiff_weight
from mlffm_segdiff.losses.region import RegionLoss
from mlffm_segdiff.models.mlffm import MLFFM
from mlffm_segdiff.models.mlffm_segdiff import MLFFMSegDiff
from mlffm_segdiff.models.registry import MODELS
from mlffm_segdiff.segmenters.assembly import (
    build_draws,
    build_objective,
    build_segmenter,
    build_weight,
    checked_sampling,
    require_contract,
)
from mlffm_segdiff.segmenters.cost import build_on_meta
from mlffm_segdiff.segmenters.diffusion import DiffusionSegmenter
from mlffm_segdiff.segmenters.direct import DirectSegmenter
from mlffm_segdiff.segmenters.objectives import X0, Epsilon, V
from mlffm_segdiff.segmenters.recipe import check_recipe, load_recipe
from mlffm_segdiff.segmenters.training_draws import Dual, Recycling, Single, TrainingDraws

UNET: dict[str, object] = {"name": "unet", "widths": [4, 4], "residual_units": 1}


def recipe(**sections: dict[str, object]) -> Recipe:
    values: dict[str, object] = {"name": "x", "data": {"sources": {"synthetic": None}, "size": 32}}
    return check_recipe({**values, "model": {"name": "mlffm_segdiff", "size": "tiny"}, **sections}, "here")


def model(**keys: object) -> Recipe:
    return recipe(model={"name": "mlffm_segdiff", "size": "tiny", **keys})


def weight(built: Recipe) -> int:
    return sum(p.numel() for p in build_segmenter(built).parameters())


@pytest.mark.parametrize("name", recipe_names())
def test_every_packaged_recipe_builds(name: str) -> None:
    chosen = load_recipe(name)
    direct = MODELS[chosen.model.name].contract == "direct"
    assert isinstance(build_on_meta(chosen), DirectSegmenter if direct else DiffusionSegmenter)


@pytest.mark.parametrize("switch", ["attention", "alignment", "adaptive"])
def test_each_switch_of_the_recipe_takes_parameters_away(switch: str) -> None:
    assert weight(model(fusion_width=None)) < weight(model(**{switch: False})) < weight(model())


def test_each_switch_reaches_its_own_part() -> None:
    parts = {"attention": "attend", "alignment": "align", "adaptive": "weights"}
    for switch in parts:
        fusion = build_segmenter(model(**{switch: False})).network.fusion
        learning = {name for name in parts if list(getattr(fusion, parts[name]).parameters())}
        assert learning == set(parts) - {switch}


def test_fusion_off_is_exactly_the_rest_of_the_network() -> None:
    torch.manual_seed(0)
    with_fusion, without = build_segmenter(model()), build_segmenter(model(fusion_width=None))
    names = {name for name in with_fusion.state_dict() if not name.startswith("network.fusion.")}
    assert set(without.state_dict()) == names
    assert isinstance(with_fusion.network.fusion, MLFFM)


def test_the_recipe_reaches_the_segmenter() -> None:
    segmenter = build_segmenter(
        recipe(
            diffusion={
                "objective": "x0",
                "schedule": "linear",
                "train_steps": 300,
                "beta_start": 0.001,
                "beta_end": 0.03,
                "mask_scale": 0.3,
                "noisy_bias": 2,
                "self_conditioning": True,
                "noisy_share": 0.25,
                "noisy_weight": 0.7,
            },
            loss={
                "cross_entropy": 2,
                "dice": 3,
                "kervadec": 0.5,
                "batch_dice": True,
                "dice_smooth": 0.1,
            },
        )
    )
    assert isinstance(segmenter, DiffusionSegmenter)
    assert segmenter.process == MaskDiffusion("linear", 300, 0.001, 0.03, 0.3)
    assert isinstance(segmenter.objective, X0)
    assert segmenter.objective.mask_scale == 0.3
    assert segmenter.draws == Dual(noisy_share=0.25, noisy_weight=0.7)
    assert (segmenter.noisy_bias, segmenter.self_conditioning) == (2, True)
    loss = segmenter.objective.mask_loss
    assert (loss.cross_entropy, loss.dice, loss.kervadec) == (2, 3, 0.5)
    assert (loss.dice_loss.batch, loss.dice_loss.smooth_nr, loss.dice_loss.smooth_dr) == (True, 0.1, 0.1)
    assert isinstance(segmenter.network, MLFFMSegDiff)
    assert segmenter.network.stem.in_channels == 2 * segmenter.network.mask_stride**2


@pytest.mark.parametrize(
    ("section", "draws"),
    [
        ({"training": "single"}, Single()),
        ({"training": "recycling", "recycling_shift": 1.5}, Recycling(1.5)),
        ({}, Dual(0.5, 1.0)),
    ],
)
def test_training_draws_by_name(section: dict[str, object], draws: TrainingDraws) -> None:
    assert build_draws(recipe(diffusion=section).diffusion) == draws


@pytest.mark.parametrize(("name", "kind"), [("x0", X0), ("epsilon", Epsilon), ("v", V)])
def test_objectives_by_name(name: str, kind: type) -> None:
    settings = DiffusionConfig.model_validate({"objective": name, "training": "single", "mask_scale": 0.3})
    objective = build_objective(settings, RegionLoss())
    assert type(objective) is kind
    assert getattr(objective, "mask_scale", 0.3) == 0.3


def test_weights_by_name() -> None:
    distance, share, time = torch.randn(2, 1, 8, 8) * 4, torch.tensor([0.2, 0.9]), torch.tensor([0.7, 0.1])
    expected = {
        "none": torch.ones(1, 1, 8, 8),
        "band": band_weight(distance, share, 1.5, 2.5),
        "dermosegdiff": 1 + 0.3 * dermosegdiff_weight(distance, time, 1.2),
    }
    keys = {"band_gain": 1.5, "band_width": 2.5, "dermosegdiff_gain": 0.3, "dermosegdiff_gamma": 1.2}
    for name, values in expected.items():
        settings = LossConfig.model_validate({"weight": name, **keys})
        torch.testing.assert_close(
            build_weight(settings)(distance, share, time).expand(2, 1, 8, 8), values.expand(2, 1, 8, 8)
        )


def test_sampling() -> None:
    assert checked_sampling(SamplingConfig()) == SamplingConfig(
        samples=0, steps=4, seed=0, sampler="ddim", mirror=False, style="any"
    )
    chosen = SamplingConfig(sampler="dpm", steps=3, samples=5, seed=7)
    assert checked_sampling(chosen) == SamplingConfig(samples=5, steps=3, seed=7, sampler="dpm")
    assert checked_sampling(SamplingConfig(mirror=True, style="ph2")) == SamplingConfig(
        mirror=True, style="ph2"
    )


@pytest.mark.parametrize(
    ("sections", "named"),
    [
        ({"diffusion": {"noisy_share": 0.25}}, r"diffusion\.noisy_share"),
        ({"diffusion": {"mask_scale": 1.0}}, r"diffusion\.mask_scale"),
        ({"sampling": {"widening": 2}}, r"sampling\.widening"),
        ({"sampling": {"logit_spread": 2}}, r"sampling\.logit_spread"),
        ({"sampling": {"samples": 2, "sampler": "ddpm"}}, r"sampling\.samples, sampling\.sampler"),
    ],
)
def test_a_direct_network_refuses_options_of_diffusion(
    sections: dict[str, dict[str, object]], named: str
) -> None:
    with pytest.raises(UserError, match=rf"unet segments in one pass, .*; leave out {named}$"):
        build_segmenter(recipe(model=UNET, **sections))


def test_a_network_of_one_pass_draws_no_samples() -> None:
    with pytest.raises(UserError, match=r"unet segments in one pass, .*; leave out sampling\.samples$"):
        build_segmenter(recipe(model=UNET, sampling={"samples": 1}))
    build_segmenter(recipe(model=UNET, sampling={"samples": 0}))


def test_every_contract_takes_mirror_images() -> None:
    mirrored: dict[str, object] = {"mirror": True}
    assert isinstance(build_segmenter(recipe(model=UNET, sampling=mirrored)), DirectSegmenter)
    assert isinstance(build_segmenter(recipe(sampling=mirrored)), DiffusionSegmenter)


@pytest.mark.parametrize("name", ["isic2018", "any", "ph2"])
def test_a_style_of_the_model_is_taken(name: str) -> None:
    styled = {"name": "mlffm_segdiff", "size": "tiny", "styles": ["isic2018", "ph2"]}
    segmenter = build_segmenter(recipe(model=styled, sampling={"style": name}))
    assert segmenter.styles == ("isic2018", "ph2")


@pytest.mark.parametrize(
    ("section", "valid"),
    [
        ({"name": "mlffm_segdiff", "size": "tiny", "styles": ["isic2018", "ph2"]}, "any, isic2018, ph2"),
        ({"name": "mlffm_segdiff", "size": "tiny"}, "any"),
        (UNET, "any"),
    ],
)
def test_an_unknown_style_is_refused_with_the_known_ones(section: dict[str, object], valid: str) -> None:
    says = rf"^no annotation style 'ham10000' in this model; choose one of {valid}$"
    with pytest.raises(UserError, match=says):
        build_segmenter(recipe(model=section, sampling={"style": "ham10000"}))


@pytest.mark.parametrize("objective", ["epsilon", "v"])
def test_an_objective_of_noise_needs_samples(objective: str) -> None:
    diffusion = {"objective": objective, "training": "single"}
    says = rf"objective {objective} has no mask in one step; set sampling\.samples=1 or more"
    with pytest.raises(UserError, match=says):
        recipe(diffusion=diffusion)
    assert recipe(diffusion=diffusion, sampling={"samples": 1}).diffusion.objective == objective


@pytest.mark.parametrize("objective", ["epsilon", "v"])
@pytest.mark.parametrize("training", ["dual", "recycling"])
def test_an_objective_of_noise_needs_single_draws(objective: str, training: str) -> None:
    diffusion = {"objective": objective, "training": training}
    with pytest.raises(UserError, match=rf"objective {objective} needs diffusion\.training=single"):
        recipe(diffusion=diffusion, sampling={"samples": 1})


@pytest.mark.parametrize(
    ("settings", "stride", "near"),
    [
        ({"name": "mlffm_segdiff", "size": "tiny"}, 8, 32),
        ({"name": "mlffm_segdiff", "size": "small"}, 32, 32),
        ({"name": "unet", "widths": [4, 4, 4, 4, 4, 4]}, 32, 32),
    ],
)
def test_a_size_the_model_cannot_halve_is_refused(
    settings: dict[str, object], stride: int, near: int
) -> None:
    data = {"sources": {"synthetic": None}, "size": 36}
    with pytest.raises(UserError, match=rf"data\.size=36 is not a multiple of {stride}, .*; use {near}"):
        build_segmenter(recipe(model=settings, data=data))


def test_fresh_weights_come_from_torchs_seed() -> None:
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append(build_segmenter(model()).state_dict())
    name = "network.stem.weight"
    assert torch.equal(states[0][name], states[1][name])
    assert not torch.equal(states[0][name], states[2][name])


@pytest.mark.parametrize(
    ("name", "overrides", "fits"),
    [
        ("unet", [], False),
        ("isic2018", [], True),
        ("isic2018", ["train.encoder_init=null"], False),
        ("isic2018", ["train.encoder_init=null", "train.encoder_rate=0.3"], True),  # the default
        ("unet_lite0", [], True),
    ],
)
def test_the_rate_of_an_encoder_needs_a_pretrained_one(name: str, overrides: list[str], fits: bool) -> None:
    recipe = load_recipe(name, ["train.encoder_rate=0.1", *overrides])
    if fits:
        build_segmenter(recipe)
        return
    says = r"train\.encoder_rate=0\.1 has no effect without a pretrained encoder; leave it out"
    with pytest.raises(UserError, match=says):
        build_segmenter(recipe)


def test_a_network_needs_the_methods_of_its_contract() -> None:
    denoiser, one_pass = model().model, recipe(model=UNET).model
    network = one_pass.build(mask_channels=1)
    require_contract(network, one_pass)
    require_contract(denoiser.build(mask_channels=1), denoiser)
    require_contract(BasicUNet(spatial_dims=2, in_channels=3, out_channels=1), one_pass)
    with pytest.raises(UserError, match=r"mlffm_segdiff has no encode\(\), as contract = 'denoiser' needs"):
        require_contract(network, denoiser)
    with pytest.raises(UserError, match=r"unet has no forward\(\), as contract = 'direct' needs"):
        require_contract(nn.ModuleList(), one_pass)
