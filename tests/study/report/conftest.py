"""Studies whose scores are drawn, in the layout of real ones: real plans, tables by the real writers."""

import csv
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlffm_segdiff.config.study import Study
from mlffm_segdiff.data.sources import load_split_cases
from mlffm_segdiff.data.synthetic import write_folder
from mlffm_segdiff.evaluation.report import cases_csv
from mlffm_segdiff.evaluation.rows import EvaluatedCase
from mlffm_segdiff.metrics import overlap
from mlffm_segdiff.metrics.case_scores import CaseScores
from mlffm_segdiff.metrics.overlap import Counts
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.pretrained import save_segmenter
from mlffm_segdiff.study.cells import Cell
from mlffm_segdiff.study.runner import make_plan, save_plan
from mlffm_segdiff.study.study_folder import CellFolder, StudyFolder

VARIANTS = {
    "full": {"recipe": "synthetic"},
    "without MLFFM": {"recipe": "synthetic", "overrides": ["model.fusion_width=null"]},
    "uniform weights": {"recipe": "synthetic", "overrides": ["model.adaptive=false"]},
}
GAINS = {"full": 0.0, "without MLFFM": -0.1, "uniform weights": 0.0}
"""What a variant's recall is more than the baseline's, on every image and with every seed."""
SIDE = 32
RECORD = {
    "seconds": 100.0,
    "training_seconds": 90.0,
    "resumed": False,
    "images": 16,
    "python": "3.11.7",
    "packages": {"torch": "2.13.0"},
    "training_code": "0123",
    "code": "0123",
}


def drawn_scores(recall: float, lesion: int) -> CaseScores:
    """Scores of `lesion` of 32 x 32 pixels, of which the share `recall` was found, and 20 false pixels."""
    tp = round(recall * lesion)
    counts = Counts(tp=tp, fp=20, fn=lesion - tp, tn=SIDE**2 - lesion - 20)
    ratios = {name: getattr(overlap, name)(counts) for name in ("accuracy", "precision", "recall")}
    return CaseScores(
        **ratios,
        specificity=overlap.specificity(counts),
        dice=overlap.dice(counts),
        jaccard=overlap.jaccard(counts),
        thresholded_jaccard=overlap.thresholded_jaccard(counts),
        hd95=10 * (1 - recall),
        hd95_percent=20 * (1 - recall),
        assd=5 * (1 - recall),
        assd_percent=10 * (1 - recall),
        boundary_dice=recall,
        **vars(counts),
    )


def drawn_cases(cell: Cell, ids: list[str], gain: float) -> list[EvaluatedCase]:
    """An image is as hard for all variants; each seed adds the same noise to all of them."""
    hardness, noise = np.random.default_rng(0), np.random.default_rng(cell.seed + 1)
    cases = []
    for name in ids:
        lesion = int(hardness.integers(80, 600))
        recall = hardness.uniform(0.6, 0.8) + noise.uniform(-0.05, 0.05) + gain
        scores = drawn_scores(recall, lesion)
        cases.append(EvaluatedCase(name, scores, scores))
    return cases


def write_cell(cell: Cell, folder: CellFolder, evaluations: Mapping[str, Any], gain: float) -> None:
    """What a finished cell leaves, its weights untrained."""
    ids = [case.id for case in load_split_cases(cell.recipe.data).cases["test"]]
    for name in evaluations:
        folder.scores(name).mkdir(parents=True)
        (folder.scores(name) / "cases.csv").write_text(cases_csv(drawn_cases(cell, ids, gain)))
        (folder.scores(name) / "summary.json").write_text(json.dumps({"source": {"cases": len(ids)}}))
    save_segmenter(build_segmenter(cell.recipe), cell.recipe, folder.run.weights)
    folder.run.metrics.parent.mkdir()
    with folder.run.metrics.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("epoch", "loss", "step", "val_jaccard"))
        writer.writerows((n, 1 / (n + 1) + 0.1 * cell.seed, 2 * n + 1, 0.5 + 0.1 * n) for n in range(4))
    folder.finished.write_text(json.dumps(RECORD))


Fabricate = Callable[..., StudyFolder]


@pytest.fixture(scope="session")
def fabricate(
    make_study: Callable[..., Study], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., StudyFolder]:
    """Make a study in a new folder: fabricate(left_out, gains, **keys of the study).

    left_out: (variant, dataset, seed) of the cells that are not finished.
    """

    def make(
        left_out: tuple[tuple[str, str, int], ...] = (),
        gains: Mapping[str, float] = GAINS,
        sources: Mapping[str, Path] | None = None,
        **keys: Any,
    ) -> StudyFolder:
        folder = StudyFolder(tmp_path_factory.mktemp("fabricated") / "study")
        given = {"variants": VARIANTS, "seeds": [0, 1, 2], **keys}
        study = make_study(**given)
        plan = make_plan(study, folder, sources or {})
        save_plan(plan, study, folder)
        for cell in plan.cells:
            if (cell.variant, cell.dataset, cell.seed) not in left_out:
                gain = gains[cell.variant] + (0.05 if cell.dataset.endswith("by_image") else 0)
                write_cell(cell, folder.cell(cell.key), plan.evaluations, gain)
        return folder

    return make


@pytest.fixture(scope="session")
def lesions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty synthetic pairs as the data set `folder` has them: 28, 4 and 8 by the usual shares."""
    folder = tmp_path_factory.mktemp("made") / "lesions"
    write_folder(folder, 40, SIDE, seed=3)
    return folder


@pytest.fixture(scope="session")
def finished(fabricate: Fabricate, lesions: Path) -> StudyFolder:
    """Three variants, three seeds, two evaluations, one source under two splits. Tests do not change it."""
    split = lesions.parent / "split.csv"
    names = sorted(path.stem for path in (lesions / "images").iterdir())
    parts = ["train"] * 26 + ["val"] * 4 + ["test"] * 10
    split.write_text("id,part\n" + "".join(f"{n},{p}\n" for n, p in zip(names, parts, strict=True)))
    return fabricate(
        datasets={
            "lesions": {"source": "folder"},
            "by_image": {"source": "folder", "overrides": [f"data.split={split}"]},
        },
        sources={"lesions": lesions, "by_image": lesions},
        evaluations={"steps_2": ["sampling.steps=2"], "steps_1": ["sampling.steps=1"]},
    )


@pytest.fixture
def copied(finished: StudyFolder, tmp_path: Path) -> StudyFolder:
    """A copy of `finished` that a test may change."""
    return StudyFolder(Path(shutil.copytree(finished.path, tmp_path / "copied")))


@pytest.fixture(scope="session")
def unfinished(fabricate: Fabricate, lesions: Path) -> StudyFolder:
    """A ranked study that lacks cells, whose images are missing."""
    copy = lesions.parent / "copy"
    shutil.copytree(lesions, copy)
    left_out = (("uniform weights", "gone", 0), ("without MLFFM", "gone", 2))
    folder = fabricate(left_out, datasets={"gone": {"source": "folder"}}, sources={"gone": copy}, rank=True)
    shutil.rmtree(copy)
    return folder
