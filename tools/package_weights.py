"""Make a run the package's default weights: package_weights.py RUN [key=value ...]

The keys change the recipe, such as sampling.widening=2, chosen on validation ids once the run is done. Writes
float16 weights and their configuration, without the paths of the machine that trained them, into
src/mlffm_segdiff/weights/default, and their SHA-256 into the code that checks it. tools/model_card.py
writes the card.
"""

import re
import sys
from pathlib import Path

import torch

from mlffm_segdiff.config.load import override_values
from mlffm_segdiff.segmenters import pretrained
from mlffm_segdiff.segmenters.calibration import weights_digest
from mlffm_segdiff.segmenters.recipe import check_recipe

DEFAULT = Path(__file__).parent.parent / "src/mlffm_segdiff/weights/default"
MOST_BYTES = 16_000_000


def main(run: str, *overrides: str) -> None:
    """Package the weights of a run folder."""
    found = pretrained.load_pretrained(run)
    values = override_values(found.recipe.model_dump(mode="json"), overrides, run)
    recipe = check_recipe(values, run)
    data = recipe.data.model_copy(update={"sources": dict.fromkeys(recipe.data.sources), "split": None})
    train = recipe.train.model_copy(update={"init": None})
    changed = recipe.model_copy(update={"data": data, "train": train})
    pretrained.save_segmenter(found.segmenter, changed, DEFAULT, torch.float16)
    weights = DEFAULT / pretrained.WEIGHTS
    if weights.stat().st_size > MOST_BYTES:
        sys.exit(f"{weights} has {weights.stat().st_size} bytes, more than {MOST_BYTES}")
    code = Path(pretrained.__file__)
    pinned = f'DEFAULT_SHA256 = "{weights_digest(weights)}"'
    code.write_text(re.sub(r'DEFAULT_SHA256 = "\w*"', pinned, code.read_text()))


if __name__ == "__main__":
    main(*sys.argv[1:])
