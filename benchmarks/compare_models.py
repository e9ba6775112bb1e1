"""How fast each model trains and segments, and one table of that beside what it weighs, costs and scores.

    OMP_NUM_THREADS=2 python benchmarks/compare_models.py --turns 3 --speed speed.json NAME=RUN:SCORES ...

RUN is a run folder, SCORES what ``evaluate`` wrote of it. Training: steps on a batch of 8 in memory (loss,
gradients, optimiser, averaged weights). Segmentation: one image, by the run's own sampling. The models take
turns. Prints a Markdown table; a speed.json that is there already is read, not measured again.
"""

import argparse
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from mlffm_segdiff.benchmark.timing import device_clock, take_turns
from mlffm_segdiff.benchmark.training_speed import TrainingStep, training_batch
from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.data.atomic import atomic_write
from mlffm_segdiff.evaluation.report import SUMMARY_FILE, markdown_table
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.cost import count_figures
from mlffm_segdiff.segmenters.sampling import chosen_sampling
from mlffm_segdiff.training.run_folder import RunFolder

CPU = torch.device("cpu")
BATCH = 8
HEADER = (
    "model",
    "parameters (M)",
    "GFLOP",
    "training images/s",
    "seconds an image",
    "Jaccard, pooled",
    "Dice, pooled",
    "Jaccard, per image",
    "Dice, per image",
    "boundary Dice",
    "HD95 (px)",
)


@dataclass(frozen=True)
class Entrant:
    """A trained model: its recipe, and the scores at network size that ``evaluate`` found."""

    recipe: Recipe
    scores: dict[str, dict[str, dict[str, float]]]


def read_entrant(text: str) -> tuple[str, Entrant]:
    """Return name and entrant of NAME=RUN:SCORES. Raises SystemExit if it is written otherwise."""
    name, _, folders = text.partition("=")
    run, _, scores = folders.partition(":")
    if not (name and run and scores):
        raise SystemExit(f"error: {text!r} is not NAME=RUN:SCORES")
    summary = json.loads((Path(scores) / SUMMARY_FILE).read_text())
    return name, Entrant(RunFolder(Path(run)).recipe(), summary["network"])


def measure(recipes: dict[str, Recipe], turns: int) -> dict[str, dict[str, float]]:
    """Return for each recipe its training images/s and its seconds an image, medians over the turns."""
    clock = device_clock(CPU)
    segmenters = {name: build_segmenter(recipe).eval() for name, recipe in recipes.items()}
    side = {name: recipe.data.size for name, recipe in recipes.items()}
    works = {
        name: partial(
            segmenter.segment,
            torch.zeros(1, 3, side[name], side[name]),
            ["a"],
            chosen_sampling(recipes[name]),
        )
        for name, segmenter in segmenters.items()
    }
    seconds = {name: timing.median for name, timing in take_turns(works, turns, clock).items()}
    steps = {
        name: TrainingStep(segmenter, recipes[name], training_batch(BATCH, side[name], CPU), torch.float32)
        for name, segmenter in segmenters.items()
    }
    rates = {name: BATCH / timing.median for name, timing in take_turns(steps, turns, clock).items()}
    return {
        name: {"training_images_per_s": rates[name], "seconds_an_image": seconds[name]} for name in recipes
    }


def row(name: str, entrant: Entrant, speed: dict[str, float]) -> tuple[str, ...]:
    """Return one row of the table under HEADER."""
    figures = count_figures(entrant.recipe)
    pooled, image = entrant.scores["pooled"], entrant.scores["per_image"]
    return (
        name,
        f"{figures.parameters / 1e6:.2f}",
        f"{figures.flops / 1e9:.1f}",
        f"{speed['training_images_per_s']:.1f}",
        f"{speed['seconds_an_image']:.3f}",
        f"{pooled['jaccard']:.4f}",
        f"{pooled['dice']:.4f}",
        *(
            "{mean:.4f} ({low:.4f} to {high:.4f})".format(**image[score])  # type: ignore[arg-type]
            for score in ("jaccard", "dice")
        ),
        f"{image['boundary_dice']['mean']:.4f}",
        f"{image['hd95']['mean']:.2f}",
    )


def main() -> None:
    """Measure what is not measured yet and print the table, best pooled Jaccard first."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--speed", type=Path, required=True)
    parser.add_argument("models", nargs="+", metavar="NAME=RUN:SCORES")
    arguments = parser.parse_args()
    entrants = dict(map(read_entrant, arguments.models))
    if not arguments.speed.is_file():
        found = measure({name: entrant.recipe for name, entrant in entrants.items()}, arguments.turns)
        facts = {"threads": torch.get_num_threads(), "turns": arguments.turns, "models": found}
        with atomic_write(arguments.speed) as path:
            path.write_text(json.dumps(facts, indent=2) + "\n")
    speeds = json.loads(arguments.speed.read_text())["models"]
    if missing := sorted(entrants.keys() - speeds.keys()):
        raise SystemExit(f"error: {arguments.speed} does not hold {', '.join(missing)}; name another file")
    best_first = sorted(entrants, key=lambda name: -entrants[name].scores["pooled"]["jaccard"])
    print(markdown_table(HEADER, [row(name, entrants[name], speeds[name]) for name in best_first]), end="")


if __name__ == "__main__":
    main()
