"""Make a run the package's default weights: package_weights.py RUN

Writes float16 weights and their configuration, without the paths of the machine that trained them, into
src/mlffm_segdiff/weights/default. The model card there is written by hand and stays.
"""

import sys
from pathlib import Path

import torch

from mlffm_segdiff.build.pretrained import load_pretrained, save_segmenter

DEFAULT = Path(__file__).parent.parent / "src/mlffm_segdiff/weights/default"


def main(run: str) -> None:
    """Package the weights of a run folder."""
    pretrained = load_pretrained(run)
    recipe = pretrained.recipe
    data = recipe.data.model_copy(update={"sources": dict.fromkeys(recipe.data.sources), "split": None})
    train = recipe.train.model_copy(update={"init": None})
    save_segmenter(
        pretrained.segmenter, recipe.model_copy(update={"data": data, "train": train}), DEFAULT, torch.float16
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
