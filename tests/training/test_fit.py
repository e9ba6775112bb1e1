import copy
import csv
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from mlffm_segdiff import training
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import Recipe, SamplingConfig
from mlffm_segdiff.data.sources import load_split_cases, open_split
from mlffm_segdiff.data.splits import Split, save_split
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.base import BaseSegmenter
from mlffm_segdiff.segmenters.pretrained import load_pretrained, save_segmenter
from mlffm_segdiff.segmenters.recipe import load_recipe
from mlffm_segdiff.training import fit
from mlffm_segdiff.training.fit import TrainingData, resume, train
from mlffm_segdiff.training.run_folder import RunFolder

MakeRecipe = Callable[..., Recipe]
Masks = npt.NDArray[np.bool_]


def column(folder: RunFolder, name: str) -> dict[int, float]:
    """Values of a column of metrics.csv by step."""
    with folder.metrics.open() as file:
        return {int(row["step"]): float(row[name]) for row in csv.DictReader(file) if row[name]}


def checkpoint(folder: RunFolder, name: str) -> Mapping[str, object]:
    found: Mapping[str, object] = torch.load(folder.checkpoints / f"{name}.ckpt", weights_only=True)
    return found


def weights(folder: RunFolder) -> dict[str, Tensor]:
    return load_pretrained(folder.path).segmenter.state_dict()


def test_the_run_folder_holds_all_that_the_run_was(finished: RunFolder, recipe: Recipe) -> None:
    files = {str(path.relative_to(finished.path)) for path in finished.path.rglob("*") if path.is_file()}
    assert {
        "config.yaml",
        "environment.json",
        "curves.png",
        "overlays.png",
        "logs/metrics.csv",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "weights/config.json",
        "weights/model.safetensors",
    } <= files
    assert len([file for file in files if file.startswith("tensorboard/events")]) == 1
    assert not [file for file in files if "part" in file]
    assert load_recipe(str(finished.config)) == recipe
    environment = json.loads((finished.path / "environment.json").read_text())
    assert environment["split"] == load_split_cases(recipe.data).digest
    assert {"seed", "git", "packages", "command", "device"} <= set(environment)


def test_every_validation_is_logged_and_printed(finished: RunFolder) -> None:
    # 100 steps, validated after each 12 and at the end
    steps = [*range(11, 100, 12), 99]
    assert list(column(finished, "val_jaccard")) == list(column(finished, "loss")) == steps
    said = (finished.path.parent / "console.txt").read_text()
    for step, score in column(finished, "val_jaccard").items():
        assert f"{4 * (step + 1)} images, " in said
        assert f"validation Jaccard {score:.4f}" in said


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_has_the_same_numbers(finished: RunFolder) -> None:
    events = EventAccumulator(str(finished.path / "tensorboard"))
    events.Reload()
    scores = [event.value for event in events.Scalars("val_jaccard")]
    assert scores == pytest.approx(list(column(finished, "val_jaccard").values()))
    assert "loss" in events.Tags()["scalars"]


def validation_masks(
    segmenter: BaseSegmenter, recipe: Recipe, sampling: SamplingConfig
) -> tuple[Masks, Masks]:
    """Masks that are found in the validation images, and the true ones."""
    pairs = open_split(load_split_cases(recipe.data), "val", 32)
    images = torch.from_numpy(np.array(pairs.images)).permute(0, 3, 1, 2).float() / 127.5 - 1
    found = segmenter.segment(images, sampling).probability[:, 0].numpy() >= 0.5
    return found, np.asarray(pairs.masks) > 0


def test_training_learns(finished: RunFolder, recipe: Recipe) -> None:
    loss, score = (list(column(finished, name).values()) for name in ("loss", "val_jaccard"))
    assert loss[-1] < 0.8 * loss[0]
    torch.manual_seed(recipe.seed)
    fresh, truth = validation_masks(build_segmenter(recipe).eval(), recipe, SamplingConfig())
    assert max(score) > (fresh & truth).sum() / (fresh | truth).sum() + 0.4
    assert max(score) > score[0] + 0.05


def test_the_checkpoint_is_chosen_by_validation_jaccard(finished: RunFolder) -> None:
    scores = column(finished, "val_jaccard")
    best = max(scores, key=scores.__getitem__)
    assert checkpoint(finished, "best")["global_step"] == best + 1
    state = checkpoint(finished, "best")["state_dict"]
    found = weights(finished)
    assert {f"segmenter.{name}" for name in found} == set(state)
    assert all(torch.equal(value, state[f"segmenter.{name}"]) for name, value in found.items())


def test_the_newest_state_is_kept_whether_best_or_not(finished: RunFolder) -> None:
    assert checkpoint(finished, "last")["global_step"] == 100


def test_the_weights_have_the_score_of_the_log(finished: RunFolder, recipe: Recipe) -> None:
    """The pooled Jaccard index of validation masks, computed again from the written weights."""
    loaded = load_pretrained(finished.path)
    found, truth = validation_masks(loaded.segmenter, recipe, loaded.sampling)
    jaccard = (found & truth).sum() / (found | truth).sum()
    assert jaccard == pytest.approx(max(column(finished, "val_jaccard").values()), abs=1e-6)
    each = [(f & t).sum() / (f | t).sum() for f, t in zip(found, truth, strict=True)]
    best = int(checkpoint(finished, "best")["global_step"]) - 1
    assert np.mean(each) == pytest.approx(column(finished, "val_jaccard_mean")[best], abs=1e-6)


def test_averaged_and_current_weights_are_both_kept(finished: RunFolder) -> None:
    last = checkpoint(finished, "last")
    averaged, current = last["state_dict"], last["current_model_state"]
    name = "segmenter.network.stem.weight"
    assert not torch.equal(averaged[name], current[name])
    assert last["averaging_state"]["n_averaged"] == 100


def test_the_data_of_a_run_are_found_from_any_folder(
    make_recipe: MakeRecipe,
    made_lesions: Callable[[int], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fit, "_fit", lambda *_: None)
    lesions = made_lesions(20)
    monkeypatch.chdir(lesions.parent)
    train(make_recipe(data={"sources": {"folder": lesions.name}}), tmp_path / "run")
    assert RunFolder(tmp_path / "run").recipe().data.sources == {"folder": lesions}


def test_a_run_resumes_from_the_weights_that_it_started_from(
    make_recipe: MakeRecipe, finished: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the other run that they are from has gone on."""
    other = tmp_path / "other"
    shutil.copytree(finished.weights, other)
    sources = finished.recipe().data.sources
    recipe = make_recipe(data={"sources": sources}, train={"init": str(other)})
    started: list[dict[str, torch.Tensor]] = []
    monkeypatch.setattr(
        fit, "_fit", lambda folder, segmenter, *_: started.append(copy.deepcopy(segmenter.state_dict()))
    )
    train(recipe, tmp_path / "run")
    shutil.rmtree(other)
    resume(tmp_path / "run")
    for name, value in started[0].items():
        assert torch.equal(value, started[1][name])


@pytest.mark.parametrize("key", ["init", "encoder_init"])
def test_weights_to_start_from_are_found_from_any_folder(
    make_recipe: MakeRecipe,
    made_lesions: Callable[[int], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    key: str,
) -> None:
    for name in ("_fit", "_load_initial_weights"):
        monkeypatch.setattr(fit, name, lambda *_: None)
    start = made_lesions(20).parent / "start"
    start.mkdir()
    monkeypatch.chdir(start.parent)
    sources = {"folder": start.parent / "lesions"}
    for number, (name, expected) in enumerate(
        [("start", str(start)), ("someone/weights", "someone/weights"), ("default", "default")]
    ):
        run = RunFolder(tmp_path / str(number))
        train(make_recipe(data={"sources": sources}, train={key: name}), run.path)
        assert getattr(run.recipe().train, key) == expected


def test_a_recipe_is_given_by_a_path_too(
    made_lesions: Callable[[int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "_fit", lambda *_: None)
    (tmp_path / "own.yaml").write_text(
        f"name: own\ndata: {{size: 32, sources: {{folder: {made_lesions(20)}}}}}\n"
        "model: {name: unet, widths: [4, 8]}\ntrain: {images: 64, warmup: 8, validate_every: 32}\n",
        encoding="utf-8",
    )
    train(tmp_path / "own.yaml", tmp_path / "run")
    assert RunFolder(tmp_path / "run").recipe().data.size == 32
    with pytest.raises(UserError, match=r"recipe is of type NoneType; give a Recipe, a name or a YAML file"):
        train(None, tmp_path / "other")


def test_a_folder_with_a_run_is_refused(finished: RunFolder, recipe: Recipe) -> None:
    before = finished.metrics.read_bytes()
    with pytest.raises(UserError, match="already holds a run"):
        train(recipe, finished.path)
    assert finished.metrics.read_bytes() == before


def test_resuming_a_finished_run_changes_nothing(finished: RunFolder, tmp_path: Path) -> None:
    shutil.copytree(finished.path, tmp_path / "moved")
    moved = RunFolder(tmp_path / "moved")
    resume(moved.path)
    assert moved.metrics.read_bytes() == finished.metrics.read_bytes()
    for name in ("weights/model.safetensors", "curves.png"):
        assert (moved.path / name).read_bytes() == (finished.path / name).read_bytes()
    assert checkpoint(moved, "best")["global_step"] == checkpoint(finished, "best")["global_step"]


def test_a_recipe_that_cannot_start_leaves_no_run_behind(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    for section in ({"data": {"size": 36}}, {"train": {"init": "/no/such/weights"}}):
        with pytest.raises(UserError):
            train(make_recipe(**section), folder.path)
        assert not folder.path.exists()


def test_weights_to_start_from_are_taken(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    torch.manual_seed(7)
    start = build_segmenter(make_recipe())
    save_segmenter(start, make_recipe(), tmp_path / "start")
    still = {"images": 4, "learning_rate": 1e-30, "weight_decay": 0, "init": str(tmp_path / "start")}
    train(make_recipe(train=still), tmp_path / "run")
    found = weights(RunFolder(tmp_path / "run"))
    for name, value in found.items():
        torch.testing.assert_close(value, start.state_dict()[name], rtol=0, atol=1e-20)


def test_the_licence_of_weights_to_start_from_goes_to_those_of_the_run(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    """Also by way of a run that has only a checkpoint, and one that is resumed."""
    save_segmenter(build_segmenter(make_recipe()), make_recipe(), tmp_path / "start", licence="CC-BY-4.0")
    train(make_recipe(train={"images": 4, "init": str(tmp_path / "start")}), tmp_path / "first")
    shutil.rmtree(tmp_path / "first" / "weights")
    train(make_recipe(train={"images": 4, "init": str(tmp_path / "first")}), tmp_path / "second")
    resume(tmp_path / "first")
    for name in ("first", "second"):
        assert load_pretrained(tmp_path / name).licence == "CC-BY-4.0"


def test_a_run_starts_from_the_best_checkpoint_of_an_unfinished_one(
    finished: RunFolder, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    """A run folder without weights/, as it is until its training ends."""
    shutil.copytree(finished.path, tmp_path / "unfinished", ignore=shutil.ignore_patterns("weights"))
    still = {"images": 4, "learning_rate": 1e-30, "weight_decay": 0, "init": str(tmp_path / "unfinished")}
    train(make_recipe(train=still), tmp_path / "run")
    best = checkpoint(finished, "best")["state_dict"]
    for name, value in weights(RunFolder(tmp_path / "run")).items():
        torch.testing.assert_close(value, best[f"segmenter.{name}"], rtol=0, atol=1e-20)


def test_a_run_without_any_checkpoint_cannot_be_started_from(
    finished: RunFolder, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = finished.recipe()
    RunFolder(tmp_path / "new").create(recipe, load_split_cases(recipe.data))
    with pytest.raises(UserError, match=r"new has no checkpoint yet; wait for the first validation"):
        train(make_recipe(train={"init": str(tmp_path / "new")}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_recipes_name_and_a_recipe_are_trained_alike_and_print_nothing(
    tmp_path: Path, finished: RunFolder, capfd: pytest.CaptureFixture[str]
) -> None:
    """Both with overrides; the result says where the run is."""
    keys = ["train.images=8", "train.validate_every=4"]
    results = [
        training.train(recipe, tmp_path / name, keys)
        for name, recipe in (("by name", str(finished.config)), ("by recipe", finished.recipe()))
    ]
    assert capfd.readouterr() == ("", "")
    folders = [RunFolder(result.run) for result in results]
    for result, folder in zip(results, folders, strict=True):
        assert folder.recipe().train.images == 8
        assert result.weights == folder.weights
        assert result.best_jaccard == pytest.approx(max(column(folder, "val_jaccard").values()))
    by_name, by_recipe = map(weights, folders)
    assert all(torch.equal(value, by_recipe[name]) for name, value in by_name.items())


def test_weights_of_another_model_to_start_from_are_refused(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    other = make_recipe(model={"name": "mlffm_segdiff", "size": "tiny", "fusion_width": None})
    save_segmenter(build_segmenter(other), other, tmp_path / "start")
    with pytest.raises(
        UserError, match=r"train\.init=.* has weights of another model than the recipe's \(Missing key"
    ):
        train(make_recipe(train={"init": str(tmp_path / "start")}), tmp_path / "run")


@pytest.mark.parametrize(
    "sections",
    [
        {"model": {"name": "unet", "widths": [8, 16]}},
        {
            "diffusion": {"objective": "epsilon", "training": "single"},
            "sampling": {"sampler": "ddpm", "samples": 1},
        },
        {"diffusion": {"training": "single"}, "sampling": {"mirror": True}},
        {"diffusion": {"training": "recycling"}, "sampling": {"samples": 2}},
        {"diffusion": {"noisy_share": 1.0, "noisy_weight": 0.5}},
        {"model": {"name": "mlffm_segdiff", "size": "tiny", "styles": ["synthetic"]}},
        {
            "model": {"name": "mlffm_segdiff", "encoder": "efficientnet_lite0"},
            "train": {"encoder_init": None},
        },
        {"diffusion": {"self_conditioning": True}, "loss": {"weight": "dermosegdiff", "kervadec": 0.1}},
        {"train": {"precision": "bf16"}, "diffusion": {"self_conditioning": True}},
        {"data": {"workers": 1}},
    ],
    ids=[
        "unet",
        "epsilon",
        "single",
        "recycling",
        "dual",
        "styles",
        "efficientnet",
        "self_conditioning",
        "bf16, self_conditioning",
        "worker",
    ],
)
def test_every_kind_of_recipe_trains(
    sections: dict[str, dict[str, object]], make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    few = {"images": 10, "validate_every": 8}
    recipe = make_recipe(**{**sections, "train": {**few, **sections.get("train", {})}})
    folder = RunFolder(tmp_path / "run")
    train(recipe, folder.path)
    assert list(column(folder, "val_jaccard")) == [1]  # 10 images are two whole batches of 4
    known = checkpoint(folder, "last")["callbacks"]["BestAndLast"]["best_jaccard"]
    assert known == pytest.approx(column(folder, "val_jaccard")[1])  # which a resumed run has to beat
    assert all(value.isfinite().all() for value in weights(folder).values())


def own_cases(folder: Path) -> Path:
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for number in range(10):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        mask = np.zeros((32, 32), np.uint8)
        mask[8:20, 6 : 20 + number // 2] = 255
        Image.fromarray(pixels).save(folder / "images" / f"own{number}.png")
        Image.fromarray(mask).save(folder / "masks" / f"own{number}.png")
    return folder


def test_a_mix_of_two_sources_trains_on_its_shares_with_their_styles(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    """Of each 1,000 draws a quarter is of the synthetic cases."""
    data = {
        "sources": {"synthetic": None, "folder": own_cases(tmp_path / "own")},
        "mix": {"synthetic": 0.25, "folder": 0.75},
    }
    recipe = make_recipe(
        data=data,
        model={"name": "mlffm_segdiff", "size": "tiny", "styles": ["folder", "synthetic"]},
        train={"images": 1000, "validate_every": 1000},
    )
    loaders = TrainingData(recipe, load_split_cases(recipe.data))
    loaders.trainer = SimpleNamespace(current_epoch=0)
    drawn = [
        (name, style)
        for batch in loaders.train_dataloader()
        for name, style in zip(batch.ids, batch.styles, strict=True)
    ]
    assert len(drawn) == 1000
    assert sum(style == "synthetic" for _, style in drawn) == 250
    assert all(name.startswith("own") == (style == "folder") for name, style in drawn)
    few = recipe.model_copy(update={"train": make_recipe(train={"images": 16, "validate_every": 8}).train})
    folder = RunFolder(tmp_path / "run")
    train(few, folder.path)
    assert weights(folder)["network.style.weight"].any(dim=1).all()


def test_a_source_with_a_share_but_no_training_image_cannot_start(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    split = Split(("own0", "own1"), ("synthetic_00001",), ("own2",))
    save_split(split, tmp_path / "split.csv")
    data = {
        "sources": {"synthetic": None, "folder": own_cases(tmp_path / "own")},
        "mix": {"synthetic": 0.25, "folder": 0.75},
        "split": tmp_path / "split.csv",
    }
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(
        UserError, match=r"data\.mix\.synthetic=0\.25, .* no training image of it; set the share to 0"
    ):
        train(make_recipe(data=data), folder.path)
    assert not folder.path.exists()


@pytest.mark.parametrize("name", ["dermosegdiff", "dermosegdiff_a"])
def test_both_variants_of_dermosegdiff_train(name: str, make_recipe: MakeRecipe, tmp_path: Path) -> None:
    """As in their recipes, except for few channels, levels, images and steps of sampling."""
    narrow = ["model.dim_x=16", "model.dim_g=8", "model.x_mults=[1, 2]", "model.g_mults=[1, 2]"]
    few = ["train.images=8", "train.batch_size=4", "sampling.steps=2", "sampling.samples=1"]
    chosen = load_recipe(name, [*narrow, *few, "train.precision=float32"])
    recipe = chosen.model_copy(update={"data": make_recipe().data})
    folder = RunFolder(tmp_path / "run")
    train(recipe, folder.path)
    assert list(column(folder, "val_jaccard")) == [1]
    assert np.isfinite(list(column(folder, "loss").values())).all()
    assert load_pretrained(folder.path).recipe.loss == load_recipe(name).loss


@pytest.mark.parametrize(
    ("device", "accelerator", "devices"),
    [("cpu", "cpu", 1), ("auto", "cuda", 1), ("CUDA:1", "cuda", [1]), ("mps", "mps", 1)],
)
def test_lightning_trains_on_the_device(
    device: str,
    accelerator: str,
    devices: object,
    recipe: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """GPUs are stand-ins, so that the training ends where Lightning would look for them."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    asked = {}

    def trainer(**settings: object) -> None:
        asked.update(settings)
        raise UserError("stop here")

    monkeypatch.setattr(fit, "Trainer", trainer)
    with pytest.raises(UserError, match="stop here"):
        fit.train(recipe, tmp_path / "run", device=device)
    assert (asked["accelerator"], asked["devices"]) == (accelerator, devices)
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert environment["device"] == {"auto": "GPU None", "CUDA:1": "GPU 1"}.get(device, device)
