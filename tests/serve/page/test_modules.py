"""The page's own mathematics, in Chromium, against the package's and other programs'."""

import base64
import io
import itertools
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page

from mlffm_segdiff.inference.postprocessing import PostProcessing, post_process
from mlffm_segdiff.segmenters.at_source import map_at


@pytest.mark.parametrize(("width", "height"), [(37, 23), (16, 16), (9, 5), (40, 7)])
def test_maps_are_resized_as_the_package_does(
    open_page: Callable[..., Page], width: int, height: int
) -> None:
    values = np.random.default_rng(0).random((16, 16), dtype=np.float32)
    script = """async ([text, width, height]) => {
        const { resample, unpack } = await import("./maps.js");
        return [...resample(unpack(text), 16, width, height)];
    }"""
    packed = base64.b64encode(values.astype("<f4").tobytes()).decode()
    found = open_page().evaluate(script, [packed, width, height])
    np.testing.assert_allclose(np.reshape(found, (height, width)), map_at(values, height, width), atol=2e-6)


def test_masks_are_post_processed_as_the_package_does(open_page: Callable[..., Page]) -> None:
    script = """async ([cases, width, height]) => {
        const { postProcess } = await import("./components.js");
        return cases.map(([pixels, steps]) => {
            const mask = Uint8Array.from(pixels);
            postProcess(mask, steps, width, height);
            return [...mask];
        });
    }"""
    random = np.random.default_rng(0)
    masks = [random.random((45, 60)) < share for share in (0.1, 0.3, 0.45, 0.6, 0.8)]
    lesion = np.zeros((45, 60), bool)
    lesion[2:40, 2:40] = lesion[43, 50] = True  # a speck of 1 in 1,445
    lesion[8:12, 8:12] = False
    steps = [PostProcessing(*chosen) for chosen in itertools.product([False, True], repeat=3)]
    cases = [(mask, step) for mask in (*masks, lesion) for step in steps]
    sent = [(mask.ravel().astype(int).tolist(), asdict(step)) for mask, step in cases]
    found = open_page().evaluate(script, [sent, 60, 45])
    for (mask, step), processed in zip(cases, found, strict=True):
        np.testing.assert_array_equal(np.reshape(processed, (45, 60)), post_process(mask, step))


def test_masks_are_png_files(open_page: Callable[..., Page]) -> None:
    mask = np.random.default_rng(1).random((13, 29)) < 0.4
    script = """async ([mask, width, height]) => {
        const { maskPng } = await import("./png.js");
        const file = await maskPng(Uint8Array.from(mask), width, height);
        return [...new Uint8Array(await file.arrayBuffer())];
    }"""
    found = open_page().evaluate(script, [mask.ravel().astype(int).tolist(), 29, 13])
    with Image.open(io.BytesIO(bytes(found))) as image:
        image.verify()
    with Image.open(io.BytesIO(bytes(found))) as image:
        assert image.mode == "L"
        np.testing.assert_array_equal(np.array(image), mask * np.uint8(255))


def test_a_stroke_covers_the_pixels_within_its_radius(open_page: Callable[..., Page]) -> None:
    script = """async () => {
        const { drawStroke } = await import("./mask.js");
        const mask = new Uint8Array(40 * 30);
        const points = [[5, 5], [30, 20], [30, 28]];
        drawStroke(mask, { erase: false, radius: 4, points }, 40, 30, 1);
        return [...mask];
    }"""
    found = np.reshape(open_page().evaluate(script), (30, 40))
    y, x = np.mgrid[:30, :40] + 0.5
    near = np.zeros((30, 40), bool)
    for (ax, ay), (bx, by) in (((5, 5), (30, 20)), ((30, 20), (30, 28))):
        for share in np.linspace(0, 1, 2001):
            near |= np.hypot(x - ax - share * (bx - ax), y - ay - share * (by - ay)) <= 4
    np.testing.assert_array_equal(found, near)


def test_the_outline_encloses_the_mask(open_page: Callable[..., Page]) -> None:
    script = """async () => {
        const { outline } = await import("./outline.js");
        const mask = new Uint8Array(20 * 10);
        for (let y = 2; y < 10; y++) for (let x = 4; x < 12; x++) mask[y * 20 + x] = 1;
        const context = document.createElement("canvas").getContext("2d");
        context.lineWidth = 0.01;
        const path = outline(mask, 20, 10);
        const on = (x, y) => context.isPointInStroke(path, x, y);
        return [on(8, 2), on(4, 6), on(12, 6), on(8, 10), on(8, 6), on(2, 6)];
    }"""
    assert open_page().evaluate(script) == [True, True, True, True, False, False]
