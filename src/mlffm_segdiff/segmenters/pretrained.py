"""Weights as config.json and model.safetensors, in a folder or on the Hugging Face hub."""

import contextlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from huggingface_hub import ModelHubMixin, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.extra import is_installed
from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.data.atomic import atomic_write
from mlffm_segdiff.models.encoder_weights import HUB_ERRORS
from mlffm_segdiff.segmenters.assembly import build_sampling, build_segmenter
from mlffm_segdiff.segmenters.base import BaseSegmenter, Sampling, Segmentation
from mlffm_segdiff.segmenters.calibration import QUALITY, Quality, read_quality, write_quality
from mlffm_segdiff.segmenters.recipe import check_recipe, recipe_packages
from mlffm_segdiff.segmenters.saved_weights import DEFAULT, WEIGHTS, weights_place

TRUST_CODE = "MLFFM_SEGDIFF_TRUST_CODE"
"""Environment variable: 1 sets ``trust_code=True`` for all loading of weights."""


class Pretrained(
    ModelHubMixin,
    nn.Module,
    library_name="mlffm-segdiff",
    repo_url="https://arxiv.org/abs/2606.26712",
    tags=["image-segmentation", "dermoscopy", "diffusion"],
):
    """A segmenter with the recipe that it was made from, saved to and loaded from folders and the hub.

    Only safetensors files are read or written, never a pickle. Code that a recipe names by ``target`` is
    imported only with ``trust_code=True``.

    Attributes:
        recipe: Of the model, its training and its sampling.
        segmenter: The network and what turns its output into masks.
        quality: Calibration of its certainty; None without one.

    Args:
        recipe: The recipe, as in ``config.json``.
        packages: Installed packages whose entry points the recipe needs.

    Raises:
        UserError: The recipe is not valid, or one of the packages is not installed.
    """

    def __init__(self, recipe: dict[str, Any], packages: Sequence[str] = ()) -> None:
        super().__init__()
        missing = [package for package in packages if not is_installed(package)]
        if missing:
            raise UserError(f"these weights need the package {missing[0]}; install it")
        self.recipe: Recipe = check_recipe(recipe, "config.json")
        self.segmenter: BaseSegmenter = build_segmenter(self.recipe)
        self.quality: Quality | None = None

    @property
    def sampling(self) -> Sampling:
        """The sampling of the recipe."""
        return build_sampling(self.recipe.sampling)

    def forward(self, image: Tensor, sampling: Sampling | None = None) -> Segmentation:
        """Segment images, B3HW in [-1, 1], at the network's size, by default with the recipe's sampling."""
        return self.segmenter.segment(image, sampling or self.sampling)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path = DEFAULT, trust_code: bool = False, **options: Any
    ) -> Self:
        """Load weights in evaluation mode.

        Args:
            pretrained_model_name_or_path: ``default`` for the weights of the package, a run folder, a folder
                with config.json and model.safetensors, or a Hugging Face hub id.
            trust_code: Import the code that the recipe names by ``target``, if it does. Models and losses
                that are registered by entry points need no trust: the user has installed their package.
            options: Of `huggingface_hub.ModelHubMixin.from_pretrained`, such as ``revision``.

        Raises:
            UserError: The weights do not exist, are broken, do not fit their configuration, or need a package
                that is not installed or code that is not trusted.
        """
        name = str(pretrained_model_name_or_path)
        place = weights_place(name)
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its retries repeat the final error
        try:
            return super().from_pretrained(place, trust_code=trust_code, **options)
        except HUB_ERRORS as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"no weights {name!r}: neither a folder nor reachable on the hub ({reason})"
            ) from None
        except (SafetensorError, RuntimeError, ValueError, TypeError, AttributeError) as error:
            reason = " ".join(line.strip() for line in str(error).splitlines()[:2])
            hint = "; they may be of an older version of the model" if "state_dict" in reason else ""
            raise UserError(f"{name}: broken weights or configuration: {reason}{hint}") from None

    def _save_pretrained(self, save_directory: Path) -> None:
        state = {name: value.contiguous() for name, value in self.segmenter.state_dict().items()}
        with atomic_write(save_directory / WEIGHTS) as temporary:
            temporary.write_bytes(save(state))
        if self.quality is not None:
            write_quality(self.quality.bind_to(save_directory / WEIGHTS), save_directory)

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        trust_code: bool = False,
        **model_kwargs: Any,
    ) -> "Pretrained":
        require_trust(model_kwargs.get("recipe"), trust_code)

        def get(name: str) -> Path:
            if Path(model_id).is_dir():
                return Path(model_id, name)
            return Path(
                hf_hub_download(
                    model_id,
                    name,
                    revision=revision,
                    cache_dir=cache_dir,
                    force_download=force_download,
                    local_files_only=local_files_only,
                    token=token,
                )
            )

        path = get(WEIGHTS)
        model = cls(**model_kwargs)
        model.segmenter.load_state_dict({name: value.float() for name, value in load_file(path).items()})
        with contextlib.suppress(EntryNotFoundError):
            model.quality = read_quality(get(QUALITY), path)
        return model.eval()


def save_segmenter(
    segmenter: BaseSegmenter, recipe: Recipe, folder: Path, dtype: torch.dtype = torch.float32
) -> None:
    """Write config.json and model.safetensors into ``folder``, floating-point weights as ``dtype``."""
    pretrained = Pretrained(recipe=recipe.model_dump(mode="json"))
    pretrained.segmenter.load_state_dict(segmenter.state_dict())
    pretrained.segmenter.to(dtype)
    config: dict[str, Any] = {"recipe": pretrained.recipe.model_dump(mode="json")}
    if packages := recipe_packages(recipe):
        config["packages"] = packages
    pretrained.save_pretrained(folder, config=config)


def require_trust(recipe: Any, trust_code: bool = False) -> None:
    """Raise UserError if the recipe of saved weights names code by ``target``, unless the user trusts it."""
    sections = [recipe.get(key) for key in ("model", "loss")] if isinstance(recipe, dict) else []
    targets = [
        section["target"] for section in sections if isinstance(section, dict) and section.get("target")
    ]
    if targets and not (trust_code or os.environ.get(TRUST_CODE) == "1"):
        raise UserError(
            f"these weights import and run {targets[0]}; if you trust them, load them with trust_code=True, "
            f"or set {TRUST_CODE}=1"
        )


def load_pretrained(name: str | Path, trust_code: bool = False) -> Pretrained:
    """Load weights as `Pretrained.from_pretrained` does."""
    return Pretrained.from_pretrained(name, trust_code)
