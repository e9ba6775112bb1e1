"""What a run leaves behind, and what it needs to go on."""

import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import yaml

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.data.atomic import atomic_write
from mlffm_segdiff.segmenters.device import best_device
from mlffm_segdiff.segmenters.precision import Precision, has_bf16
from mlffm_segdiff.segmenters.recipe import load_recipe

PACKAGES = ("mlffm-segdiff", "torch", "lightning", "monai", "diffusers", "numpy", "scipy")


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run: configuration, environment, checkpoints to go on from, weights to use."""

    path: Path

    @property
    def config(self) -> Path:
        """The full recipe."""
        return self.path / "config.yaml"

    @property
    def environment(self) -> Path:
        """The command, split, code and machine that the run began with."""
        return self.path / "environment.json"

    @property
    def checkpoints(self) -> Path:
        """Lightning's checkpoints: last.ckpt to go on from, best.ckpt."""
        return self.path / "checkpoints"

    @property
    def last(self) -> Path:
        """The newest checkpoint."""
        return self.checkpoints / "last.ckpt"

    @property
    def best(self) -> Path:
        """The checkpoint with the best validation Jaccard."""
        return self.checkpoints / "best.ckpt"

    @property
    def weights(self) -> Path:
        """config.json and model.safetensors of the best checkpoint."""
        return self.path / "weights"

    @property
    def metrics(self) -> Path:
        """Training loss and validation scores, one row an epoch each."""
        return self.path / "logs" / "metrics.csv"

    def refuse_run(self) -> None:
        """Raise UserError if the folder already holds a run, or anything else."""
        if self.config.exists():
            raise UserError(
                f"{self.path} already holds a run; add --resume to go on with it, or choose another --run"
            )
        if self.path.is_dir() and any(self.path.iterdir()):
            raise UserError(f"{self.path} is not empty; choose another --run")

    def begin(self, recipe: Recipe, split_digest: str, precision: Precision = "float32") -> None:
        """Create the folder with its configuration and environment. Raises UserError if it holds a run.

        precision: The number format that the run computes in, also after it is resumed.
        """
        self.refuse_run()
        self.path.mkdir(parents=True, exist_ok=True)
        facts = {**describe_environment(recipe.seed, split_digest), "precision": precision}
        environment = json.dumps(facts, indent=2)
        with atomic_write(self.environment) as path:
            path.write_text(environment + "\n")
        self.write_config(recipe)

    def write_config(self, recipe: Recipe) -> None:
        """Write the recipe, whole or not at all; of a begun run only to say where its data lie now."""
        with atomic_write(self.config) as path:
            path.write_text(yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False))

    def require_split(self, digest: str) -> None:
        """Raise UserError if the run was begun on another split than that with ``digest``."""
        begun = self._environment()["split"]
        if begun != digest:
            raise UserError(
                f"{self.path} was begun on another split ({begun}) than the data give now ({digest}); "
                "bring the data or the split list back, or start a new run"
            )

    def precision(self) -> Precision:
        """Return the number format that the run was begun in.

        Version 0.1.0 did not record it: there ``auto`` was bf16 on every device that has it.
        Raises UserError if the environment cannot be read.
        """
        asked = self.recipe().train.precision
        before = ("bf16" if has_bf16(best_device()) else "float32") if asked == "auto" else asked
        return "bf16" if self._environment().get("precision", before) == "bf16" else "float32"

    def _environment(self) -> dict[str, Any]:
        """Return what the run began with. Raises UserError if it cannot be read."""
        try:
            found: dict[str, Any] = json.loads(self.environment.read_text())
            return {"split": found["split"], **found}
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError(f"{self.environment} is missing or damaged; start a new run") from None

    def recipe(self) -> Recipe:
        """Return the recipe of the run. Raises UserError if the folder holds none."""
        if not self.config.is_file():
            raise UserError(
                f"{self.path} holds no run (no config.yaml); check the folder, or start without --resume"
            )
        return load_recipe(str(self.config))


def describe_environment(seed: int, split_digest: str) -> dict[str, object]:
    """Return the seed, the split, the code's revision, package versions, and the machine."""
    return {
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "seed": seed,
        "split": split_digest,
        "git": git_revision(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def best_weights(folder: RunFolder) -> dict[str, torch.Tensor]:
    """Return the averaged weights of the best checkpoint, named as the segmenter names them."""
    state = read_checkpoint(folder.best)["state_dict"]
    return {name.removeprefix("segmenter."): value for name, value in state.items()}


def best_jaccard(folder: RunFolder) -> float:
    """Return the pooled Jaccard of sampled validation masks by which the run's weights were chosen."""
    scores = (
        callback.get("best_model_score") for callback in read_checkpoint(folder.best)["callbacks"].values()
    )
    return next(float(score) for score in scores if score is not None)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return a checkpoint, tensors mapped from the file. Raises UserError if it is damaged."""
    try:
        found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
        raise UserError(
            f"{path} is missing or damaged ({str(error).splitlines()[0]}); start a new run"
        ) from None
    return found


def git_revision() -> str | None:
    """Return the commit of the package's checkout, with ``-dirty`` for local changes; None outside one."""
    try:
        _git(
            "ls-files", "--error-unmatch", __file__
        )  # an installed package may lie in another project's checkout
        return _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    folder = Path(__file__).parent
    command = ["git", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
