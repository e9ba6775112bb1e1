"""Weights as config.json and model.safetensors, in a folder or on the Hugging Face hub."""

import contextlib
import json
import logging
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Any, Self

import torch
from huggingface_hub import ModelCard, ModelHubMixin, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError
from safetensors.torch import save
from torch import Tensor, nn

from mlffm_segdiff.config.errors import UserError, one_line, reason_of
from mlffm_segdiff.config.extra import is_installed
from mlffm_segdiff.config.schema import Recipe, SamplingConfig
from mlffm_segdiff.files.atomic import unwritable, write_bytes, write_text
from mlffm_segdiff.models.weight_files import HUB_ERRORS, read_weights
from mlffm_segdiff.segmenters.agreement import AgreementPredictor
from mlffm_segdiff.segmenters.assembly import build_segmenter, checked_sampling
from mlffm_segdiff.segmenters.base import BaseSegmenter, Segmentation
from mlffm_segdiff.segmenters.calibration import Quality
from mlffm_segdiff.segmenters.companions import COMPANION_NAMES, Companions, read_companions
from mlffm_segdiff.segmenters.device import find_device
from mlffm_segdiff.segmenters.outliers import OutlierDetector
from mlffm_segdiff.segmenters.recipe import check_recipe, recipe_packages
from mlffm_segdiff.segmenters.sampling import network_sampling
from mlffm_segdiff.segmenters.saved_weights import (
    CONFIG,
    DEFAULT,
    DEFAULT_LICENCE,
    DEFAULT_SHA256,
    WEIGHTS,
    files_digest,
    local_folder,
    read_config,
    require_trust,
    weights_digest,
)

LOG = logging.getLogger(__name__)
HUB_OPTIONS = ("revision", "token", "cache_dir", "force_download", "local_files_only")
"""Options of `huggingface_hub.hf_hub_download` that `Pretrained.from_pretrained` takes."""


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
        recipe: Recipe of the model, its training and its sampling.
        segmenter: The network and what turns its output into masks.
        quality: Calibration of its certainty; None without one.
        agreement: Predictor of how well people agree on an outline; None without one.
        outliers: Detector of images unlike its training images; None without one.
        licence: Licence of the weights, by its SPDX identifier; empty if it is not known.
        digest: SHA-256 of the files that it was loaded from, separated by spaces, of weights as
            `files_digest` returns it; empty without any.

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
        self.recipe: Recipe = check_recipe(recipe, CONFIG)
        self.segmenter: BaseSegmenter = build_segmenter(self.recipe)
        self.quality: Quality | None = None
        self.agreement: AgreementPredictor | None = None
        self.outliers: OutlierDetector | None = None
        self.licence = ""
        self.digest = ""
        self._judged = ""
        self._judged_versions: tuple[object, ...] = ()

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights file that it was loaded from; empty without one."""
        return self.digest.rpartition(" ")[2]

    @property
    def companions(self) -> Companions:
        """Companions of the weights, which have files of their own."""
        return Companions(self.quality, self.outliers, self.agreement)

    @companions.setter
    def companions(self, found: Companions) -> None:
        self.quality, self.outliers, self.agreement = found
        self._judged, self._judged_versions = _fingerprint(self.segmenter), self._versions()

    def valid_companions(self) -> Companions:
        """Return the companions of the weights; none, with a warning, if the weights have changed since."""
        if not any(self.companions) or self._versions() == self._judged_versions:
            return self.companions
        if self._judged in {"", _fingerprint(self.segmenter)}:
            return self.companions
        LOG.warning(
            "the weights have changed, so the calibration, the outlier detector and the predictor of "
            "agreement that they were loaded with are left out; make new ones by evaluate --calibrate"
        )
        return Companions()

    def _versions(self) -> tuple[object, ...]:
        """Return a value that changes whenever weights change in place, and possibly without that."""
        tensors = (*self.parameters(), *self.buffers())
        return tuple((one.data_ptr(), None if one.is_inference() else one._version) for one in tensors)

    @property
    def sampling(self) -> SamplingConfig:
        """The sampling of the recipe."""
        return checked_sampling(self.recipe.sampling)

    def forward(self, image: Tensor, sampling: SamplingConfig | None = None) -> Segmentation:
        """Segment images at the network's size.

        Args:
            image: B3HW float32 in [-1, 1].
            sampling: Sampling settings; by default the recipe's, without its second look, which needs
                images of full size: `Segmenter.segment` takes one.

        Returns:
            Probability and spread, B1HW in [0, 1], at the size of the images.

        Raises:
            UserError: The images are of another type or shape, a side is not a multiple of the network's
                stride, the sampling is not a `SamplingConfig` or not one of this model, or the model is in
                training mode.
        """
        if self.training:
            raise UserError("the model is in training mode; call its eval() first")
        stride = self.segmenter.total_stride
        if not isinstance(image, Tensor) or image.dtype != torch.float32:
            kind = image.dtype if isinstance(image, Tensor) else type(image).__name__
            raise UserError(f"images are of type {kind}; give a float32 tensor in [-1, 1]")
        if image.ndim != 4 or image.shape[1] != 3 or any(side % stride for side in image.shape[2:]):
            raise UserError(
                f"images of shape {tuple(image.shape)} do not fit; give (B, 3, height, width), height and "
                f"width multiples of {stride}"
            )
        if not image.numel():
            raise UserError(f"images of shape {tuple(image.shape)} have no pixels; give at least one image")
        if not isinstance(sampling, SamplingConfig | None):
            raise UserError(f"sampling {sampling!r} is not a SamplingConfig; segment() takes its keys")
        if sampling is not None:
            sampling = network_sampling(self.recipe, sampling)
        return self.segmenter.segment(image, sampling or self.sampling).clone()

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path = DEFAULT,
        trust_code: bool = False,
        device: str | torch.device = "cpu",
        **options: Any,
    ) -> Self:
        """Load weights in evaluation mode.

        Args:
            pretrained_model_name_or_path: ``default`` for the weights of the package, a run folder, a folder
                with config.json and model.safetensors, or a Hugging Face hub id.
            trust_code: Import the code that the recipe names by ``target``, if it does. Models and losses
                that are registered by entry points need no trust: the user has installed their package.
            device: Device to put the model on, as for `find_device`; ``auto`` is a CUDA GPU if there is one.
            options: Options of the hub, see `HUB_OPTIONS`. They have no effect on a folder.

        Raises:
            UserError: An option is unknown, the device or the weights do not exist, or the weights are
                broken, do not fit their configuration, or need a package that is not installed or code that
                is not trusted.
        """
        given = pretrained_model_name_or_path
        if not isinstance(given, str | PathLike):
            raise UserError(f"the weights are a {type(given).__name__}; give their name, folder or hub id")
        if unknown := [option for option in options if option not in HUB_OPTIONS]:
            raise UserError(f"unknown option {unknown[0]!r}; choose one of {', '.join(HUB_OPTIONS)}")
        name, place = str(pretrained_model_name_or_path), find_device(device)
        folder = local_folder(name)
        get = folder.joinpath if folder else partial(_download, name, **options)
        try:
            found = cls._read(get, trust_code)
        except UserError:
            raise
        except HUB_ERRORS as error:
            if folder:
                raise UserError(f"{folder}: the weights cannot be read: {reason_of(error)}") from None
            raise UserError(
                f"no weights {name!r}: neither a folder nor reachable on the hub ({one_line(error)})"
            ) from None
        except Exception as error:  # a damaged recipe can fail anywhere in the code of its model
            reason = " ".join(line.strip() for line in str(error).splitlines()[:2]) or type(error).__name__
            hint = "; they may be of an older version of the model" if "state_dict" in reason else ""
            raise UserError(f"{name}: broken weights or configuration: {reason}{hint}") from None
        return found.to(place)

    @classmethod
    def _read(cls, get: Callable[[str], Path], trust_code: bool) -> Self:
        """Load weights from files, whose paths ``get`` returns by name."""
        path = get(CONFIG)
        config = read_config(path, "copy or download the weights again")
        require_trust(config["recipe"], trust_code)
        weights = get(WEIGHTS)
        try:
            with torch.random.fork_rng(devices=()):  # initial weights are drawn, and then replaced
                model = cls(config["recipe"], config.get("packages", ()))
        except UserError as error:
            raise UserError(f"{path}: {str(error).removeprefix(f'{CONFIG}: ')}") from None
        model.digest = files_digest(weights.parent)
        known = str(config.get("licence") or "")
        model.licence = DEFAULT_LICENCE if model.weights_sha256 == DEFAULT_SHA256 else known
        model.segmenter.load_state_dict(read_weights(weights))
        for name in COMPANION_NAMES:
            with contextlib.suppress(EntryNotFoundError):
                get(name)  # the hub puts all files of a revision into one folder
        model.companions = read_companions(weights.parent, model.weights_sha256)
        return model.eval()

    def generate_model_card(self, *arguments: Any, **options: Any) -> ModelCard:
        """Return the card that is saved with the weights, with their licence."""
        card = super().generate_model_card(*arguments, **options)
        if self.licence:
            card.data["license"] = self.licence.lower()
        return card

    def _save_pretrained(self, save_directory: Path) -> None:
        config: dict[str, Any] = {"recipe": self.recipe.model_dump(mode="json")}
        if packages := recipe_packages(self.recipe):
            config["packages"] = packages
        if self.licence:
            config["licence"] = self.licence
        write_text(save_directory / CONFIG, json.dumps(config, sort_keys=True, indent=2))
        state = self.segmenter.state_dict().items()
        copies = {name: value.clone(memory_format=torch.contiguous_format) for name, value in state}
        write_bytes(save_directory / WEIGHTS, save(copies))  # it refuses tied weights, which share memory
        companions = self.valid_companions()
        if any(companions):
            companions.write(save_directory, weights_digest(save_directory / WEIGHTS))


def _fingerprint(segmenter: BaseSegmenter) -> str:
    """Return a digest of weights that a change from float32 to float16 leaves as it is."""
    digest = sha256()
    for name, value in sorted(segmenter.state_dict().items()):
        digest.update(name.encode() + value.detach().cpu().half().contiguous().numpy().tobytes())
    return digest.hexdigest()


def save_segmenter(
    segmenter: BaseSegmenter,
    recipe: Recipe,
    folder: Path,
    dtype: torch.dtype = torch.float32,
    licence: str = "",
) -> None:
    """Write config.json and model.safetensors into a folder.

    Args:
        segmenter: Segmenter with the weights to save.
        recipe: Recipe of the segmenter.
        folder: Folder to write to.
        dtype: Number format of floating-point weights.
        licence: Licence of the weights, by its SPDX identifier; empty if it is not known.

    Raises:
        UserError: The folder cannot be written.
    """
    pretrained = Pretrained(recipe=recipe.model_dump(mode="json"))
    pretrained.licence = licence
    pretrained.segmenter.load_state_dict(segmenter.state_dict())
    pretrained.segmenter.to(dtype)
    try:
        pretrained.save_pretrained(folder)
    except OSError as error:  # of the model card; the other files are written atomically
        (folder / "README.md").unlink(missing_ok=True)
        raise unwritable(folder, error) from error


def load_pretrained(name: str | Path, trust_code: bool = False) -> Pretrained:
    """Load weights in evaluation mode on the CPU, as `Pretrained.from_pretrained` does.

    Args:
        name: As ``pretrained_model_name_or_path`` there.
        trust_code: Import the code that the recipe names by ``target``.
    """
    return Pretrained.from_pretrained(name, trust_code)


def _download(hub_id: str, name: str, **options: Any) -> Path:
    log = logging.getLogger("huggingface_hub")
    level = log.level
    log.setLevel(logging.ERROR)  # its retries repeat the final error
    try:
        return Path(hf_hub_download(hub_id, name, **options))
    finally:
        log.setLevel(level)
