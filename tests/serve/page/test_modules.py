"""The page's own mathematics, in a browser, against the package's and other programs'."""

import base64
import io
import itertools
import time
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.path import Path as MplPath
from PIL import Image
from playwright.sync_api import Page
from scipy import ndimage

from mlffm_segdiff.inference.postprocessing import PostProcessing, post_process
from mlffm_segdiff.segmenters.network_output import map_at


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


def stepped(page: Page, mask: npt.NDArray[np.bool_], *steps: dict[str, object]) -> npt.NDArray[np.uint8]:
    """A mask after steps of correction."""
    script = """async ([pixels, width, height, steps]) => {
        const { applyStep } = await import("./mask.js");
        const raster = { data: Uint8Array.from(pixels), width, height };
        for (const step of steps) applyStep(raster, step);
        return [...raster.data];
    }"""
    height, width = mask.shape
    return np.reshape(
        page.evaluate(script, [mask.ravel().astype(int).tolist(), width, height, steps]), mask.shape
    )


def test_a_stroke_covers_the_pixels_within_its_radius(open_page: Callable[..., Page]) -> None:
    stroke = {"kind": "stroke", "erase": False, "radius": 4, "points": [[5, 5], [30, 20], [30, 28]]}
    found = stepped(open_page(), np.zeros((30, 40), bool), stroke)
    y, x = np.mgrid[:30, :40] + 0.5
    near = np.zeros((30, 40), bool)
    for (ax, ay), (bx, by) in (((5, 5), (30, 20)), ((30, 20), (30, 28))):
        for share in np.linspace(0, 1, 2001):
            near |= np.hypot(x - ax - share * (bx - ax), y - ay - share * (by - ay)) <= 4
    np.testing.assert_array_equal(found, near)


def inside(polygon: npt.NDArray[np.float64], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The pixels whose centre is in a simple polygon, by matplotlib."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    centres = np.stack([x.ravel(), y.ravel()], 1)
    return MplPath(polygon).contains_points(centres).reshape(shape)


def test_a_region_is_its_polygon(open_page: Callable[..., Page]) -> None:
    shape = (40, 50)
    star = np.array([[25.3, 2.2], [31.7, 30.4], [3.1, 11.6], [46.9, 10.2], [16.4, 37.8]])
    blob = np.array([[4.2, 3.7], [44.1, 8.3], [20.6, 20.9], [38.4, 35.2], [7.3, 30.1]])
    page = open_page()
    added = stepped(page, np.zeros(shape, bool), {"kind": "region", "erase": False, "points": blob.tolist()})
    np.testing.assert_array_equal(added, inside(blob, shape))
    erase = {"kind": "region", "erase": True, "points": blob.tolist()}
    np.testing.assert_array_equal(stepped(page, np.ones(shape, bool), erase), ~inside(blob, shape))
    crossed = stepped(
        page, np.zeros(shape, bool), {"kind": "region", "erase": False, "points": star.tolist()}
    )
    assert crossed[16, 25] == 1  # the middle of a star, around which its line runs twice


def test_a_moved_node_changes_only_what_is_between_the_polygons(open_page: Callable[..., Page]) -> None:
    shape = (40, 50)
    before = np.array([[8.7, 8.2], [40.7, 8.2], [40.7, 30.2], [8.7, 30.2]])
    after = before.copy()
    after[1] = [46.3, 3.2]
    mask = np.random.default_rng(0).random(shape) < 0.5
    step = {"kind": "reshape", "before": before.tolist(), "after": after.tolist()}
    found = stepped(open_page(), mask, step)
    old, new = inside(before, shape), inside(after, shape)
    np.testing.assert_array_equal(found, np.where(old == new, mask, new))


def test_holes_are_filled_and_components_removed_at_a_point(open_page: Callable[..., Page]) -> None:
    mask = np.zeros((20, 30), bool)
    mask[2:14, 3:20] = True
    mask[5:8, 6:9] = mask[10:12, 12:16] = False
    mask[16:18, 24:28] = True
    page = open_page()
    filled = stepped(page, mask, {"kind": "fill", "at": [7.5, 6.2]})
    expected = mask.copy()
    expected[5:8, 6:9] = True
    np.testing.assert_array_equal(filled, expected)
    np.testing.assert_array_equal(stepped(page, mask, {"kind": "fill", "at": [1.5, 1.5]}), mask)
    removed = stepped(page, mask, {"kind": "fill", "at": [25.1, 16.9]}, {"kind": "holes"})
    np.testing.assert_array_equal(removed, ndimage.binary_fill_holes(mask) & (np.arange(30) < 22))
    largest = stepped(page, mask, {"kind": "largest"})
    np.testing.assert_array_equal(largest, mask & (np.arange(30) < 22))


@pytest.mark.parametrize("radius", [1, 3])
def test_smoothing_takes_the_majority(open_page: Callable[..., Page], radius: int) -> None:
    mask = ndimage.gaussian_filter(np.random.default_rng(2).random((30, 40)), 1) > 0.5
    window = {"size": 2 * radius + 1, "mode": "constant"}
    count = ndimage.uniform_filter(mask.astype(float), **window) / ndimage.uniform_filter(
        np.ones(mask.shape), **window
    )
    expected = np.where(np.isclose(count, 0.5), mask, count > 0.5)
    found = stepped(open_page(), mask, {"kind": "smooth", "radius": radius})
    np.testing.assert_array_equal(found, expected)


def test_the_outline_encloses_the_mask_also_from_tiles(open_page: Callable[..., Page]) -> None:
    script = """async () => {
        const { outline } = await import("./outline.js");
        const data = new Uint8Array(20 * 10);
        for (let y = 2; y < 10; y++) for (let x = 4; x < 12; x++) data[y * 20 + x] = 1;
        const raster = { data, width: 20, height: 10 };
        const context = document.createElement("canvas").getContext("2d");
        context.lineWidth = 0.01;
        const tiled = new Path2D();
        for (const left of [0, 8, 16]) for (const top of [0, 4, 8]) {
            const [right, bottom] = [Math.min(20, left + 8), Math.min(10, top + 4)];
            tiled.addPath(outline(raster, { left, top, right, bottom }));
        }
        const points = [[8, 2], [4, 6], [12, 6], [8, 10], [8, 6], [2, 6]];
        const touched = (path) => points.map(([x, y]) => context.isPointInStroke(path, x, y));
        return [outline(raster), tiled].map(touched);
    }"""
    assert open_page().evaluate(script) == [[True, True, True, True, False, False]] * 2


def test_the_drawn_mask_follows_each_change(open_page: Callable[..., Page]) -> None:
    """A layer that is told of changes draws what a new layer draws."""
    script = """async () => {
        const { MaskLayer } = await import("./layers.js");
        const { applyStep } = await import("./mask.js");
        const raster = { data: new Uint8Array(700 * 600), width: 700, height: 600 };
        const all = { left: 0, top: 0, right: 700, bottom: 600 };
        const drawn = (layer) => {
            const canvas = new OffscreenCanvas(700, 600);
            const context = canvas.getContext("2d", { willReadFrequently: true });
            for (const { left, top, image, path } of layer.visible(all)) {
                if (image) context.drawImage(image, left, top);
                if (path) context.stroke(path);
            }
            return context.getImageData(0, 0, 700, 600).data;
        };
        const kept = new MaskLayer(raster);
        const same = [];
        const strokes = [
            { erase: false, radius: 60, points: [[256, 256], [300, 256]] },
            { erase: false, radius: 300, points: [[350, 300]] },
            { erase: true, radius: 10, points: [[0, 0], [512, 512]] },
            { erase: true, radius: 1, points: [[256, 100]] },
            { erase: false, radius: 800, points: [[350, 300]] },
        ];
        for (const stroke of strokes) {
            kept.touch(applyStep(raster, { kind: "stroke", ...stroke }));
            const [one, other] = [drawn(kept), drawn(new MaskLayer(raster))];
            same.push(one.every((value, place) => value === other[place]));
        }
        return same;
    }"""
    assert open_page().evaluate(script) == [True] * 5


def test_a_contour_becomes_nodes_near_it(open_page: Callable[..., Page]) -> None:
    y, x = np.mgrid[:60, :80]
    mask = ((x - 40) / 30) ** 2 + ((y - 30) / 20) ** 2 <= 1
    script = """async ([pixels, width, height]) => {
        const { components } = await import("./components.js");
        const { contourNodes } = await import("./outline.js");
        const data = Uint8Array.from(pixels);
        const [part] = components(data, 1, 1, width, height);
        return contourNodes({ data, width, height }, part, 1);
    }"""
    nodes = np.array(open_page().evaluate(script, [mask.ravel().astype(int).tolist(), 80, 60]))
    assert 8 <= len(nodes) <= 30
    different = inside(nodes, mask.shape) ^ mask
    near_border = ndimage.binary_dilation(mask, iterations=2) & ~ndimage.binary_erosion(mask, iterations=2)
    assert not (different & ~near_border).any()


def test_archives_are_zip_files(open_page: Callable[..., Page], tmp_path: Path) -> None:
    script = """async () => {
        const { Archive } = await import("./archive.js");
        const archive = new Archive();
        await archive.add("masks/läsion 1.png", new Blob([new Uint8Array([1, 2, 250])]));
        await archive.add("empty.txt", "");
        await archive.add("table.csv", "a,b;".repeat(1000));
        return [...new Uint8Array(await archive.finish().arrayBuffer())];
    }"""
    path = tmp_path / "found.zip"
    path.write_bytes(bytes(open_page().evaluate(script)))
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["masks/läsion 1.png", "empty.txt", "table.csv"]
        assert archive.read("masks/läsion 1.png") == b"\x01\x02\xfa"
        assert archive.read("table.csv") == b"a,b;" * 1000
        assert abs(archive.infolist()[0].date_time[0] - time.localtime().tm_year) <= 1


@pytest.mark.parametrize("first", [False, True])
def test_coco_annotations_are_those_of_pycocotools(open_page: Callable[..., Page], first: bool) -> None:
    coco = pytest.importorskip("pycocotools.mask")
    mask = ndimage.gaussian_filter(np.random.default_rng(3).random((700, 500)), 20) > 0.5
    mask[0, 0] = first
    script = """async ([bits, width, height]) => {
        const { cocoAnnotation } = await import("./annotations.js");
        const data = Uint8Array.from(bits, Number);
        const found = cocoAnnotation({ data, width, height });
        return [found, cocoAnnotation({ data: data.fill(0), width, height })];
    }"""
    bits = "".join(map(str, mask.ravel().astype(int)))
    found, nothing = open_page().evaluate(script, [bits, 500, 700])
    expected = coco.encode(np.asfortranarray(mask, np.uint8))
    assert found["segmentation"] == {"size": [700, 500], "counts": expected["counts"].decode()}
    assert (found["area"], found["bbox"]) == (coco.area(expected), coco.toBbox(expected).tolist())
    assert nothing is None
