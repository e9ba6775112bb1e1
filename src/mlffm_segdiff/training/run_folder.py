"""The files of a run: its configuration, its checkpoints, and its weights."""

import io
import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml

from mlffm_segdiff.config.command_line import command_line
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.data.sources import SplitCases
from mlffm_segdiff.data.splits import save_split
from mlffm_segdiff.files.atomic import TEMPORARY, sweep_unfinished, write_bytes, write_text
from mlffm_segdiff.files.claim import LOCK, claimed, require_free
from mlffm_segdiff.models.weight_files import require_sound
from mlffm_segdiff.segmenters.device import describe_device
from mlffm_segdiff.segmenters.precision import Precision
from mlffm_segdiff.segmenters.recipe import load_recipe
from mlffm_segdiff.segmenters.saved_weights import SPLIT, WEIGHTS
from mlffm_segdiff.training.callbacks import BestAndLast

DEVICE_KEYS = ("devices", "nodes")
"""Keys of the recipe's section train on which weights do not depend, except for rounding."""
CPU = torch.device("cpu")
PACKAGES = ("mlffm-segdiff", "torch", "lightning", "monai", "numpy", "scipy")


@dataclass(frozen=True)
class RunFolder:
    """Paths and contents of a run.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The full recipe."""
        return self.path / "config.yaml"

    @property
    def environment(self) -> Path:
        """The command, split, number format, code and machine that the run started with."""
        return self.path / "environment.json"

    @property
    def split(self) -> Path:
        """The ids that it trains on, validates on and leaves for a test."""
        return self.path / SPLIT

    @property
    def checkpoints(self) -> Path:
        """Lightning's checkpoints."""
        return self.path / "checkpoints"

    @property
    def last(self) -> Path:
        """The newest checkpoint, from which a run is resumed."""
        return self.checkpoints / "last.ckpt"

    @property
    def initial(self) -> Path:
        """The weights that the run started from, if they are from a file or a name, which may change."""
        return self.checkpoints / "initial.ckpt"

    @property
    def best(self) -> Path:
        """The checkpoint with the best validation Jaccard."""
        return self.checkpoints / "best.ckpt"

    @property
    def weights(self) -> Path:
        """Folder with config.json and model.safetensors of the best checkpoint, written when a run ends."""
        return self.path / "weights"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's log."""
        return self.path / "tensorboard"

    @property
    def metrics(self) -> Path:
        """Training loss and validation scores, one row each per epoch."""
        return self.path / "logs" / "metrics.csv"

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep other trainings out of the folder, and remove what killed ones left unfinished.

        Raises:
            UserError: Another process trains in the folder, or nothing can be written into it.
        """
        with claimed(self.path):
            for folder in (self.checkpoints, self.weights, self.metrics.parent):
                sweep_unfinished(folder)
            yield

    def require_new(self) -> None:
        """Raise UserError if the folder is in use, or holds more than a killed start of a run leaves."""
        require_free(self.path)
        self._require_empty()

    def _require_empty(self) -> None:
        if self.config.exists():
            raise UserError(f"{self.path} already holds a run; resume it, or choose another run folder")
        left = {
            LOCK,
            self.environment.name,
            self.split.name,
            self.checkpoints.name,
        }  # by a run that was killed before it had a configuration
        found = {path.name for path in self.path.iterdir()} if self.path.is_dir() else set()
        if {name for name in found - left if not TEMPORARY.fullmatch(name)}:
            raise UserError(f"{self.path} is not empty; choose another run folder")

    def create(
        self,
        recipe: Recipe,
        cases: SplitCases,
        precision: Precision = "float32",
        device: torch.device = CPU,
        licence: str = "",
        initial: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        """Create the folder with its configuration, split and environment.

        Args:
            recipe: Recipe of the run.
            cases: The cases of its split.
            precision: Number format that the run computes in, also after it is resumed.
            device: Device that it computes on.
            licence: Licence (SPDX identifier) of the weights that it starts from; empty if unknown.
            initial: The weights that it starts from, to keep until it has a checkpoint; None for those that
                the recipe always gives.

        Raises:
            UserError: If the folder holds a run or any other file.
        """
        self._require_empty()
        self.path.mkdir(parents=True, exist_ok=True)
        facts = describe_environment(recipe.seed, cases.digest, device)
        facts |= {"precision": precision, "licence": licence}
        write_text(self.environment, json.dumps(facts, indent=2) + "\n")
        self.split.unlink(missing_ok=True)
        save_split(cases.split, self.split)
        if initial is not None:
            content = io.BytesIO()
            torch.save(dict(initial), content)
            write_bytes(self.initial, content.getvalue())
        self.write_config(recipe)

    def write_config(self, recipe: Recipe) -> None:
        """Write the recipe; in an existing run, only to change the paths of its data."""
        write_text(self.config, yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False))

    def recipe(self) -> Recipe:
        """Return the recipe of the run. Raises UserError if the folder holds none."""
        if not self.config.is_file():
            raise UserError(
                f"{self.path} holds no run (no config.yaml); check the folder, or start a new run"
            )
        return load_recipe(str(self.config))

    def require_recipe(self, recipe: Recipe) -> None:
        """Raise UserError, naming the first difference, if the run was started with another recipe.

        It can have been started on other numbers of devices and nodes.
        """
        here, there = (_flatten(one.model_dump(mode="json")) for one in (recipe, self.recipe()))
        may_differ = {f"train.{key}" for key in DEVICE_KEYS}
        keys = [key for key in {**here, **there} if key not in may_differ]
        key = next((key for key in keys if here.get(key) != there.get(key)), None)
        if key is not None:
            raise UserError(
                f"{self.path} was started with {key}={there.get(key)}, not {here.get(key)}; leave the recipe "
                "out to resume it unchanged"
            )

    def require_split(self, digest: str) -> None:
        """Raise UserError if the run was started with a split of another digest."""
        started = self.started_in()["split"]
        if started != digest:
            raise UserError(
                f"{self.path} was started with another split ({started}) than that of the current data "
                f"({digest}); restore the data or the split list, or start a new run"
            )

    def precision(self) -> Precision:
        """Return the number format of the run. Raises UserError if the environment cannot be read."""
        return "bf16" if self.started_in()["precision"] == "bf16" else "float32"

    def licence(self) -> str:
        """Return the licence of the weights that the run started from, by its SPDX identifier, or nothing."""
        return str(self.started_in().get("licence", ""))

    def is_unfinished(self) -> bool:
        """Return whether the folder holds a run whose weights are not written yet."""
        return self.config.is_file() and not (self.weights / WEIGHTS).is_file()

    def checkpoint_to_resume(self) -> Path | None:
        """Return the last checkpoint, or None if the run was stopped before its first validation.

        Raises:
            UserError: If the checkpoint is damaged, or was written by a version that saved other state.
        """
        if not self.last.is_file():
            return None
        checkpoint = read_checkpoint(self.last)
        if BestAndLast.__qualname__ not in checkpoint.get("callbacks", {}):
            raise UserError(
                f"{self.last} was written by another version; start a new run, with train.init={self.path} "
                "to start from its weights"
            )
        for part in ("state_dict", "current_model_state"):  # averaged and current weights
            require_sound(checkpoint.get(part, {}), str(self.last))
        return self.last

    def initial_weights(self) -> dict[str, torch.Tensor] | None:
        """Return the weights that the run started from; None if it has no file of them.

        Raises:
            UserError: If the file is damaged.
        """
        return read_checkpoint(self.initial) if self.initial.is_file() else None

    def best_weights(self) -> dict[str, torch.Tensor]:
        """Return the averaged weights of the best checkpoint, named as in the segmenter.

        Raises:
            UserError: If the run has no checkpoint yet, or it is damaged.
        """
        if not self.best.is_file():
            raise UserError(f"{self.path} has no checkpoint yet; wait for the first validation of its run")
        state = read_checkpoint(self.best).get("state_dict", {})
        require_sound(state, str(self.best))
        return {name.removeprefix("segmenter."): value for name, value in state.items()}

    def best_jaccard(self) -> float:
        """Return the validation Jaccard index, over all pixels, of the best checkpoint."""
        return float(read_checkpoint(self.best)["callbacks"][BestAndLast.__qualname__]["best_jaccard"])

    def started_in(self) -> dict[str, Any]:
        """Return environment.json, written at the run's start. Raises UserError if it is damaged."""
        try:
            found: dict[str, Any] = json.loads(self.environment.read_text("utf-8"))
            return {"split": found["split"], "precision": found["precision"], **found}
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError(f"{self.environment} is missing or damaged; start a new run") from None


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """Return the values of nested mappings by dotted key."""
    flat: dict[str, object] = {}
    for name, value in values.items():
        nested = isinstance(value, Mapping)
        flat |= _flatten(value, f"{prefix}{name}.") if nested else {prefix + name: value}
    return flat


def describe_environment(seed: int, split_digest: str, device: torch.device = CPU) -> dict[str, object]:
    """Return the command, seed, split, revision of the code, package versions and machine."""
    return {
        "command": command_line(),
        "seed": seed,
        "split": split_digest,
        "git": git_revision(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": describe_device(device),
    }


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint with memory-mapped tensors. Raises UserError if it is missing or damaged."""
    try:
        found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # reading damaged pickles can raise any
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path} is missing or damaged ({reason}); start a new run") from None
    parts = ("callbacks", "state_dict", "current_model_state")
    if not (isinstance(found, dict) and all(isinstance(found.get(part, {}), dict) for part in parts)):
        raise UserError(f"{path} is not a checkpoint of a run; start a new run")
    return found


def git_revision() -> str | None:
    """Return the commit of the package's checkout, with ``-dirty`` for local changes, or None outside one."""
    try:
        _git("ls-files", "--error-unmatch", __file__)  # fails in the checkout of another project
        return _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    folder = Path(__file__).parent
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=True)
    return done.stdout.strip()
