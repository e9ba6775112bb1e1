"""Files that the page saves, and requests that it copies."""

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import highdicom
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from serve.page.user import (
    BOTH,
    OpenPage,
    Read,
    Saved,
    api_mask,
    area,
    choose,
    click,
    copied,
    drag,
    put,
    zipped,
)

SIZE = 64, 48
Blobs = Callable[[int], list[Path]]


@BOTH
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools
def test_everything_in_one_zip_file(
    live, open_page: OpenPage, blobs: Blobs, saved: Saved, pixels: Read
) -> None:
    coco_api = pytest.importorskip("pycocotools.mask")
    paths = blobs(3)
    page = open_page()
    put(page, *paths)
    expect(page.locator("#progress-box")).to_be_hidden()
    page.keyboard.press("a")
    expect(page.locator("#case-name")).to_have_text("img_2.png")
    expect(page.locator("#of-mask")).to_be_visible()
    choose(page, "Brush")
    drag(page, SIZE, [(4, 43), (25, 43)])
    corrected = pixels(saved(page, "Mask (PNG)"))
    untouched = api_mask(live.url, paths[0])
    masks = [untouched, corrected, untouched]

    archive = zipped(page, saved, "masks", "overlays", "contours", "coco", "labelStudio", "table")
    stems = ["img_1", "img_2", "img_3"]
    folders = [f"{kind}/{stem}.{ending}" for stem in stems for kind, ending in KINDS.items()]
    assert archive.namelist() == [*folders, "coco.json", "label_studio.json", "predictions.csv"]
    for stem, mask in zip(stems, masks, strict=True):
        with Image.open(io.BytesIO(archive.read(f"masks/{stem}.png"))) as image:
            np.testing.assert_array_equal(np.array(image), mask)
        with Image.open(io.BytesIO(archive.read(f"overlays/{stem}.jpg"))) as image:
            assert image.size == SIZE
        contour = json.loads(archive.read(f"contours/{stem}.geojson"))
        assert sum(feature["properties"]["area"] for feature in contour["features"]) == (mask > 0).sum()
    coco = json.loads(archive.read("coco.json"))
    assert [image["file_name"] for image in coco["images"]] == [path.name for path in paths]
    for annotation in coco["annotations"]:
        decoded = coco_api.decode(annotation["segmentation"])
        np.testing.assert_array_equal(decoded, masks[annotation["image_id"] - 1] > 0)
    tasks = json.loads(archive.read("label_studio.json"))
    assert [set(task) - {"data"} for task in tasks] == [{"annotations"}, {"predictions"}, {"predictions"}]
    first = tasks[0]["annotations"][0]["result"][0]
    assert (first["type"], first["original_width"], first["original_height"]) == ("polygonlabels", *SIZE)
    points = np.array(first["value"]["points"]) / 100 * SIZE
    x, y = points.T
    polygon_area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    assert polygon_area == pytest.approx((untouched > 0).sum(), rel=0.05)
    rows = list(csv.DictReader(io.StringIO(archive.read("predictions.csv").decode())))
    assert [row["status"] for row in rows] == ["accepted", "corrected", "new"]
    assert [int(row["area"]) for row in rows] == [(mask > 0).sum() for mask in masks]

    accepted = zipped(page, saved, "masks", which="accepted")
    assert accepted.namelist() == ["masks/img_1.png"]


KINDS = {"masks": "png", "overlays": "jpg", "contours": "geojson"}


def test_files_of_equal_names_are_kept_apart(
    open_page: OpenPage, blob: Path, tmp_path: Path, saved: Saved
) -> None:
    others = [tmp_path / str(number) / "blob.png" for number in range(3)]
    for other in others:
        other.parent.mkdir()
        other.write_bytes(blob.read_bytes())
    page = open_page()
    refused = []
    page.on("response", lambda response: refused.append(response.url) if response.status >= 400 else None)
    put(page, blob, *others)
    expect(page.locator("#progress-box")).to_be_hidden()
    assert refused == []
    names = [f"masks/blob{number}.png" for number in ("", "_2", "_3", "_4")]
    assert zipped(page, saved, "masks").namelist() == names


def test_a_dicom_image_gives_a_dicom_seg_of_its_mask_corrected_or_not(
    open_page: OpenPage, dicom: bytes, blob: Path, tmp_path: Path, saved: Saved, pixels: Read
) -> None:
    path = tmp_path / "1.2.840.113"  # an UID, as DICOM files are often named
    path.write_bytes(dicom)
    page = open_page()
    put(page, path, blob)
    expect(page.locator("#progress-box")).to_be_hidden()

    def judge(file: Path | io.BytesIO, kind: str, by_user: str = "") -> None:
        seg = highdicom.seg.segread(file)
        assert seg.get_segment_description(1).algorithm_type.value == kind
        assert seg.ContentDescription == f"Lesion outline, {by_user}not for diagnosis"
        mask = pixels(saved(page, "Mask (PNG)"))
        np.testing.assert_array_equal(seg.get_pixels_by_source_instance(["2.25.1"])[0, ..., 0], mask > 0)

    judge(saved(page, "DICOM SEG"), "AUTOMATIC")
    choose(page, "Points")
    click(page, (16, 16), (1, 13))
    expect(page.locator("#measures-state")).to_have_text("of the corrected mask")
    judge(saved(page, "DICOM SEG"), "SEMIAUTOMATIC", "by box or points, ")
    choose(page, "Brush")
    drag(page, (16, 16), [(1, 13), (7, 13)])
    expect(page.locator("#measures-state")).to_have_text("of the corrected mask")
    judge(saved(page, "DICOM SEG"), "SEMIAUTOMATIC", "corrected by hand, ")
    archive = zipped(page, saved, "dicom")
    assert archive.namelist() == ["dicom/1.2.840.113.dcm"]
    judge(io.BytesIO(archive.read("dicom/1.2.840.113.dcm")), "SEMIAUTOMATIC", "corrected by hand, ")


def test_the_overlay_is_an_image_with_an_outline(open_page: OpenPage, blob: Path, saved: Saved) -> None:
    page = open_page()
    put(page, blob)
    with Image.open(saved(page, "Overlay (JPEG)")) as image:
        colours = np.array(image.convert("RGB")).astype(int)
    assert ((colours[..., 1] > 150) & (colours[..., 2] > 150)).sum() > 20


@pytest.mark.parametrize("name", ["blob.png", 'it\'s "one" $HOME.png'])
def test_copied_requests_give_the_mask(
    live, open_page: OpenPage, blob: Path, tmp_path: Path, pixels: Read, name: str
) -> None:
    image = tmp_path / "work" / name
    image.parent.mkdir()
    image.write_bytes(blob.read_bytes())
    page = open_page()
    put(page, image)
    page.get_by_label("Threshold").fill("0.8")
    expected = api_mask(live.url, blob, threshold=0.8)
    assert area(page) == (expected > 0).sum()
    for button, command in (("curl", ["sh", "-e"]), ("Python", [sys.executable, "-"])):
        text = copied(page, button)
        expect(page.get_by_role("status").first).to_have_text("Copied")
        subprocess.run(command, input=text, cwd=image.parent, text=True, check=True, capture_output=True)
        np.testing.assert_array_equal(pixels(image.parent / "mask.png"), expected)
        (image.parent / "mask.png").unlink()


def test_without_a_clipboard_the_text_is_shown(open_page: OpenPage, blob: Path) -> None:
    page = open_page()
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    put(page, blob)
    page.get_by_role("button", name="Copy as curl").click()
    expect(page.locator("#copy-text")).to_have_value(re.compile("^curl --fail -o mask.png"))
