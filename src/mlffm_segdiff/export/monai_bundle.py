"""Weights as a MONAI bundle (https://docs.monai.io/en/stable/bundle.html): configuration, weights, texts."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.extra import DISTRIBUTION
from mlffm_segdiff.data.image_tensor import image_tensor, normalise_image
from mlffm_segdiff.files.atomic import atomic_folder
from mlffm_segdiff.metrics.certainty import THRESHOLD
from mlffm_segdiff.segmenters.pretrained import Pretrained
from mlffm_segdiff.segmenters.saved_weights import require_trust

MONAI_VERSION = "1.6.1"
"""Version of MONAI that bundles were tested with."""
SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
)
SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff")
TEST_SIDE = 64
"""Multiple of the height and width of random images that verify_net_in_out makes."""


class BundleNetwork(nn.Module):
    """A segmenter for images of any size, as the network of a bundle; it resizes as `predict` does.

    Args:
        recipe: Recipe of the weights, as in their config.json.

    Raises:
        UserError: The recipe is not valid, or names code that the user does not trust.
    """

    def __init__(self, recipe: dict[str, Any]) -> None:
        super().__init__()
        require_trust(recipe)
        pretrained = Pretrained(recipe=recipe)
        self.segmenter, self.sampling = pretrained.segmenter, pretrained.sampling
        self.side = pretrained.recipe.data.size

    def forward(self, image: Tensor) -> Tensor:
        """Return the probability of lesion, B1HW in [0, 1], of RGB images, B3HW in [0, 1]."""
        height, width = image.shape[2:]
        levels = image.as_subclass(Tensor).mul(255).round().byte().movedim(1, -1).cpu().numpy()
        size = self.side, self.side
        small = [Image.fromarray(one).resize(size, Image.Resampling.BILINEAR) for one in levels]
        pixels = image_tensor(np.stack([np.asarray(one) for one in small])).to(image.device)
        probability = self.segmenter.segment(normalise_image(pixels), self.sampling).probability
        shrinks = height < self.side or width < self.side
        return F.interpolate(
            probability, (height, width), mode="bilinear", align_corners=False, antialias=shrinks
        )


def write_bundle(pretrained: Pretrained, folder: Path) -> None:
    """Write weights as a MONAI bundle atomically; an existing folder is kept as it is.

    The weights are a state dict of tensors, which torch reads without running code.

    Args:
        pretrained: The weights.
        folder: Folder to create.

    Raises:
        UserError: The folder cannot be written, or the recipe has a second look, which a bundle cannot take.
    """
    if pretrained.sampling.second_look:
        raise UserError("a MONAI bundle cannot hold a second look; export with sampling.second_look=false")
    recipe = pretrained.recipe.model_dump(mode="json")
    state = {
        f"segmenter.{name}": value.contiguous().cpu()
        for name, value in pretrained.segmenter.state_dict().items()
    }
    with atomic_folder(folder) as building:
        for name in ("configs", "docs", "models"):
            (building / name).mkdir()
        _write_json(building / "configs" / "metadata.json", _metadata(pretrained))
        _write_json(building / "configs" / "inference.json", _inference(recipe))
        torch.save(state, building / "models" / "model.pt")
        (building / "docs" / "README.md").write_text(_readme(pretrained), encoding="utf-8")
        (building / "LICENSE").write_text(f"{_licence(pretrained)}\n", encoding="utf-8")


def _metadata(pretrained: Pretrained) -> dict[str, Any]:
    number, name = version(DISTRIBUTION), pretrained.recipe.name
    image = {
        "type": "image",
        "format": "RGB",
        "modality": "dermoscopy",
        "num_channels": 3,
        "spatial_shape": [f"{TEST_SIDE}*n", f"{TEST_SIDE}*n"],
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": False,
        "channel_def": {"0": "red", "1": "green", "2": "blue"},
    }
    probability = {**image, "type": "probabilities", "format": "segmentation", "num_channels": 1}
    return {
        "schema": SCHEMA,
        "version": number,
        "changelog": {number: f"exported by {DISTRIBUTION} {number}"},
        "monai_version": MONAI_VERSION,
        "pytorch_version": torch.__version__.partition("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": {DISTRIBUTION: number},
        "name": f"{DISTRIBUTION} {name}",
        "task": "Segmentation of skin lesions in dermoscopic images",
        "description": f"Recipe {name}; SHA-256 of the weights: {pretrained.weights_sha256 or 'none'}",
        "authors": "The mlffm-segdiff contributors",
        "copyright": _licence(pretrained),
        "intended_use": "Research, not diagnosis",
        "references": ["Gu et al. 2026, arXiv:2606.26712"],
        "network_data_format": {
            "inputs": {"image": image},
            "outputs": {"pred": {**probability, "channel_def": {"0": "lesion"}}},
        },
    }


def _inference(recipe: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of `monai.bundle run`; MONAI's image axes are turned around the network."""
    turned = {"_target_": "Transposed", "indices": [0, 2, 1]}
    rgb = "$lambda image: ImageOps.exif_transpose(image).convert('RGB')"
    reader = {"_target_": "PILReader", "converter": rgb}
    scale = {"a_min": 0, "a_max": 255, "b_min": 0, "b_max": 1}
    saved = {
        "scale": 255,
        "output_ext": ".png",
        "output_postfix": "",
        "separate_folder": False,
        "resample": False,
    }
    return {
        "imports": ["$from pathlib import Path", "$from PIL import ImageOps"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/images'",
        "output_dir": "$@bundle_root + '/masks'",
        "checkpoint": "$@bundle_root + '/models/model.pt'",
        "threshold": THRESHOLD,
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "datalist": "$[{'image': str(path)} for path in sorted(Path(@dataset_dir).iterdir())"
        f" if path.suffix.lower() in {SUFFIXES}]",
        "network_def": {"_target_": f"{__name__}.{BundleNetwork.__name__}", "recipe": recipe},
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image", "reader": reader, "ensure_channel_first": True},
                {**turned, "keys": "image"},
                {"_target_": "ScaleIntensityRanged", "keys": "image", **scale},
            ],
        },
        "dataset": {"_target_": "Dataset", "data": "@datalist", "transform": "@preprocessing"},
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "AsDiscreted", "keys": "pred", "threshold": "@threshold"},
                {**turned, "keys": "pred"},
                {
                    "_target_": "SaveImaged",
                    "keys": "pred",
                    "output_dir": "@output_dir",
                    "output_dtype": "$np.uint8",
                    **saved,
                },
            ],
        },
        "load": "$@network.load_state_dict(torch.load(@checkpoint, map_location=@device, weights_only=True))",
        "segment": "$torch.inference_mode()(lambda item: {'pred': monai.data.MetaTensor("
        "@inferer(item['image'][None].to(@device), @network)[0].cpu(), meta=item['image'].meta)})",
        "run": ["$@load", "$@network.eval()", "$[@postprocessing(@segment(item)) for item in @dataset]"],
    }


def _licence(pretrained: Pretrained) -> str:
    code = "The code that runs this bundle is under the Apache License 2.0."
    if pretrained.licence:
        return f"The weights are under {pretrained.licence}. {code}"
    return f"The licences of the data that the weights were trained on apply to the weights. {code}"


def _readme(pretrained: Pretrained) -> str:
    return f"""# {DISTRIBUTION} {pretrained.recipe.name}

Segments skin lesions in dermoscopic images. Research software, not a medical device.

Install the Python packages {DISTRIBUTION}, monai (tested with {MONAI_VERSION}) and fire. Then

    python -m monai.bundle run --config_file configs/inference.json --bundle_root . \\
        --dataset_dir IMAGES --output_dir MASKS

writes a mask of 0 and 255 for each image, at its size. The network takes RGB in [0, 1] of any size and
returns the probability of lesion; `threshold` is {THRESHOLD}. Connected components below 0.1 % of the lesion,
which `{DISTRIBUTION} predict` removes, are kept. `models/model.pt` holds tensors only; load it with
`weights_only=True`.

{_licence(pretrained)}
"""


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
