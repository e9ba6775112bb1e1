"""What a run leaves behind, and what it needs to go on."""

import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
import yaml  # type: ignore[import-untyped]

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.load import load_recipe
from mlffm_segdiff.config.schema import Recipe

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
    def checkpoints(self) -> Path:
        """Lightning's checkpoints: last.ckpt to go on from, best.ckpt."""
        return self.path / "checkpoints"

    @property
    def last(self) -> Path:
        """The newest checkpoint."""
        return self.checkpoints / "last.ckpt"

    @property
    def weights(self) -> Path:
        """config.json and model.safetensors of the best checkpoint."""
        return self.path / "weights"

    @property
    def metrics(self) -> Path:
        """Training loss and validation scores, one row an epoch each."""
        return self.path / "logs" / "metrics.csv"

    def refuse_run(self) -> None:
        """Raise UserError if the folder already holds a run."""
        if self.config.exists():
            raise UserError(
                f"{self.path} already holds a run; add --resume to go on with it, or choose another --run"
            )

    def begin(self, recipe: Recipe, split_digest: str) -> None:
        """Create the folder with its configuration and environment. Raises UserError if it holds a run."""
        self.refuse_run()
        self.path.mkdir(parents=True, exist_ok=True)
        environment = json.dumps(describe_environment(recipe.seed, split_digest), indent=2)
        (self.path / "environment.json").write_text(environment + "\n")
        partial = self.config.with_suffix(".part")
        partial.write_text(yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False))
        partial.replace(self.config)

    def require_split(self, digest: str) -> None:
        """Raise UserError if the run was begun on another split than that with ``digest``."""
        begun = json.loads((self.path / "environment.json").read_text())["split"]
        if begun != digest:
            raise UserError(
                f"{self.path} was begun on another split ({begun}) than the data give now ({digest}); "
                "bring the data or the split list back, or start a new run"
            )

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
    state = torch.load(folder.checkpoints / "best.ckpt", map_location="cpu", weights_only=True)["state_dict"]
    return {name.removeprefix("segmenter."): value for name, value in state.items()}


def git_revision() -> str | None:
    """Return the commit of the package's checkout, with ``-dirty`` for local changes; None outside one."""
    folder = Path(__file__).parent
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
