import hashlib
import json
import pickle
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from trap import Trap

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.image_quality import QualityLimits
from mlffm_segdiff.metrics.certainty import Calibration
from mlffm_segdiff.segmenters import pretrained, saved_weights
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.base import BaseSegmenter
from mlffm_segdiff.segmenters.calibration import QUALITY, Quality, StyleCalibration
from mlffm_segdiff.segmenters.pretrained import Pretrained, load_pretrained, save_segmenter
from mlffm_segdiff.segmenters.recipe import check_recipe
from mlffm_segdiff.segmenters.saved_weights import DEFAULT_LICENCE, WEIGHTS, weights_digest

RECIPE = check_recipe(
    {
        "name": "x",
        "data": {"sources": {"synthetic": None}, "size": 32},
        "model": {"name": "mlffm_segdiff", "size": "tiny"},
        "sampling": {"sampler": "dpm", "steps": 3, "samples": 2, "seed": 5},
    },
    "here",
)
QUALITY_OF_NOTHING = Quality(
    sampling=SamplingConfig(),
    sources=("synthetic",),
    cases=2,
    training_images=2,
    split="s",
    styles={"any": StyleCalibration(calibration=Calibration((0.1, 0.9), (0.2, 0.8)))},
    limits=QualityLimits((0, 1), (0, 1), (0, 1), (0, 1)),
)
IMAGE = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture(scope="module")
def segmenter() -> BaseSegmenter:
    torch.manual_seed(0)
    made = build_segmenter(RECIPE)
    for p in made.parameters():
        p.data.add_(0.05 * torch.randn_like(p))
    return made.eval()


@pytest.fixture
def saved(segmenter: BaseSegmenter, tmp_path: Path) -> Path:
    save_segmenter(segmenter, RECIPE, tmp_path / "weights")
    return tmp_path / "weights"


def test_weights_and_recipe_come_back_as_they_were(segmenter: BaseSegmenter, saved: Path) -> None:
    for name in (saved, str(saved), saved.parent):  # the last as a run folder
        found = load_pretrained(name)
        assert found.recipe == RECIPE
        assert found.sampling == SamplingConfig(samples=2, steps=3, seed=5, sampler="dpm")
        assert not found.segmenter.training
        state = segmenter.state_dict()
        assert all(torch.equal(value, state[key]) for key, value in found.segmenter.state_dict().items())
        expected = segmenter.segment(IMAGE, found.sampling)
        assert torch.equal(found.segmenter.segment(IMAGE, found.sampling).probability, expected.probability)


def test_float16_halves_the_file_and_hardly_moves_the_masks(
    segmenter: BaseSegmenter, saved: Path, tmp_path: Path
) -> None:
    save_segmenter(segmenter, RECIPE, tmp_path / "half", torch.float16)
    with safe_open(tmp_path / "half" / WEIGHTS, "pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.float16}  # noqa: SIM118
    assert (tmp_path / "half" / WEIGHTS).stat().st_size < 0.6 * (saved / WEIGHTS).stat().st_size
    half = load_pretrained(tmp_path / "half").segmenter
    assert {p.dtype for p in half.parameters()} == {torch.float32}
    whole = segmenter.segment(IMAGE, SamplingConfig()).probability
    assert float((half.segment(IMAGE, SamplingConfig()).probability - whole).abs().max()) < 0.01
    assert {p.dtype for p in segmenter.parameters()} == {torch.float32}  # the given one is unchanged


def test_the_hubs_mixin_reads_and_writes_the_same_files(
    segmenter: BaseSegmenter, saved: Path, tmp_path: Path
) -> None:
    Pretrained.from_pretrained(str(saved)).save_pretrained(tmp_path / "again")
    again = load_pretrained(tmp_path / "again")
    assert again.recipe == RECIPE
    assert (tmp_path / "again" / WEIGHTS).read_bytes() == (saved / WEIGHTS).read_bytes()
    assert torch.equal(
        again.segmenter.state_dict()["network.stem.weight"], segmenter.state_dict()["network.stem.weight"]
    )
    assert json.loads((tmp_path / "again" / "config.json").read_text())["recipe"]["name"] == "x"


def test_the_licence_of_the_packages_weights_goes_with_copies(tmp_path: Path) -> None:
    load_pretrained("default").save_pretrained(tmp_path / "copy")
    card = (tmp_path / "copy" / "README.md").read_text(encoding="utf-8")
    assert "license: cc-by-nc-sa-4.0" in card
    again = load_pretrained(tmp_path / "copy")
    assert again.licence == DEFAULT_LICENCE
    again.save_pretrained(tmp_path / "again")
    assert load_pretrained(tmp_path / "again").licence == DEFAULT_LICENCE


def test_weights_without_a_licence_have_none(saved: Path) -> None:
    assert load_pretrained(saved).licence == ""
    assert "licence" not in json.loads((saved / "config.json").read_text())


def test_everyone_may_read_the_weights(saved: Path) -> None:
    assert (saved / WEIGHTS).stat().st_mode == (saved / "config.json").stat().st_mode


def test_the_default_name_is_the_packages_folder(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = saved.parent / "package"
    monkeypatch.setattr(saved_weights, "files", lambda _: root)
    with pytest.raises(UserError, match=r"package.weights.default: no config\.json and model\.safetensors"):
        load_pretrained("default")
    (root / "weights").mkdir(parents=True)
    saved.rename(root / "weights" / "default")
    with pytest.raises(UserError, match=r"model\.safetensors is not the file of this version"):
        load_pretrained("default")
    digest = hashlib.sha256((root / "weights" / "default" / WEIGHTS).read_bytes()).hexdigest()
    monkeypatch.setattr(saved_weights, "DEFAULT_SHA256", digest)
    assert load_pretrained("default").recipe == RECIPE


@pytest.mark.parametrize("name", ["pytorch_model.bin", WEIGHTS, "model.ckpt", "config.json"])
@pytest.mark.parametrize("only", [True, False])
def test_no_pickle_is_ever_loaded(name: str, only: bool, saved: Path, tmp_path: Path) -> None:
    trap = pickle.dumps(Trap(tmp_path / "sprung"))
    if only:
        for file in saved.iterdir():
            file.unlink()
    (saved / name).write_bytes(trap)
    if only or name in (WEIGHTS, "config.json"):
        with pytest.raises(UserError):
            load_pretrained(saved)
    else:
        load_pretrained(saved)
    assert not (tmp_path / "sprung").exists()
    pickle.loads(trap)  # the trap does work
    assert (tmp_path / "sprung").exists()


def _truncate(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:5000])


def _empty(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"")


def _other_shape(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["recipe"]["model"]["fusion_width"] = 12
    (folder / "config.json").write_text(json.dumps(config))


def _less(folder: Path) -> None:
    state = load_file(folder / WEIGHTS)
    del state["network.head.bias"]
    save_file(state, folder / WEIGHTS)


def _misspelt(folder: Path) -> None:
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace('"learning_rate"', '"learning_rat"'))


def _with_values(value: float) -> Callable[[Path], None]:
    """Return the damage of one value in some of the weights, one at a time."""

    def damage(folder: Path) -> None:
        state = load_file(folder / WEIGHTS)
        for name in list(state)[::20]:
            changed = {**state, name: state[name].clone()}
            changed[name].view(-1)[-1] = value
            save_file(changed, folder / WEIGHTS)
            with pytest.raises(UserError, match=re.escape(repr(name))):
                load_pretrained(folder)

    return damage


def _zeros(folder: Path) -> None:
    state = load_file(folder / WEIGHTS)
    save_file({name: torch.zeros_like(value) for name, value in state.items()}, folder / WEIGHTS)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_truncate, r"model\.safetensors is not a safetensors file, or is cut off .*header"),
        (_empty, r"model\.safetensors is not a safetensors file, or is cut off .*header"),
        (_other_shape, r"size mismatch for network\.fusion\.align\.0\.weight"),
        (_less, r"Missing key\(s\) in state_dict: .network\.head\.bias"),
        (_misspelt, r"config\.json: unknown key 'train\.learning_rat'; .*'train\.learning_rate'"),
        (lambda f: (f / "config.json").write_text("{"), r"config\.json cannot be read .*; copy or download"),
        (lambda f: (f / "config.json").write_bytes(b"\xff"), r"config\.json cannot be read .*; copy"),
        (lambda f: (f / "config.json").write_text("[" * 10**5), r"config\.json cannot be read .*; copy"),
        (lambda f: (f / "config.json").write_text("[1]"), r"config\.json has no recipe; copy or download"),
        (lambda f: (f / "config.json").write_text("{}"), r"config\.json has no recipe; copy or download"),
        (lambda f: (f / "config.json").write_text('{"recipe": 1}'), r"config\.json has no recipe; copy"),
        (
            lambda f: (f / "config.json").write_text('{"recipe": {}, "packages": [1]}'),
            r"config\.json: packages is not a list of names; copy",
        ),
        (
            _with_values(float("nan")),
            r"safetensors: the weights 'network\.\S*' are not finite \(NaN or Inf\); ",
        ),
        (
            _with_values(float("inf")),
            r"safetensors: the weights 'network\.\S*' are not finite \(NaN or Inf\); ",
        ),
        (_with_values(-1e30), r"safetensors: the weights 'network\.\S*' reach 1e\+30, probably by damage; "),
        (_zeros, r"safetensors: all weights are 0; restore or download"),
        (lambda f: (f / "config.json").unlink(), r"no config\.json here"),
        (lambda f: (f / WEIGHTS).unlink(), r"no model\.safetensors here"),
    ],
)
def test_damage_is_reported_in_one_line_with_its_place(damage: object, says: str, saved: Path) -> None:
    damage(saved)
    with pytest.raises(UserError, match=says) as found:
        load_pretrained(saved)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("someone/something", "neither a folder nor reachable on the hub"),
        ("runs/mine", "no such folder"),
        ("mine", "no such folder"),
        ("./mine", "no such folder"),
        ("src/mine", "no such folder"),
        ("someone/model.pt", "no such folder"),
        ("/no/such/folder", "no such folder"),
        ("not a name!", "no such folder"),
    ],
)
def test_a_name_that_is_neither_folder_nor_reachable_is_one_line(
    name: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests run offline (HF_HUB_OFFLINE)."""
    if says == "no such folder":
        monkeypatch.setattr(pretrained, "hf_hub_download", lambda *_, **__: pytest.fail("was looked up"))
    with pytest.raises(UserError, match=f"no weights '{name}': {says}") as found:
        load_pretrained(name)
    assert "\n" not in str(found.value)


def test_files_that_cannot_be_read_are_no_matter_of_the_hub(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> str:
        raise PermissionError(13, "Permission denied", "model.safetensors")

    monkeypatch.setattr(pretrained, "files_digest", refuse)
    with pytest.raises(UserError, match=rf"^{saved}: the weights cannot be read: Permission denied$"):
        load_pretrained(saved)


def test_a_model_in_training_mode_segments_nothing(saved: Path) -> None:
    model = load_pretrained(saved).train()
    with pytest.raises(UserError, match=r"in training mode; call its eval\(\) first"):
        model(IMAGE)


def test_a_file_is_not_a_folder_of_weights(saved: Path) -> None:
    (saved / "model.pt").write_bytes(b"x")
    for name in ("model.pt", WEIGHTS):
        with pytest.raises(UserError, match=rf"{name} is a file; give the folder that has config\.json"):
            load_pretrained(saved / name)


def test_a_calibration_of_other_weights_is_reported_and_left_out(
    saved: Path, caplog: pytest.LogCaptureFixture
) -> None:
    QUALITY.write(QUALITY_OF_NOTHING, saved, weights_digest(saved / WEIGHTS))
    assert load_pretrained(saved).quality is not None
    assert caplog.messages == []
    QUALITY.write(QUALITY_OF_NOTHING, saved, "0" * 64)
    assert load_pretrained(saved).quality is None
    (message,) = caplog.messages
    assert message.startswith(f"{saved / 'quality.json'} was made for other weights (their SHA-256 differs)")
    assert "\n" not in message


def test_any_damage_either_loads_finite_weights_or_is_one_line(saved: Path) -> None:
    """Flipped bits, lost and doubled runs of bytes at seeded places of all three files."""
    QUALITY.write(QUALITY_OF_NOTHING, saved, weights_digest(saved / WEIGHTS))
    whole = {name: (saved / name).read_bytes() for name in ("config.json", WEIGHTS, "quality.json")}
    draw = random.Random(0)
    refused = 0
    for number in range(150):
        name = list(whole)[number % 3]
        content = bytearray(whole[name])
        at = draw.randrange(len(content) if number % 2 else min(len(content), 2000))
        match draw.randrange(3):
            case 0:
                content[at] ^= 1 << draw.randrange(8)
            case 1:
                del content[at : at + draw.randrange(1, 50)]
            case _:
                content[at:at] = content[at : at + draw.randrange(1, 50)]
        (saved / name).write_bytes(content)
        message = ""
        try:
            found = load_pretrained(saved)
        except UserError as error:
            message = str(error)
        if message:
            refused += 1
            assert str(saved) in message
            assert "\n" not in message
        else:
            assert all(value.isfinite().all() for value in found.segmenter.state_dict().values())
        (saved / name).write_bytes(whole[name])
    assert refused > 75
