from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.sources import load_split_cases
from mlffm_segdiff.evaluation import calibrate, evaluate, evaluate_masks
from mlffm_segdiff.evaluation.pipeline import EvaluatedModel
from mlffm_segdiff.metrics.overlap import Mask
from mlffm_segdiff.segmenters.assembly import build_segmenter, checked_sampling
from mlffm_segdiff.segmenters.recipe import load_recipe


def test_only_a_models_evaluation_on_validation_ids_calibrates(
    tmp_path: Path, save_mask: Callable[[Path, Mask], Path], left_half: Mask
) -> None:
    for folder in ("predicted", "truth"):
        save_mask(tmp_path / folder / "a.png", left_half)
    of_masks = evaluate_masks(tmp_path / "predicted", tmp_path / "truth")
    recipe = load_recipe("synthetic", ["data.synthetic_count=10"])
    parts, sampling = load_split_cases(recipe.data), checked_sampling(recipe.sampling)
    described = (recipe, parts, "test", sampling, build_segmenter(recipe), torch.device("cpu"))
    on_test = replace(of_masks, model=EvaluatedModel(*described))
    for found in (of_masks, on_test):
        with pytest.raises(UserError, match="use part='val'"):
            calibrate(found, tmp_path)
    assert not (tmp_path / "quality.json").exists()


def test_a_part_that_does_not_exist_is_one_error() -> None:
    with pytest.raises(UserError, match="unknown part 'tests'; choose one of train, val, test"):
        evaluate("default", sources={"synthetic": None}, part="tests")


@pytest.mark.parametrize("part", ["val", "test"])
def test_bounds_are_not_judged_by_cases_that_they_may_have_been_made_from(
    part: str, made_lesions: Callable[[int], Path]
) -> None:
    found = evaluate("default", sources={"folder": made_lesions(20)}, part=part)
    assert found.cases
    assert bool(found.coverage) is (part == "test")
    assert ("coverage" in found.facts) is (part == "test")
