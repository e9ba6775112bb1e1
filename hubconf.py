"""Entry point of torch.hub: ``torch.hub.load("OWNER/REPOSITORY", "mlffm_segdiff")``, or a local checkout."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlffm_segdiff import Segmenter

sys.path.insert(0, str(Path(__file__).parent / "src"))

dependencies = [
    "huggingface_hub",
    "jinja2",
    "numpy",
    "omegaconf",
    "PIL",
    "platformdirs",
    "pydantic",
    "safetensors",
    "scipy",
    "skimage",
    "torch",
    "yaml",
]


def mlffm_segdiff(pretrained: bool = True, weights: str = "default") -> "Segmenter":
    """Return a segmenter in evaluation mode.

    Args:
        pretrained: Load the weights; otherwise only their network, with random values.
        weights: ``default`` for the weights in the repository, a folder, or a Hugging Face hub id.
    """
    from mlffm_segdiff import Segmenter

    loaded = Segmenter.from_pretrained(weights)
    if pretrained:
        return loaded
    return Segmenter(loaded.recipe.model_dump(mode="json")).eval()
