import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from stand_ins import RedIsLesion
from torch import Tensor

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.cache import CachedPairs, open_cache
from mlffm_segdiff.data.case import Case, Entry
from mlffm_segdiff.data.files import decode_pil
from mlffm_segdiff.data.image_tensor import image_tensor, normalise_image
from mlffm_segdiff.evaluation import model
from mlffm_segdiff.evaluation.model import evaluate_model, outline_case, segment_cases
from mlffm_segdiff.metrics.case_scores import score_case
from mlffm_segdiff.metrics.overlap import Mask
from mlffm_segdiff.segmenters.base import Segmentation
from mlffm_segdiff.segmenters.network_output import map_at

SaveMask = Callable[[Path, Mask], Path]
SAMPLING = SamplingConfig(samples=3, steps=2, seed=5, sampler="ddim")
CPU = torch.device("cpu")
SIZE = 16


class Recording(RedIsLesion):
    """Keeps the arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[Tensor, SamplingConfig, bool]] = []
        self.eval()

    def segment(self, image: Tensor, sampling: SamplingConfig) -> Segmentation:
        self.asked.append((image, sampling, torch.is_inference_mode_enabled()))
        return super().segment(image, sampling)


@pytest.fixture
def cases(tmp_path: Path, save_mask: SaveMask) -> list[Case]:
    """Five cases of different sizes: a square lesion, red in the image, placed and sized by the case."""
    found = []
    for index in range(5):
        mask = np.zeros((40 + 4 * index, 64), bool)
        mask[8 : 20 + 2 * index, 12 + index : 40] = True
        image = np.stack([mask * 255, *np.full((2, *mask.shape), 90)], axis=-1).astype(np.uint8)
        Image.fromarray(image).save(tmp_path / f"{index}.png")
        path = save_mask(tmp_path / "masks" / f"{index}.png", mask)
        found.append(Case(f"case{index}", Entry(tmp_path / f"{index}.png"), Entry(path), f"case{index}"))
    return found


@pytest.fixture
def pairs(cases: list[Case], tmp_path: Path) -> CachedPairs:
    return open_cache(cases, SIZE, tmp_path / "cache")


def test_a_segmenter_is_scored_at_both_sizes(cases: list[Case], pairs: CachedPairs) -> None:
    evaluated = list(evaluate_model(Recording(), pairs, cases, SAMPLING, 2, CPU))
    assert [case.id for case in evaluated] == [case.id for case in cases]
    for index, (case, result) in enumerate(zip(cases, evaluated, strict=True)):
        assert result.network is not None
        assert result.network.counts.pixels == SIZE * SIZE
        assert result.source.counts.pixels == (40 + 4 * index) * 64
        assert result.source.counts.lesion == (12 + 2 * index) * (28 - index)
        assert result.network == score_case(pairs.images[index, ..., 0] > 127, pairs.masks[index] == 1)
        assert result.source.dice > 0.9, case.id


def test_the_segmenter_is_called_in_batches_of_images_with_the_sampling(
    cases: list[Case], pairs: CachedPairs
) -> None:
    segmenter = Recording()
    list(evaluate_model(segmenter, pairs, cases, SAMPLING, 2, CPU))
    assert [asked[1:] for asked in segmenter.asked] == [(SAMPLING, True)] * 3
    for (image, _, _), rows in zip(segmenter.asked, ([0, 1], [2, 3], [4]), strict=True):
        assert torch.equal(image, normalise_image(image_tensor(pairs.images[rows])))


def test_a_part_in_any_order_and_batch_size_scores_each_case_the_same(
    cases: list[Case], pairs: CachedPairs
) -> None:
    whole = {case.id: case for case in evaluate_model(Recording(), pairs, cases, SAMPLING, 2, CPU)}
    part = [cases[4], cases[1], cases[2]]
    again = list(evaluate_model(Recording(), pairs, part, SAMPLING, 5, CPU))
    assert again == [whole["case4"], whole["case1"], whole["case2"]]


def test_the_source_mask_is_where_probability_reaches_one_half(cases: list[Case], pairs: CachedPairs) -> None:
    (segmented,) = segment_cases(Recording(), pairs, cases[2:3], SAMPLING, 1, CPU)
    assert segmented.result.mask.shape == segmented.truth.shape == (48, 64)
    assert segmented.result.segmentation is not None
    small = segmented.result.segmentation.probability
    np.testing.assert_array_equal(segmented.result.mask, map_at(small, 48, 64) >= 0.5)
    np.testing.assert_array_equal(segmented.truth, np.asarray(Image.open(str(cases[2].mask))) > 0)


class Undecided(Recording):
    """Return one half everywhere."""

    def segment(self, image: Tensor, sampling: SamplingConfig) -> Segmentation:
        half = torch.full_like(image[:, :1], 0.5)
        return Segmentation(half, torch.zeros_like(half))


def test_a_probability_of_exactly_one_half_is_lesion(tmp_path: Path, save_mask: SaveMask) -> None:
    truth = np.tri(2 * SIZE, dtype=bool)  # twice the size: the weights are quarters, exact in binary
    path = Entry(save_mask(tmp_path / "a.png", truth))
    cases = [Case("a", path, path, "a")]
    pairs = open_cache(cases, SIZE, tmp_path / "cache")
    (evaluated,) = evaluate_model(Undecided(), pairs, cases, SAMPLING, 1, CPU)
    assert evaluated.network is not None
    assert (evaluated.source.recall, evaluated.source.specificity) == (1, 0)
    assert (evaluated.network.recall, evaluated.network.specificity) == (1, 0)


def test_an_outline_has_the_masks_and_score_of_source_size(cases: list[Case], pairs: CachedPairs) -> None:
    (segmented,) = segment_cases(Recording(), pairs, cases[:1], SAMPLING, 1, CPU)
    (evaluated,) = evaluate_model(Recording(), pairs, cases[:1], SAMPLING, 1, CPU)
    outline = outline_case(segmented)
    assert (outline.id, outline.jaccard) == ("case0", evaluated.source.jaccard)
    assert score_case(outline.predicted, outline.truth) == evaluated.source


def test_a_case_outside_the_cache_is_named_before_any_work(cases: list[Case], pairs: CachedPairs) -> None:
    segmenter, stranger = Recording(), Case("stranger", cases[0].image, cases[0].mask, "stranger")
    with pytest.raises(UserError, match="stranger"):
        list(evaluate_model(segmenter, pairs, [*cases, stranger], SAMPLING, 2, CPU))
    assert not segmenter.asked


def test_a_case_without_a_mask_is_named(cases: list[Case], pairs: CachedPairs) -> None:
    bare = Case("case0", cases[0].image, None, "case0")
    with pytest.raises(UserError, match="case0 has no mask"):
        list(evaluate_model(Recording(), pairs, [bare], SAMPLING, 2, CPU))


def test_a_segmenter_in_training_mode_is_refused(cases: list[Case], pairs: CachedPairs) -> None:
    with pytest.raises(ValueError, match="training mode"):
        list(evaluate_model(Recording().train(), pairs, cases, SAMPLING, 2, CPU))


def test_a_second_look_is_scored_at_both_sizes_from_images_read_one_by_one(
    cases: list[Case], pairs: CachedPairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    images: list[weakref.ref[Image.Image]] = []

    def decode(data: bytes, name: str) -> Image.Image:
        assert all(image() is None for image in images)
        image = decode_pil(data, name)
        images.append(weakref.ref(image))
        return image

    monkeypatch.setattr(model, "decode_pil", decode)
    once = list(evaluate_model(Recording(), pairs, cases, SamplingConfig(), 5, CPU))
    assert not images
    segmenter = Recording()
    again = list(evaluate_model(segmenter, pairs, cases, SamplingConfig(second_look=True), 5, CPU))
    assert [len(image) for image, _, _ in segmenter.asked] == [5, len(images)]
    assert images
    for before, after in zip(once, again, strict=True):
        assert before.network is not None
        assert after.network is not None
        assert after.network.counts.pixels == SIZE * SIZE
        assert after.source.counts.pixels == before.source.counts.pixels
    assert sum(case.source.dice for case in again) > sum(case.source.dice for case in once)
