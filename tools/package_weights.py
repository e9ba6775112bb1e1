"""Make runs the package's default weights: package_weights.py RUN [RUN ...] [key=value ...]

Of several runs the weights are averaged (Wortsman et al. 2022, arXiv:2203.05482); they must descend from the
same pretrained weights. The keys change the recipe, such as sampling.logit_spread=2, chosen on validation
ids. Writes float16 weights and their configuration, without the paths of the machine that trained them, into
src/mlffm_segdiff/weights/default, and their SHA-256 into the code that checks it. tools/model_card.py
writes the card.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from mlffm_segdiff.config.load import override_values
from mlffm_segdiff.segmenters import pretrained, saved_weights
from mlffm_segdiff.segmenters.recipe import check_recipe

DEFAULT = Path(__file__).parent.parent / "src/mlffm_segdiff/weights/default"
MAX_BYTES = 16_000_000


def main(*arguments: str) -> None:
    """Package the average weights of run folders."""
    runs = [pretrained.load_pretrained(name) for name in arguments if "=" not in name]
    overrides = [argument for argument in arguments if "=" in argument]
    found = runs[-1]
    found.segmenter.load_state_dict(average([run.segmenter.state_dict() for run in runs]))
    recipe = check_recipe(
        override_values(found.recipe.model_dump(mode="json"), overrides, "recipe"), "recipe"
    )
    data = recipe.data.model_copy(update={"sources": dict.fromkeys(recipe.data.sources), "split": None})
    train = recipe.train.model_copy(update={"init": None})
    changed = recipe.model_copy(update={"data": data, "train": train})
    pretrained.save_segmenter(found.segmenter, changed, DEFAULT, torch.float16)
    weights = DEFAULT / saved_weights.WEIGHTS
    if weights.stat().st_size > MAX_BYTES:
        sys.exit(f"{weights} has {weights.stat().st_size} bytes, more than {MAX_BYTES}")
    code = Path(saved_weights.__file__)
    pinned = f'DEFAULT_SHA256 = "{saved_weights.weights_digest(weights)}"'
    text = re.sub(r'DEFAULT_SHA256 = "\w*"', pinned, code.read_text("utf-8"))
    code.write_text(text, encoding="utf-8")


def average(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of each tensor over states of one network; counters are those of the last."""
    return {
        name: torch.stack([state[name] for state in states]).mean(dim=0) if last.is_floating_point() else last
        for name, last in states[-1].items()
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
