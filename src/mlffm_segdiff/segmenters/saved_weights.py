"""Folders of weights: which one a name means, and checks that need no torch."""

import hashlib
import json
import math
import os
from importlib.resources import files
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from mlffm_segdiff.config.errors import UserError, reason_of
from mlffm_segdiff.config.paths import expanded

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
SPLIT = "split.csv"
"""The ids of a run's split, next to its folder of weights; weights that are passed on do not have it."""
DEFAULT = "default"
DEFAULT_SHA256 = "0c2ecc9991902f30751a7a63fed6208e3bcc0e705959ffe58621e13b8be4e062"
"""Digest of the packaged weights, written by tools/package_weights.py."""
DEFAULT_LICENCE = "CC-BY-NC-SA-4.0"
"""Licence of the packaged weights, by its SPDX identifier."""
TRUST_CODE = "MLFFM_SEGDIFF_TRUST_CODE"
"""Environment variable: 1 sets ``trust_code=True`` for all loading of weights."""
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def weights_folder(name: str | Path) -> Path:
    """Return the folder of the weights ``default``, or of a run or weights folder; it may not exist."""
    if str(name) == DEFAULT:
        return Path(str(files("mlffm_segdiff") / "weights" / DEFAULT))
    folder = expanded(name)
    return folder / "weights" if (folder / "weights").is_dir() else folder


def split_file(name: str | Path) -> Path | None:
    """Return the split that weights were trained with, if they are in their run folder and it is known."""
    path = weights_folder(name).parent / SPLIT
    return path if weights_folder(name).name == "weights" and path.is_file() else None


def weights_digest(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_digest(folder: Path) -> str:
    """Return the SHA-256 of the configuration and of the weights in a folder, separated by a space."""
    return " ".join(weights_digest(folder / name) for name in (CONFIG, WEIGHTS))


def local_folder(name: str) -> Path | None:
    """Return the folder of weights after checking its files, or None for a hub id.

    Raises:
        UserError: A folder lacks a file, the default weights are not those of this version, or the name is
            neither a folder nor a hub id.
    """
    if name == DEFAULT:
        return require_default()
    folder = weights_folder(name)
    if folder.is_dir():
        return _complete(folder)
    from mlffm_segdiff.models.weight_files import is_hub_id

    if folder.is_file():
        raise UserError(f"{folder} is a file; give the folder that has {CONFIG} and {WEIGHTS}")
    if not is_hub_id(name):
        raise UserError(
            f"no weights {name!r}: no such folder; name a run folder, {DEFAULT!r}, or OWNER/NAME on the hub"
        )
    return None


def require_default() -> Path:
    """Return the folder of the default weights. Raises UserError if they are not those of this version."""
    folder = _complete(weights_folder(DEFAULT))
    if weights_digest(folder / WEIGHTS) != DEFAULT_SHA256:
        raise UserError(f"{folder / WEIGHTS} is not the file of this version; install mlffm-segdiff again")
    return folder


def _complete(folder: Path) -> Path:
    missing = [part for part in (CONFIG, WEIGHTS) if not (folder / part).is_file()]
    if missing:
        raise UserError(
            f"{folder}: no {' and '.join(missing)} here; give a run folder whose training is done "
            "(exported graphs are only for predict, serve and plan)"
        )
    return folder


def describe_weights(folder: Path) -> tuple[str, int]:
    """Return the model's name and number of parameters, from the configuration and the header of the weights.

    Raises:
        UserError: One of the files cannot be read.
    """
    try:
        model = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["recipe"]["model"]["name"]
        with safe_open(folder / WEIGHTS, framework="numpy") as file:
            learned = [key for key in file.keys() if not key.endswith(_STATISTICS)]  # noqa: SIM118
            shapes = [file.get_slice(key).get_shape() for key in learned]
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise UserError(
            f"{folder} cannot be read ({reason_of(error)}); install mlffm-segdiff again"
        ) from error
    return model, sum(map(math.prod, shapes))


def require_trust(recipe: Any, trust_code: bool = False) -> None:
    """Refuse a recipe of saved weights that names code by ``target``, unless the user trusts it.

    Args:
        recipe: Recipe as in a config.json, not yet checked.
        trust_code: The user trusts the code. The environment variable `TRUST_CODE` set to 1 does the same.

    Raises:
        UserError: The recipe names code, and the user does not trust it.
    """
    sections = [recipe.get(key) for key in ("model", "loss")] if isinstance(recipe, dict) else []
    targets = [
        section["target"] for section in sections if isinstance(section, dict) and section.get("target")
    ]
    if targets and not (trust_code or os.environ.get(TRUST_CODE) == "1"):
        raise UserError(
            f"these weights import and run {targets[0]}; if you trust them, load them with trust_code=True, "
            f"or set {TRUST_CODE}=1"
        )


def read_config(path: Path, fix: str) -> dict[str, Any]:
    """Read the config.json of weights or graphs.

    Args:
        path: The config.json.
        fix: How to fix a damaged file, for the error.

    Returns:
        Its values, with ``recipe`` and perhaps ``packages``.

    Raises:
        UserError: The file is missing or damaged.
    """
    from mlffm_segdiff.config.load import read_json  # imports omegaconf

    config = read_json(path, fix)
    packages = config.get("packages", []) if isinstance(config, dict) else []
    if not (isinstance(config, dict) and isinstance(config.get("recipe"), dict)):
        raise UserError(f"{path} has no recipe; {fix}")
    if not (isinstance(packages, list) and all(isinstance(package, str) for package in packages)):
        raise UserError(f"{path}: packages is not a list of names; {fix}")
    return config
