import io
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers.training_utils import EMAModel
from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from torch import Tensor
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.training import callbacks
from mlffm_segdiff.training.callbacks import (
    AtomicCheckpointIO,
    Averaging,
    BestAndLast,
    ConsoleProgress,
    update_average,
)


class Regression(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return (self.layer(batch) - batch_idx).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def quiet_trainer(*callbacks: Callback) -> Trainer:
    """A trainer of one epoch that prints and writes nothing."""
    return Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
    )


class Recorder(Callback):
    def __init__(self) -> None:
        self.weights: list[Tensor] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *rest: Any) -> None:
        self.weights.append(pl_module.layer.weight.detach().clone())


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning", "ignore::UserWarning:lightning")
def test_the_average_over_three_steps_by_hand() -> None:
    torch.manual_seed(0)
    module, recorder = Regression(), Recorder()
    trainer = quiet_trainer(recorder, Averaging(0.5))
    trainer.fit(module, DataLoader(torch.randn(3, 5, 3), batch_size=None))
    first, second, third = recorder.weights
    assert not torch.equal(first, third)
    early = 1 - 2 ** (-2 / 3)  # below the decay, which the next step's 1 - 3^(-2/3) = 0.52 reaches
    expected = 0.5 * (early * first + (1 - early) * second) + 0.5 * third
    torch.testing.assert_close(module.layer.weight.detach(), expected)  # which training ends with


def test_the_average_is_that_of_diffusers() -> None:
    theirs = EMAModel([torch.zeros(3)], decay=0.9, use_ema_warmup=True)
    ours = [torch.zeros(3)]
    torch.manual_seed(0)
    for number in range(60):
        values = [torch.randn(3)]
        theirs.step([torch.nn.Parameter(values[0])])
        if number:  # the first step of both copies
            update_average(0.9, ours, values, torch.tensor(number))
        else:
            ours[0].copy_(values[0])
    torch.testing.assert_close(ours, theirs.shadow_params)


def test_statistics_are_averaged_and_counters_copied() -> None:
    averaged = AveragedModel(
        torch.nn.BatchNorm1d(2), multi_avg_fn=partial(update_average, 0.5), use_buffers=True
    )
    for count, mean in enumerate([8.0, 0.0, 0.0, 4.0]):
        live = torch.nn.BatchNorm1d(2)
        torch.nn.init.constant_(live.running_mean, mean)
        live.num_batches_tracked.fill_(count)
        averaged.update_parameters(live)
    mean = ((1 - 2 ** (-2 / 3)) * 8 * 0.5) * 0.5 + 0.5 * 4
    torch.testing.assert_close(averaged.module.running_mean, torch.full((2,), mean))
    assert int(averaged.module.num_batches_tracked) == 3


class Masked(Regression):
    """A network with a buffer that is nowhere finite, and one that changes."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", torch.full((2,), -math.inf), persistent=False)
        self.register_buffer("seen", torch.zeros(1))

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self.seen += 1
        return super().training_step(batch, batch_idx)


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning", "ignore::UserWarning:lightning")
def test_other_buffers_are_copied() -> None:
    module = Masked()
    trainer = quiet_trainer(Averaging(0.5))
    trainer.fit(module, DataLoader(torch.randn(3, 5, 3), batch_size=None))
    assert module.mask.tolist() == [-math.inf] * 2
    assert module.seen.item() == 3


class Normalised(LightningModule):
    """A convolution and a batch norm; records the state after each step, and what validation sees."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 1, bias=False), torch.nn.BatchNorm2d(4, momentum=0.3)
        )
        self.live: list[dict[str, Tensor]] = []
        self.outputs: list[Tensor] = []

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return (self.layer(batch) - 1 - batch_idx).square().mean()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        assert not self.layer.training
        self.outputs.append(self.layer(batch))
        self.log("val_jaccard", 0.5)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.3)

    def keep(self) -> None:
        self.live.append({name: value.clone() for name, value in self.layer.state_dict().items()})


class Keeper(Callback):
    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *rest: Any) -> None:
        pl_module.keep()

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        pl_module.keep()


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning", "ignore::UserWarning:lightning")
def test_averaged_weights_are_evaluated_with_averaged_statistics(tmp_path: Path) -> None:
    """Validation and checkpoints see (conv(x) - mean) / sqrt(var + eps) * gain + bias, all averaged alike.

    Training itself continues with the weights and statistics that it had before validation.
    """
    torch.manual_seed(0)
    module, image = Normalised(), torch.randn(6, 3, 5, 5)
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[Keeper(), Averaging(0.5), BestAndLast(tmp_path / "best.ckpt", tmp_path / "last.ckpt")],
    )
    batches = 3 * torch.randn(3, 4, 3, 5, 5) + 2
    trainer.fit(module, DataLoader(batches, batch_size=None), DataLoader(image[None], batch_size=None))
    first, second, third, after = module.live
    early = 1 - 2 ** (-2 / 3)
    mean = {
        name: 0.5 * (early * first[name] + (1 - early) * second[name]) + 0.5 * third[name]
        for name in first
        if first[name].is_floating_point()
    }
    assert all(torch.equal(after[name], third[name]) for name in third)  # validation gave the live ones back
    assert not torch.allclose(mean["1.running_var"], third["1.running_var"])
    convolved = torch.einsum("oc,bchw->bohw", mean["0.weight"][:, :, 0, 0], image)
    centre, spread, gain, bias = (
        mean[f"1.{name}"].view(1, 4, 1, 1) for name in ("running_mean", "running_var", "weight", "bias")
    )
    expected = (convolved - centre) / (spread + 1e-5).sqrt() * gain + bias
    torch.testing.assert_close(module.outputs[0], expected, rtol=1e-4, atol=1e-4)
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    for name, value in mean.items():
        torch.testing.assert_close(saved["state_dict"][f"layer.{name}"], value)
        torch.testing.assert_close(saved["current_model_state"][f"layer.{name}"], third[name])
    assert int(saved["state_dict"]["layer.1.num_batches_tracked"]) == 3
    torch.testing.assert_close(module.layer.eval()(image), expected, rtol=1e-4, atol=1e-4)


def test_the_best_and_the_last_state_are_kept(tmp_path: Path) -> None:
    """Of four validations the second is best; an equal score later does not replace it."""
    written: list[str] = []
    best, last = tmp_path / "there" / "best.ckpt", tmp_path / "there" / "last.ckpt"
    callback = BestAndLast(best, last)
    for score in (0.5, 0.8, 0.8, 0.7):
        metrics = {"val_jaccard": torch.tensor(score)}
        trainer = SimpleNamespace(
            callback_metrics=metrics, save_checkpoint=lambda path: written.append(path.stem)
        )
        callback.on_train_epoch_end(trainer, None)
    assert written == ["best", "last", "best", "last", "last", "last"]
    moved = BestAndLast(tmp_path / "here" / "best.ckpt", tmp_path / "here" / "last.ckpt")
    moved.load_state_dict(callback.state_dict())
    assert (moved.best_jaccard, moved.best) == (pytest.approx(0.8), tmp_path / "here" / "best.ckpt")


def test_a_checkpoint_cut_short_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "folder" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 1}, path)

    def cut(target: Path, content: bytes) -> None:
        with target.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", cut)
    with pytest.raises(UserError, match=r"last\.ckpt cannot be written \(No space left on device\)"):
        AtomicCheckpointIO().save_checkpoint({"step": 2}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


def test_progress_counts_images_and_prints_a_line_a_validation(
    make_recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter((5.0, 66.0))
    monkeypatch.setattr(callbacks, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    stream = io.StringIO()
    progress = ConsoleProgress(Console(file=stream, width=100))
    module = SimpleNamespace(recipe=make_recipe())
    trainer = SimpleNamespace(global_step=25, callback_metrics={"val_jaccard": torch.tensor(0.81234)})
    progress.on_train_start(trainer, module)
    progress.on_train_batch_end(trainer, module, {"loss": torch.tensor(0.5)}, None, 10)
    progress.on_validation_end(trainer, module)
    trainer.global_step = 100
    progress.on_train_end(trainer, module)
    progress.teardown(trainer, None, "fit")
    text = stream.getvalue()
    assert "100 images, 61 s: validation Jaccard 0.8123" in text
    assert "400/400" in text
    assert "loss 0.500" in text


class Failing(Regression):
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        raise ZeroDivisionError


@pytest.mark.filterwarnings("ignore::UserWarning:lightning", "ignore:.*LeafSpec:FutureWarning")
def test_the_bar_goes_when_training_fails(recipe: Recipe) -> None:
    progress = ConsoleProgress(Console(file=io.StringIO(), width=100))
    trainer = quiet_trainer(progress)
    module = Failing()
    module.recipe = recipe
    with pytest.raises(ZeroDivisionError):
        trainer.fit(module, DataLoader(torch.zeros(8, 3), batch_size=4))
    assert not progress.progress.live.is_started
