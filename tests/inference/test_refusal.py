import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.image_quality import QualityLimits
from mlffm_segdiff.inference.analysis import OutlierError, Processing, analyse
from mlffm_segdiff.inference.model import Model, load_model
from mlffm_segdiff.inference.outputs.writers import Output
from mlffm_segdiff.inference.predict import predict_files
from mlffm_segdiff.inference.reading.case_image import CaseImage
from mlffm_segdiff.inference.segmenter import Prompted, Segmenter, segment
from mlffm_segdiff.metrics.certainty import Calibration
from mlffm_segdiff.segmenters.calibration import Quality, StyleCalibration
from mlffm_segdiff.segmenters.network_output import NetworkOutput
from mlffm_segdiff.segmenters.outliers import OutlierDetector, fit_detector

EVERYTHING = (-1e9, 1e9)
QUALITY = Quality(
    sampling=SamplingConfig(),
    sources=("a",),
    cases=1,
    training_images=1,
    split="",
    styles={"any": StyleCalibration(calibration=Calibration((0.0, 1.0), (0.0, 1.0)))},
    limits=QualityLimits(EVERYTHING, EVERYTHING, EVERYTHING, EVERYTHING),
)


@pytest.fixture(scope="module")
def detector() -> OutlierDetector:
    """Training images with two normal features."""
    generator = np.random.default_rng(0)
    groups = [{"a": generator.normal(size=(count, 2))} for count in (200, 200)]
    found = fit_detector(*groups)
    assert found is not None
    return found


@pytest.fixture
def judged(detector: OutlierDetector) -> Callable[..., tuple[CaseImage, NetworkOutput, Model]]:
    """The arguments of `analyse` for an image with these two features."""

    def make(*features: float) -> tuple[CaseImage, NetworkOutput, Model]:
        probability = np.full((4, 4), 0.9, np.float32)
        found = NetworkOutput(probability, 0 * probability, features=np.float32(features))
        model = Model(None, 4, SamplingConfig(), torch.device("cpu"), QUALITY, outliers=detector)
        return CaseImage(4, 4, np.zeros((4, 4, 3), np.uint8), name="cat.jpg"), found, model

    return make


def text_page(size: int) -> Image.Image:
    page = Image.new("RGB", (size, size), "white")
    for line in range(0, size, 14):
        ImageDraw.Draw(page).text((4, line), "The quick brown fox jumps over the lazy dog. " * 3, "black")
    return page


def checkerboard(size: int) -> Image.Image:
    rows, columns = np.indices((size, size)) // 32
    return Image.fromarray((255 * ((rows + columns) % 2)).astype(np.uint8)).convert("RGB")


def noise(size: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8))


FAR = (text_page, checkerboard, noise)


def test_an_outlier_is_flagged_and_no_dice_is_expected(
    judged: Callable[..., tuple[CaseImage, NetworkOutput, Model]],
) -> None:
    usual, far = analyse(*judged(0.0, 0.5)), analyse(*judged(0.0, 50.0))
    assert usual.expected_dice is not None
    assert usual.outlier is not None
    assert usual.outlier.score < 1
    assert "not_dermoscopy" not in usual.flags
    assert far.expected_dice is None
    assert far.calibration is None
    assert far.outlier is not None
    assert far.outlier.score > 10
    assert far.flags[0] == "not_dermoscopy"
    assert far.mask.all()


def test_an_outlier_is_refused_on_request(
    judged: Callable[..., tuple[CaseImage, NetworkOutput, Model]],
) -> None:
    refusing = Processing(refuse_outliers=True)
    assert analyse(*judged(0.0, 0.5), refusing).mask.all()
    with pytest.raises(OutlierError, match=r"cat\.jpg: not a dermoscopic image .*score .*, limit 1"):
        analyse(*judged(0.0, 50.0), refusing)


def test_without_a_detector_nothing_is_an_outlier(
    judged: Callable[..., tuple[CaseImage, NetworkOutput, Model]],
) -> None:
    image, found, model = judged(0.0, 50.0)
    for one in (
        analyse(image, found, replace(model, outliers=None), Processing(refuse_outliers=True)),
        analyse(image, replace(found, features=None), model, Processing(refuse_outliers=True)),
    ):
        assert one.outlier is None
        assert one.expected_dice is not None


@pytest.fixture(scope="module")
def default() -> Model:
    return load_model("default")


@pytest.mark.parametrize("draw", FAR)
@pytest.mark.parametrize("mirror", [False, True])
def test_the_default_weights_flag_images_far_from_skin(
    default: Model, draw: Callable[[int], Image.Image], mirror: bool
) -> None:
    (found,) = segment([draw(300)], "default", sampling={"mirror": mirror})
    assert found.flags[0] == "not_dermoscopy"
    assert found.expected_dice is None
    assert found.expected_human_agreement is None


def test_the_table_says_why_an_image_was_refused(tmp_path: Path, default: Model) -> None:
    image, out = tmp_path / "text.png", Output(tmp_path / "out", ("overlay", "review"))
    text_page(200).save(image)
    (row,) = predict_files([image], default, out, Processing(refuse_outliers=True))
    assert (row.status, row.failed) == ("refused", True)
    with out.table_path.open(newline="") as file:
        (values,) = csv.DictReader(file)
    assert (values["image"], values["status"], values["expected_dice"]) == ("text.png", "refused", "")
    assert values["error"].startswith("text.png: not a dermoscopic image")
    assert not list(out.masks.glob("*"))
    assert not (out.folder / "overlays").exists() or not list((out.folder / "overlays").iterdir())


def test_python_refuses_too() -> None:
    with pytest.raises(UserError, match="not a dermoscopic image"):
        segment([text_page(100)], refuse_outliers=True)


def test_the_score_depends_neither_on_size_nor_on_the_file_format(tmp_path: Path, default: Model) -> None:
    drawn = Image.open(Path(__file__).parents[2] / "src/mlffm_segdiff/samples/sample_1.png").convert("RGB")
    large = drawn.resize((1024, 768), Image.Resampling.BICUBIC)
    paths = [tmp_path / name for name in ("large.png", "large.jpg", "small.png", "small.webp")]
    for path, image in zip(paths, (large, large, *[large.resize((256, 256))] * 2), strict=True):
        image.save(path, quality=90)
    scores: list[float] = []
    for found in segment(paths):
        assert found.outlier is not None
        scores.append(found.outlier.score)
    assert max(scores) < 1.1 * min(scores)


def test_refusing_needs_weights_with_a_detector(tiny_weights: Path) -> None:
    assert segment([text_page(300)], tiny_weights)
    with pytest.raises(UserError, match="these weights have no outlier detector, so no image can be refused"):
        segment([text_page(300)], tiny_weights, refuse_outliers=True)


@pytest.mark.parametrize(
    "prompt", [{"box": (20, 20, 280, 280)}, {"points": [(150, 150, 1)]}], ids=["box", "point"]
)
def test_a_prompt_does_not_hide_an_outlier(prompt: dict[str, Any]) -> None:
    page, weights = text_page(300), Segmenter.from_pretrained("default")
    marked, plain = segment([Prompted(page, **prompt), page], weights)
    assert marked.flags[0] == plain.flags[0] == "not_dermoscopy"
    assert marked.outlier is not None
    assert plain.outlier is not None
    assert marked.outlier.score == pytest.approx(plain.outlier.score)
    with pytest.raises(OutlierError, match="not a dermoscopic image"):
        segment([Prompted(page, **prompt)], weights, refuse_outliers=True)
