"""The procedural dermoscopy generator: exact masks, determinism, and parts checked against closed forms."""

from collections.abc import Callable
from importlib.resources import files
from itertools import starmap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from skimage.color import rgb2lab
from skimage.measure import euler_number, label

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.synthetic import (
    artifacts,
    case_seed,
    generator,
    sample_case,
    synthetic_case,
    synthetic_pairs,
    synthetic_scene,
    write_samples,
)
from mlffm_segdiff.data.synthetic.fields import Frame, coverage, honeycomb, noise, resolved
from mlffm_segdiff.data.synthetic.skin import TONE_SHARE, TONES, skin_colour

SAMPLES = Path(str(files("mlffm_segdiff"))) / "samples"
SAMPLE_COUNT, SAMPLE_SEED = 8, 13


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.sum(first & second) / np.sum(first | second))


def contrast(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far each pixel's CIELAB colour is on the way from skin (0) to lesion (1), and depth in pixels."""
    depth = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
    lab = rgb2lab(image)
    skin, lesion = np.median(lab[depth < -8], axis=0), np.median(lab[depth > 3], axis=0)
    way = lesion - skin
    return ((lab - skin) @ way / (way @ way)).ravel(), depth.ravel()


@pytest.fixture(scope="module")
def scenes() -> list[tuple[np.ndarray, np.ndarray]]:
    return [synthetic_scene(seed, 128, 96) for seed in range(60)]


class TestCase:
    @given(seed=st.integers(0, 2**64), width=st.integers(32, 160), height=st.integers(32, 160))
    def test_mask_is_one_piece_without_holes(self, seed: int, width: int, height: int) -> None:
        image, mask = synthetic_case(seed, width, height)
        assert image.shape == (height, width, 3)
        assert image.dtype == np.uint8
        assert mask.shape == (height, width)
        assert mask.dtype == np.bool_
        assert label(mask, connectivity=2).max() == 1
        assert euler_number(mask, connectivity=2) == 1
        assert 0.03 < mask.mean() < 0.75

    def test_a_seed_gives_the_same_case_whatever_the_global_state(self) -> None:
        first = synthetic_case(5, 64, 48)
        np.random.seed(3)
        second = synthetic_case(5, 64, 48)
        np.testing.assert_array_equal(first[0], second[0])
        np.testing.assert_array_equal(first[1], second[1])

    def test_seeds_give_different_lesions_and_images(self) -> None:
        cases = [synthetic_case(seed, 64, 64) for seed in range(12)]
        for i, (image, mask) in enumerate(cases):
            for other_image, other_mask in cases[:i]:
                assert overlap(mask, other_mask) < 0.97
                assert np.abs(image.astype(int) - other_image).mean() > 3

    @pytest.mark.parametrize("seed", range(6))
    def test_resolution_changes_neither_lesion_nor_colours(self, seed: int) -> None:
        image, mask = synthetic_scene(seed, 96, 72)
        large_image, large_mask = synthetic_scene(seed, 288, 216)
        blocks = large_mask.reshape(72, 3, 96, 3).mean((1, 3)) >= 0.5
        assert overlap(mask, blocks) > 0.96
        assert np.abs(image - large_image.reshape(72, 3, 96, 3, 3).mean((1, 3))).mean() < 0.012

    @pytest.mark.parametrize(
        ("seed", "width", "height"), [(0, 31, 64), (0, 64, 8), (0, -1, 64), (-1, 64, 64)]
    )
    def test_bad_arguments_are_named(self, seed: int, width: int, height: int) -> None:
        with pytest.raises(UserError, match=r"synthetic data: (size|seed) is"):
            synthetic_case(seed, width, height)


class TestMask:
    def test_areas_span_those_of_real_lesions(self, scenes: list[tuple[np.ndarray, np.ndarray]]) -> None:
        areas = np.array([mask.mean() for _, mask in scenes])
        assert areas.min() > 0.05
        assert areas.max() < 0.6
        assert areas.min() < 0.1
        assert areas.max() > 0.4
        assert 0.12 < np.median(areas) < 0.28

    def test_lesion_is_darker_and_browner_than_skin(
        self, scenes: list[tuple[np.ndarray, np.ndarray]]
    ) -> None:
        shifts = []
        for image, mask in scenes:
            lab = rgb2lab(image)
            around = ~ndimage.binary_dilation(mask, iterations=6)
            core = ndimage.binary_erosion(mask, iterations=2)
            shifts.append(np.median(lab[core], axis=0) - np.median(lab[around], axis=0))
        light, red, _ = np.array(shifts).T
        assert np.linalg.norm(shifts, axis=1).min() > 8
        assert light.max() < 0
        assert np.mean(red > 0) > 0.85
        assert -32 < light.mean() < -16

    def test_contour_is_where_annotators_draw_it(self, scenes: list[tuple[np.ndarray, np.ndarray]]) -> None:
        shares, depths = (np.concatenate(part) for part in zip(*starmap(contrast, scenes), strict=True))
        rings = [(depths >= a) & (depths <= a + 2) for a in (-9, -1, 4)]
        outside, contour, inside = (np.median(shares[ring]) for ring in rings)
        assert abs(outside) < 0.1
        assert 0.27 < contour < 0.43
        assert inside > 0.75


class TestArtifacts:
    def test_artifacts_change_the_image_and_never_the_mask(self) -> None:
        for seed in range(20):
            scene, bare = synthetic_scene(seed, 80, 60)
            image, mask = synthetic_case(seed, 80, 60)
            np.testing.assert_array_equal(mask, bare)
            assert np.any(np.abs(image / 255 - scene) > 0.01)

    @pytest.mark.parametrize(
        "draw",
        [
            artifacts.add_artifacts,
            artifacts.add_ink,
            artifacts.add_sticker,
            artifacts.add_aperture,
            lambda image, _, rng: artifacts.add_hair(image, rng),
            lambda image, _, rng: artifacts.add_bubbles(image, rng),
            lambda image, _, rng: artifacts.add_glints(image, rng),
            lambda image, _, rng: artifacts.add_ruler(image, rng),
        ],
    )
    def test_each_draws_something_in_range_and_leaves_its_input(
        self, draw: Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
    ) -> None:
        mask = np.hypot(*np.mgrid[-48:48, -64:64]) < 20
        gray, kept = np.full((96, 128, 3), 0.6), mask.copy()
        drawn = [draw(gray, mask, np.random.default_rng(seed)) for seed in range(8)]
        assert np.all(gray == 0.6)
        np.testing.assert_array_equal(mask, kept)
        assert np.mean([np.any(np.abs(image - gray) > 0.05) for image in drawn]) > 0.3
        assert min(image.min() for image in drawn) >= 0
        assert max(image.max() for image in drawn) <= 1

    @pytest.mark.parametrize("draw", [artifacts.add_ink, artifacts.add_sticker, artifacts.add_aperture])
    def test_opaque_ones_keep_off_the_lesion(
        self, draw: Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
    ) -> None:
        for seed in range(25):
            mask = synthetic_scene(seed, 64, 48)[1]
            image = draw(np.ones((48, 64, 3)), mask, np.random.default_rng(seed))
            assert image[mask].min() > 0.55

    def test_hair_crosses_the_lesion(self) -> None:
        white = np.ones((96, 96, 3))
        covered = [artifacts.add_hair(white, np.random.default_rng(seed))[30:66, 30:66] for seed in range(30)]
        assert np.mean([image.min() < 0.7 for image in covered]) > 0.3


class TestPairs:
    def test_longer_list_starts_with_the_shorter_one(self) -> None:
        ids, images, masks = synthetic_pairs(3, 40, seed=11)
        more_ids, more_images, more_masks = synthetic_pairs(5, 40, seed=11)
        assert ids == more_ids[:3]
        np.testing.assert_array_equal(images, more_images[:3])
        np.testing.assert_array_equal(masks, more_masks[:3])

    def test_rows_are_cases(self) -> None:
        ids, images, masks = synthetic_pairs(4, 48, seed=2)
        assert len(set(ids)) == 4
        assert images.shape == (4, 48, 48, 3)
        assert images.dtype == masks.dtype == np.uint8
        assert set(np.unique(masks)) == {0, 1}
        image, mask = synthetic_case(case_seed(2, 3), 48, 48)
        np.testing.assert_array_equal(images[3], image)
        np.testing.assert_array_equal(masks[3], mask)

    def test_seeds_share_no_case(self) -> None:
        assert len({case_seed(seed, k) for seed in range(40) for k in range(40)}) == 1600

    @pytest.mark.parametrize(("count", "size"), [(0, 64), (-2, 64), (3, 16)])
    def test_bad_arguments_are_named(self, count: int, size: int) -> None:
        with pytest.raises(UserError, match=r"synthetic data: (count|size) is"):
            synthetic_pairs(count, size, seed=0)


class TestSamples:
    def test_the_package_has_them_all(self) -> None:
        names = [f"sample_{k + 1}.png" for k in range(SAMPLE_COUNT)]
        assert sorted(path.name for path in SAMPLES.glob("*.png")) == names
        assert sorted(path.name for path in (SAMPLES / "masks").glob("*.png")) == names
        assert sum(path.stat().st_size for path in SAMPLES.rglob("*.png")) < 2_500_000

    @pytest.mark.parametrize("k", [0, 1, SAMPLE_COUNT - 1])
    def test_the_generator_still_makes_them(self, k: int) -> None:
        """Processors differ in the last bit of exp and cos, so a rare pixel may be off by one level."""
        image, mask = sample_case(SAMPLE_SEED, k)
        kept = np.asarray(Image.open(SAMPLES / f"sample_{k + 1}.png"))
        kept_mask = np.asarray(Image.open(SAMPLES / "masks" / f"sample_{k + 1}.png"))
        assert set(np.unique(kept_mask)) == {0, 255}
        assert np.mean(kept != image) < 1e-3
        assert np.abs(kept.astype(int) - image).max() <= 2
        assert overlap(kept_mask > 127, mask) > 0.9999

    def test_written_files_are_the_cases(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(generator, "SAMPLE_SIZES", ((48, 36), (40, 40)))
        paths = write_samples(tmp_path / "new", count=3, seed=1)
        image, mask = sample_case(1, 2)
        np.testing.assert_array_equal(np.asarray(Image.open(paths[2])), image)
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "new/masks/sample_3.png")) > 0, mask)
        assert len(list((tmp_path / "new").rglob("*.*"))) == 6

    def test_a_failed_write_leaves_the_old_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(generator, "SAMPLE_SIZES", ((48, 36),))
        (path,) = write_samples(tmp_path, count=1, seed=1)
        before = path.read_bytes()

        def full_disk(*_: object, **__: object) -> None:
            raise OSError("no space left")

        monkeypatch.setattr(Image.Image, "save", full_disk)
        with pytest.raises(UserError, match=r"sample_1\.png cannot be written \(no space left\)"):
            write_samples(tmp_path, count=1, seed=2)
        assert path.read_bytes() == before


class TestFields:
    @given(seed=st.integers(0, 2**32), frequency=st.floats(1, 30))
    def test_noise_is_the_cubic_spline_of_its_grid(self, seed: int, frequency: float) -> None:
        """scipy's spline evaluation on the same grid, periodic and without prefilter, is the reference."""
        frame = Frame(80, 75)
        cells = min(int(np.ceil(2 * frequency)) + 4, 64)
        grid = np.random.default_rng(seed).standard_normal((cells, cells))
        rows, columns = np.broadcast_arrays(frame.y * frequency, frame.x * frequency)
        expected = ndimage.map_coordinates(
            grid, [rows % cells, columns % cells], order=3, mode="grid-wrap", prefilter=False
        )
        scale = resolved(frame, frequency) * 315 / 151
        actual = noise(frame, frequency, np.random.default_rng(seed))
        np.testing.assert_allclose(actual, expected * scale, atol=1e-9)

    def test_noise_has_unit_variance_until_its_cells_are_too_small(self) -> None:
        rng = np.random.default_rng(0)
        frame = Frame(256, 256)
        assert np.std([noise(frame, 20, rng) for _ in range(8)]) == pytest.approx(1, abs=0.05)
        assert np.all(noise(frame, 256, rng) == 0)

    def test_honeycomb_has_its_frequency(self) -> None:
        """The strongest ring of the spectrum is at 2/sqrt(3) of the wanted one at most, the lattice's own."""
        field = honeycomb(Frame(256, 256), 24, np.random.default_rng(4))
        power = np.abs(np.fft.fft2(field - field.mean())) ** 2
        cycles = np.fft.fftfreq(256, 1 / 256)
        radius = np.hypot(cycles[:, None], cycles[None, :])
        assert np.average(radius, weights=power) == pytest.approx(24, rel=0.2)
        assert field.min() > -0.01
        assert field.max() < 1.01

    def test_strokes_cover_their_area(self) -> None:
        frame = Frame(200, 100)
        level = (np.array([[-0.5, 0.0], [0.5, 0.0]]), 0.06)
        slanted = (np.array([[-0.3, -0.4], [0.3, 0.4]]), 0.04)
        for points, width in (level, slanted):
            area = coverage(frame, [(points, width)]).sum() * frame.pixel**2
            assert area == pytest.approx(width * np.linalg.norm(points[1] - points[0]), rel=0.06)

    def test_skin_spans_the_fitzpatrick_tones(self) -> None:
        rng = np.random.default_rng(1)
        light = np.array([rgb2lab(skin_colour(rng))[0] for _ in range(600)])
        assert light.mean() == pytest.approx(float(TONE_SHARE @ TONES[:, 0]), abs=1)
        assert light.min() < 50
        assert light.max() > 88
