"""Assemble the default weights as a repository of the Hugging Face hub: hub_folder.py FOLDER

Writes the model card (README.md), the weights, their configuration and what is calibrated for them, as they
are in the package, and .gitattributes for git. RELEASING.md has the command that uploads the folder.
"""

import shutil
import sys
from pathlib import Path

from huggingface_hub import ModelCard

from mlffm_segdiff.segmenters.pretrained import Pretrained
from mlffm_segdiff.segmenters.saved_weights import DEFAULT, weights_folder

FILES = (
    "README.md",
    "agreement.json",
    "config.json",
    "model.safetensors",
    "outliers.safetensors",
    "quality.json",
)
GIT_LFS = "*.safetensors filter=lfs diff=lfs merge=lfs -text\n"


def hub_folder(folder: Path) -> None:
    """Write the repository and read it back.

    Args:
        folder: Folder to create; it must not exist.

    Raises:
        UserError: If the weights are not those of this version.
        ValueError: If the card has no valid metadata.
    """
    Pretrained.from_pretrained(DEFAULT)  # checks the digest
    folder.mkdir(parents=True)
    for name in FILES:
        shutil.copy(weights_folder(DEFAULT) / name, folder)
    (folder / ".gitattributes").write_text(GIT_LFS, encoding="utf-8")
    card = ModelCard.load(folder / "README.md").data
    if not (card.license and card.library_name and card.pipeline_tag and card.eval_results):
        raise ValueError(f"{folder / 'README.md'}: license, library, task or results are missing")
    Pretrained.from_pretrained(folder)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    hub_folder(Path(sys.argv[1]))
