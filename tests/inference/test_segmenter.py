import copy
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from torch import nn

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.inference.analysis import Processing
from mlffm_segdiff.inference.demo import samples_folder
from mlffm_segdiff.inference.model import load_model
from mlffm_segdiff.inference.outputs.writers import Output
from mlffm_segdiff.inference.postprocessing import PostProcessing, post_process
from mlffm_segdiff.inference.predict import predict_files
from mlffm_segdiff.inference.segmenter import Prompted, Segmenter, segment
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.pretrained import load_pretrained, save_segmenter
from mlffm_segdiff.segmenters.recipe import load_recipe

Photo = Callable[..., npt.NDArray[np.uint8]]


def test_arrays_give_masks_probabilities_and_spreads_of_their_own_sizes(
    tiny_weights: Path, photo: Photo
) -> None:
    images = [photo(0, 40, 56), photo(1, 90, 33), photo(2, 1, 2)]
    predictions = segment(images, tiny_weights, post=PostProcessing(keep_specks=True))
    for image, found in zip(images, predictions, strict=True):
        shape = image.shape[:2]
        assert found.mask.shape == found.probability.shape == found.spread.shape == shape
        assert (found.mask.dtype, found.probability.dtype, found.spread.dtype) == (
            bool,
            np.float32,
            np.float32,
        )
        assert 0 <= found.probability.min() <= found.probability.max() <= 1
        assert 0 < found.spread.max() <= 0.5
        np.testing.assert_array_equal(found.mask, found.probability >= 0.5)


def test_files_give_what_the_verb_writes(
    tmp_path: Path, tiny_weights: Path, photo: Photo, save: Callable[..., Path]
) -> None:
    paths = [save(tmp_path / f"p{seed}.png", photo(seed, 30 + seed, 50)) for seed in range(3)]
    out = Output(tmp_path / "out", ("probability",))
    sampling = {"steps": 3, "samples": 2, "sampler": "ddpm", "seed": 4}
    model = load_model(tiny_weights, sampling=sampling)
    rows = list(predict_files(paths, model, out, Processing(0.4), batch_size=2))
    predictions = segment(list(map(str, paths)), tiny_weights, sampling=sampling, threshold=0.4, batch_size=2)
    for path, row, found in zip(paths, rows, predictions, strict=True):
        mask, probability = (
            np.asarray(Image.open(folder / path.name)) for folder in (out.masks, out.folder / "probabilities")
        )
        np.testing.assert_array_equal(mask > 0, found.mask)
        np.testing.assert_array_equal(probability, np.rint(found.probability * 65535))
        assert row.measures == found.measures
        assert found.measures.area == found.mask.sum()
        assert (row.certainty, row.flags) == (found.certainty, " ".join(found.flags))


def test_an_array_is_segmented_the_same_wherever_it_stands(tiny_weights: Path, photo: Photo) -> None:
    images = [photo(seed) for seed in range(5)]
    pretrained = load_pretrained(tiny_weights)
    whole = segment(images, pretrained)
    backwards = segment(np.stack(images[::-1]), pretrained, batch_size=2)
    for one, other in zip(whole, reversed(backwards), strict=True):
        np.testing.assert_allclose(one.probability, other.probability, atol=1e-5)
    (seeded,) = segment(images[:1], pretrained, sampling={"seed": 9})
    assert np.abs(seeded.probability - whole[0].probability).max() > 1e-3


def test_a_files_name_changes_nothing(
    tmp_path: Path, tiny_weights: Path, photo: Photo, save: Callable[..., Path]
) -> None:
    paths = [save(tmp_path / name, photo(3)) for name in ("a.png", "another name.png")]
    one, other = segment(paths, tiny_weights, batch_size=1)
    np.testing.assert_array_equal(one.probability, other.probability)
    np.testing.assert_array_equal(one.spread, other.spread)
    (array,) = segment([photo(3)], tiny_weights)
    np.testing.assert_array_equal(one.probability, array.probability)


def test_a_model_with_styles_outlines_as_requested(tmp_path: Path, photo: Photo) -> None:
    recipe = load_recipe("isic2018", ["model.size=tiny", "data.size=32", "model.styles=[isic2018,ph2]"])
    segmenter = build_segmenter(recipe)
    for weight in segmenter.network.parameters():  # as they begin, all styles are the same
        nn.init.normal_(weight, std=0.05)
    save_segmenter(segmenter, recipe, tmp_path)
    weights = load_pretrained(tmp_path)
    maps = {
        style: segment([photo(0)], weights, sampling=style and {"style": style})[0].probability
        for style in (None, "any", "isic2018", "ph2")
    }
    np.testing.assert_array_equal(maps[None], maps["any"])
    for one, other in (("any", "ph2"), ("any", "isic2018"), ("isic2018", "ph2")):
        assert np.abs(maps[one] - maps[other]).max() > 1e-6
    with pytest.raises(UserError, match=r"no annotation style 'dali'.*choose one of any, isic2018, ph2"):
        segment([photo(0)], weights, sampling={"style": "dali"})


def test_by_default_nothing_is_sampled(tmp_path: Path, photo: Photo) -> None:
    recipe = load_recipe("isic2018", ["model.size=tiny", "data.size=32"])
    save_segmenter(build_segmenter(recipe), recipe, tmp_path)
    weights = load_pretrained(tmp_path)
    (default,), (mean,) = segment([photo(0)], weights), segment([photo(0)], weights, sampling={"samples": 0})
    np.testing.assert_array_equal(default.probability, mean.probability)
    assert not default.spread.any()
    with pytest.raises(UserError, match="no samples are drawn, so steps and sampler would have no effect"):
        segment([photo(0)], weights, sampling={"steps": 2, "sampler": "ddpm"})


def test_the_mask_is_post_processed(tiny_weights: Path, photo: Photo) -> None:
    images = [photo(seed) for seed in range(4)]
    whole = segment(images, tiny_weights, post=PostProcessing(keep_specks=True))
    largest = segment(images, tiny_weights, post=PostProcessing(largest=True, fill_holes=True))
    for one, other in zip(whole, largest, strict=True):
        expected = post_process(one.mask, PostProcessing(largest=True, fill_holes=True))
        np.testing.assert_array_equal(other.mask, expected)
        np.testing.assert_array_equal(other.probability, one.probability)


def test_one_sample_has_no_spread(tiny_weights: Path, photo: Photo) -> None:
    (found,) = segment([photo(0)], tiny_weights, sampling={"samples": 1})
    assert not found.spread.any()


def test_no_images_give_no_predictions(tiny_weights: Path) -> None:
    assert segment([], tiny_weights) == []


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((8, 8), "uint8"), ((8, 8, 4), "uint8"), ((8, 8, 3), "float32"), ((0, 8, 3), "uint8")],
)
def test_an_array_that_is_not_an_image_is_named(
    tiny_weights: Path, photo: Photo, shape: tuple[int, ...], dtype: str
) -> None:
    with pytest.raises(UserError, match=r"images\[1\] is an array .* give RGB .*\(255 \* x\)\.round"):
        segment([photo(0), np.zeros(shape, dtype)], tiny_weights)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 0}, "threshold"),
        ({"threshold": None}, "threshold None is not a number"),
        ({"threshold": True}, "threshold True is not a number"),
        ({"batch_size": 0}, "batch size 0 is out of range"),
        ({"batch_size": "8"}, "batch size '8' is not a whole number"),
        ({"batch_size": None}, "batch size None is not a whole number"),
        ({"batch_size": 8.0}, r"batch size 8\.0 is not a whole number"),
        ({"batch_size": True}, "batch size True is not a whole number"),
        ({"sampling": {"steps": 0}}, r"sampling\.steps"),
        ({"sampling": {"step": 2}}, "unknown sampling key 'step'; known keys: samples, sampler, steps"),
        ({"sampling": "samples=2"}, r"samples=2.* is not a mapping; write it as"),
        ({"sampling": ["samples=2"]}, r"samples=2.* is not a mapping; write it as"),
        ({"mm_per_pixel": "0.02"}, r"mm_per_pixel '0\.02' is not a number"),
        ({"post": True}, r"post .* is not a PostProcessing"),
        ({"post": None}, r"post .* is not a PostProcessing"),
        ({"post": {"largest": True}}, r"post .* is not a PostProcessing"),
        ({"refuse_outliers": "no"}, "refuse_outliers 'no' is neither True nor False"),
    ],
)
def test_bad_options_are_reported(
    options: dict[str, object], message: str, tiny_weights: Path, photo: Photo
) -> None:
    with pytest.raises(UserError, match=message):
        segment([photo(0)], tiny_weights, **options)


def test_bad_images_are_reported(tmp_path: Path, tiny_weights: Path, photo: Photo) -> None:
    with pytest.raises(UserError, match="give a list of images"):
        segment("lesion.jpg", tiny_weights)
    for several in ([], [photo(0)], (photo(0), photo(0))):
        with pytest.raises(UserError, match=r"image is a (list|tuple), but this is for one image; use"):
            Segmenter.from_pretrained(tiny_weights).segment(several)
    with pytest.raises(UserError, match=r"absent\.jpg cannot be read"):
        segment([tmp_path / "absent.jpg"], tiny_weights)
    with pytest.raises(UserError, match="is a folder; give a file"):
        segment([tmp_path], tiny_weights)
    with pytest.raises(UserError, match=r"images\[0\]: points None is not a list of \(x, y, label\)"):
        segment([Prompted(photo(0), points=None)], tiny_weights)


def test_bad_arguments_of_a_segmenter_are_reported(tiny_weights: Path, photo: Photo) -> None:
    with pytest.raises(UserError, match="device 'nonsense'"):
        segment([photo(0)], Segmenter.from_pretrained(tiny_weights), device="nonsense")
    with pytest.raises(UserError, match="unknown option 'revison'; choose one of revision"):
        Segmenter.from_pretrained(tiny_weights, revison="x")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (b"PNG", "is of type bytes; give a path"),
        (None, "is of type NoneType; give a path"),
        (torch.zeros(8, 8, 3, requires_grad=True), "cannot be an array .*; give a NumPy array"),
    ],
)
def test_what_is_no_image_is_named_by_its_type(tiny_weights: Path, image: object, message: str) -> None:
    with pytest.raises(UserError, match=rf"images\[0\] {message}"):
        segment([image], tiny_weights)


def test_a_level_and_a_box_may_be_numpys(photo: Photo) -> None:
    segmenter = Segmenter.from_pretrained("default")
    result = segmenter.segment(samples_folder() / "sample_1.png", level=np.float32(0.8))
    assert result.intervals == segmenter.segment(samples_folder() / "sample_1.png", level=80).intervals
    assert result.area.interval(np.float32(90)) == result.area.interval(0.9)
    box, points = (20, 20, 120, 100), [(22, 22, 1)]
    one, other = (segmenter.segment(photo(1, 120, 160), given, points) for given in (box, np.array(box)))
    np.testing.assert_array_equal(one.mask, other.mask)


@pytest.mark.parametrize("shape", [(1, 3, 50, 50), (1, 1, 32, 32), (3, 32, 32)])
def test_a_batch_that_does_not_fit_the_network_is_named(tiny_weights: Path, shape: tuple[int, ...]) -> None:
    segmenter = Segmenter.from_pretrained(tiny_weights)
    stride = segmenter.segmenter.total_stride
    with pytest.raises(UserError, match=rf"do not fit; give .* multiples of {stride}"):
        segmenter(torch.zeros(shape))


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), r"images are of type .*; give a float32 tensor"),
        (np.zeros((1, 3, 32, 32), np.float32), r"images are of type .*; give a float32 tensor"),
        (torch.zeros(0, 3, 32, 32), "have no pixels; give at least one image"),
    ],
)
def test_a_batch_that_is_no_images_is_named(tiny_weights: Path, batch: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Segmenter.from_pretrained(tiny_weights)(batch)


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        ({"samples": 2}, "is not a SamplingConfig"),
        (SamplingConfig(samples=1, steps=2000), "steps"),
        (SamplingConfig(second_look=True), "second_look needs images of full size"),
        (SamplingConfig(style="ph2"), "no annotation style 'ph2'"),
    ],
)
def test_a_sampling_that_does_not_fit_a_batch_is_named(
    tiny_weights: Path, sampling: object, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        Segmenter.from_pretrained(tiny_weights)(torch.zeros(1, 3, 32, 32), sampling)


def test_a_segmenter_is_a_module_that_segments_batches_and_images(
    tmp_path: Path, tiny_weights: Path, photo: Photo, save: Callable[..., Path]
) -> None:
    segmenter = Segmenter.from_pretrained(tiny_weights)
    assert isinstance(segmenter, nn.Module)
    assert not segmenter.training
    assert segmenter.to("cpu").eval() is segmenter
    batch = torch.rand(2, 3, 32, 32) * 2 - 1
    found = segmenter(batch)
    assert found.probability.shape == (2, 1, 32, 32)
    expected = load_pretrained(tiny_weights).segmenter.segment(batch, segmenter.sampling)
    torch.testing.assert_close(found.probability, expected.probability)
    path = save(tmp_path / "a.png", photo(1))
    options = {"threshold": 0.4, "sampling": {"samples": 2}}
    (from_function,) = segment([path], tiny_weights, **options)
    result = segmenter.segment(path, **options)
    np.testing.assert_array_equal(result.mask, from_function.mask)
    assert result.measures == from_function.measures


def test_a_segmenter_is_prepared_again_when_its_weights_may_have_changed(
    tiny_weights: Path, photo: Photo
) -> None:
    segmenter = Segmenter.from_pretrained(tiny_weights)
    before = segmenter.segment(photo(1)).probability
    assert segmenter.prepared() is segmenter.prepared()
    with torch.no_grad():
        segmenter.segmenter.network.head.bias += 1
    after = segmenter.train().eval().segment(photo(1)).probability
    assert after.mean() > before.mean() + 0.05
    other, halved = (
        Segmenter.from_pretrained(tiny_weights),
        {key: value / 2 for key, value in segmenter.state_dict().items()},
    )
    for one in (other, segmenter):
        one.load_state_dict(halved)
    np.testing.assert_array_equal(
        segmenter.segment(photo(1)).probability, other.segment(photo(1)).probability
    )


def test_changes_of_weights_and_calibration_are_seen_in_evaluation_mode(
    tiny_weights: Path, photo: Photo
) -> None:
    segmenter = Segmenter.from_pretrained(tiny_weights)
    before = segmenter.segment(photo(1)).probability
    with torch.no_grad():
        for weight in segmenter.parameters():
            weight.mul_(0.5)
    changed = segmenter.segment(photo(1)).probability
    assert np.abs(changed - before).max() > 0.01
    segmenter.segmenter.load_state_dict(load_pretrained(tiny_weights).segmenter.state_dict())
    np.testing.assert_array_equal(segmenter.segment(photo(1)).probability, before)

    calibrated = Segmenter.from_pretrained("default")
    sample = samples_folder() / "sample_1.png"
    assert calibrated.segment(sample).intervals
    calibrated.quality = None
    assert not calibrated.segment(sample).intervals


def test_a_calibration_does_not_apply_to_changed_weights(caplog: pytest.LogCaptureFixture) -> None:
    segmenter, sample = Segmenter.from_pretrained("default"), samples_folder() / "sample_1.png"
    copied = copy.deepcopy(segmenter)
    assert copied.segment(sample).intervals == segmenter.segment(sample).intervals
    assert not caplog.text
    with torch.no_grad():
        next(segmenter.segmenter.parameters()).mul_(1.5)
    found = segmenter.segment(sample)
    assert (found.intervals, found.expected_dice, found.outlier) == ({}, None, None)
    assert "the weights have changed, so the calibration" in caplog.text


def test_a_model_in_training_stays_in_training(tiny_weights: Path, photo: Photo) -> None:
    segmenter = Segmenter.from_pretrained(tiny_weights)
    expected = segmenter.segment(photo(1)).probability
    segmenter.train()
    segmenter.segmenter.network.head.eval()
    modes = [module.training for module in segmenter.modules()]
    np.testing.assert_array_equal(segmenter.segment(photo(1)).probability, expected)
    assert [module.training for module in segmenter.modules()] == modes


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_segmenter_can_be_copied_and_pickled(
    tiny_weights: Path, photo: Photo, duplicate: Callable[[Segmenter], Segmenter], used: bool
) -> None:
    segmenter = Segmenter.from_pretrained(tiny_weights)
    if used:
        segmenter.segment(photo(1))
    twin = duplicate(segmenter)
    assert twin.recipe == segmenter.recipe
    np.testing.assert_array_equal(twin.segment(photo(1)).probability, segmenter.segment(photo(1)).probability)


def test_the_packaged_model_with_its_companions_can_be_pickled() -> None:
    segmenter, sample = Segmenter.from_pretrained("default"), samples_folder() / "sample_1.png"
    found, again = (one.segment(sample) for one in (segmenter, pickle.loads(pickle.dumps(segmenter))))
    np.testing.assert_array_equal(found.probability, again.probability)
    assert (found.intervals, found.outlier, found.flags) == (again.intervals, again.outlier, again.flags)


def test_probabilities_can_be_used_in_training(tiny_weights: Path) -> None:
    segmenter, layer = Segmenter.from_pretrained(tiny_weights), nn.Conv2d(1, 1, 3)
    found = segmenter(torch.rand(2, 3, 32, 32) * 2 - 1)
    layer(found.probability.mul_(2)).sum().backward()
    assert layer.weight.grad is not None


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_torchs_default_type_and_random_state_change_nothing(
    tiny_weights: Path, photo: Photo, dtype: torch.dtype
) -> None:
    expected = segment([photo(1)], tiny_weights)[0].probability
    segmenter = Segmenter.from_pretrained(tiny_weights)
    state = torch.random.get_rng_state()
    torch.set_default_dtype(dtype)
    try:
        for weights in (tiny_weights, segmenter):
            np.testing.assert_array_equal(segment([photo(1)], weights)[0].probability, expected)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_another_number_format_is_refused_with_the_fix(tiny_weights: Path, photo: Photo) -> None:
    segmenter = Segmenter.from_pretrained(tiny_weights).half()
    with pytest.raises(UserError, match=r"weights are torch\.float16; call its float\(\)"):
        segmenter.segment(photo(1))
    segmenter.float().segment(photo(1))


def test_results_and_marked_images_are_compared_by_identity(tiny_weights: Path, photo: Photo) -> None:
    one, other = segment([photo(1), photo(1)], tiny_weights)
    assert one != other
    assert len({one, other, Prompted(photo(1))}) == 3


def test_the_packages_weights_are_the_default() -> None:
    assert Segmenter.from_pretrained().recipe == load_pretrained("default").recipe


def test_a_pillow_image_is_segmented_as_its_file(
    tmp_path: Path, tiny_weights: Path, photo: Photo, save: Callable[..., Path]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    layer = np.dstack([photo(3), photo(4)[..., 0]])
    path = save(tmp_path / "a.png", layer, exif=exif)
    with Image.open(path) as opened:
        from_file, from_image = segment([path, opened], tiny_weights)
        assert opened.getexif()[0x0112] == 6
    assert from_image.mask.shape == (56, 40)
    np.testing.assert_array_equal(from_file.probability, from_image.probability)
    (deep,) = segment([Image.fromarray(photo(3)[..., 0] * np.uint16(257))], tiny_weights)
    assert deep.mask.shape == (40, 56)


def test_files_are_read_by_url_and_from_the_home_folder(
    tiny_weights: Path,
    photo: Photo,
    save: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fsspec = pytest.importorskip("fsspec")
    path = save(tmp_path / "a.png", photo(1))
    fsspec.filesystem("memory").pipe("/segmenter/a.png", path.read_bytes())
    monkeypatch.setenv("HOME", str(tmp_path))
    expected, *found = segment([path, "memory://segmenter/a.png", "~/a.png"], tiny_weights)
    for one in found:
        np.testing.assert_array_equal(one.mask, expected.mask)


def test_a_generator_of_images_is_segmented_in_batches(tiny_weights: Path, photo: Photo) -> None:
    weights = load_pretrained(tiny_weights)
    found = segment((photo(seed) for seed in range(3)), weights, batch_size=2)
    listed = segment([photo(seed) for seed in range(3)], weights, batch_size=2)
    for one, other in zip(found, listed, strict=True):
        np.testing.assert_array_equal(one.probability, other.probability)


def test_an_image_of_one_colour_is_refused(tiny_weights: Path, photo: Photo) -> None:
    for level in (0, 128, 255):
        blank = np.full((9, 9, 3), level, np.uint8)
        for image in (blank, Image.fromarray(blank)):
            with pytest.raises(UserError, match=r"images\[1\] has one colour only"):
                segment([photo(0), image], tiny_weights)


@pytest.mark.parametrize("images", [Image.new("RGB", (9, 9)), np.zeros((9, 9, 3), np.uint8), b"PNG", 7, None])
def test_what_is_no_list_of_images_is_reported(tiny_weights: Path, images: object) -> None:
    with pytest.raises(UserError, match="give a list of images"):
        segment(images, tiny_weights)


def test_the_batch_size_changes_the_default_weights_results_only_in_the_last_digits() -> None:
    paths = [samples_folder() / f"sample_{number}.png" for number in (1, 2, 3)]
    for sampling in ({}, {"samples": 2, "steps": 2}):
        single = segment(paths, sampling=sampling, batch_size=1)
        for one, other in zip(single, segment(paths, sampling=sampling, batch_size=3), strict=True):
            np.testing.assert_allclose(one.probability, other.probability, rtol=0, atol=1e-5)
            np.testing.assert_allclose(one.spread, other.spread, rtol=0, atol=1e-5)
            clear = np.abs(one.probability - 0.5) > 1e-5
            np.testing.assert_array_equal(one.mask[clear], other.mask[clear])
            assert one.certainty == pytest.approx(other.certainty, abs=1e-5)
