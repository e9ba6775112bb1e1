"""CVAT's XML and Label Studio's JSON, read back by our own reader, by hand and by the tools' own parsers."""

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlparse
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from mlffm_segdiff.data.files import decode_mask
from mlffm_segdiff.data.table import read_cases
from mlffm_segdiff.inference.outputs.cvat import CvatWriter, mask_element
from mlffm_segdiff.inference.outputs.labelstudio import LabelStudioWriter, brush_rle
from mlffm_segdiff.inference.outputs.predictions import Row
from mlffm_segdiff.inference.outputs.writers import Output, Writer
from mlffm_segdiff.inference.result import CaseResult

Mask = npt.NDArray[np.bool_]
FindMask = Callable[..., CaseResult]
MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40))


def ring(height: int = 40, width: int = 60) -> Mask:
    """A ring and, apart from it, a square."""
    rows, columns = np.indices((height, width))
    distance = np.hypot(rows - 18.0, columns - 25.0)
    mask = (distance < 14) & (distance > 5)
    mask[35:39, 50:58] = True
    return mask


def write(writer: Writer, results: list[CaseResult]) -> Path:
    for result in results:
        kept = json.loads(json.dumps(writer.write(result)))
        writer.add_row(Row(result.image.name, stem=result.image.stem), kept)
    writer.add_row(Row("broken.png", status="failed"), None)
    writer.close()
    (name,) = writer.run_files
    return writer.output.folder / name


@pytest.fixture
def results(found_mask: FindMask) -> list[CaseResult]:
    nothing = np.zeros((5, 6), bool)
    return [
        found_mask(ring(), np.where(ring(), np.float32(0.75), np.float32(0)), name="a.jpg"),
        found_mask(nothing, nothing.astype(np.float32), name="nothing.png"),
        found_mask(ring(45), ring(45).astype(np.float32), name='<b> & "c" d.png'),
    ]


def save_images(folder: Path, results: list[CaseResult]) -> None:
    for seed, one in enumerate(results):
        pixels = np.random.default_rng(seed).integers(0, 256, (*one.mask.shape, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / one.image.name)


def test_cvat_masks_come_back_unchanged_through_our_reader(tmp_path: Path, results: list[CaseResult]) -> None:
    path = write(CvatWriter(Output(tmp_path)), results)
    save_images(tmp_path, results)
    found = {case.image.name: case.mask for case in read_cases("cvat", path)}
    assert list(found) == sorted((one.image.name for one in results), key=lambda name: Path(name).stem)
    for one in results:
        entry = found[one.image.name]
        assert entry is not None
        np.testing.assert_array_equal(decode_mask(entry.read(), "mask"), one.mask)


def test_cvats_xml_has_the_documented_attributes(tmp_path: Path, results: list[CaseResult]) -> None:
    root = ElementTree.parse(write(CvatWriter(Output(tmp_path)), results)).getroot()
    assert root.findtext("version") == "1.1"
    assert root.findtext("meta/task/size") == "3"
    assert root.findtext("meta/task/labels/label/name") == "lesion"
    first, second, third = root.findall("image")
    assert first.attrib == {"id": "0", "name": "a.jpg", "width": "60", "height": "40"}
    assert not list(second)
    assert third.get("name") == '<b> & "c" d.png'
    (mask,) = first
    left, top, width, height = (int(mask.attrib[key]) for key in ("left", "top", "width", "height"))
    rows, columns = np.nonzero(ring())
    assert (left, top) == (columns.min(), rows.min())
    assert (width, height) == (np.ptp(columns) + 1, np.ptp(rows) + 1)
    assert mask.attrib["label"] == "lesion"


def test_cvats_runs_worked_by_hand() -> None:
    mask = np.zeros((4, 5), bool)
    mask[1, 1:3] = mask[2, 2:4] = True
    element = ElementTree.fromstring(mask_element(mask))
    assert element.attrib["rle"] == "0, 2, 2, 2"
    assert [element.attrib[key] for key in ("left", "top", "width", "height")] == ["1", "1", "3", "2"]
    assert mask_element(np.zeros((4, 5), bool)) == ""


def test_a_name_with_characters_that_xml_lacks_is_still_xml(tmp_path: Path, found_mask: FindMask) -> None:
    result = found_mask(ring(), ring().astype(np.float32), name="a\x01b\x1b.png")
    root = ElementTree.parse(write(CvatWriter(Output(tmp_path)), [result])).getroot()
    assert root.find("image").get("name") == "a\ufffdb\ufffd.png"


def test_datumaro_reads_the_same_masks(tmp_path: Path, results: list[CaseResult]) -> None:
    datumaro = pytest.importorskip("datumaro", reason="the reader of CVAT's makers")
    write(CvatWriter(Output(tmp_path)), results)
    (tmp_path / "images").mkdir()
    save_images(tmp_path / "images", results)
    found = {item.id: item.annotations for item in datumaro.Dataset.import_from(str(tmp_path), "cvat")}
    assert len(found) == len(results)
    for one in results:
        annotations = found[Path(one.image.name).stem]
        assert len(annotations) == one.mask.any()
        for annotation in annotations:
            np.testing.assert_array_equal(annotation.image > 0, one.mask)


def unpack(packed: list[int]) -> npt.NDArray[np.uint8]:
    """Decode rle-pack as its JavaScript does, a bit at a time."""
    text = "".join(f"{byte:08b}" for byte in packed)
    place = 0

    def take(bits: int) -> int:
        nonlocal place
        place += bits
        return int(text[place - bits : place], 2)

    count, word = take(32), take(5) + 1
    sizes = [take(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < count:
        repeated, length = take(1), take(sizes[take(2)]) + 1
        values += [take(word)] * length if repeated else [take(word) for _ in range(length)]
    return np.array(values, np.uint8)


@given(MASKS)
def test_label_studios_brush_is_unpacked_to_the_mask(mask: Mask) -> None:
    channels = unpack(brush_rle(mask)).reshape(*mask.shape, 4)
    np.testing.assert_array_equal(channels, np.repeat(mask[..., None], 4, axis=2) * 255)


def test_runs_above_the_longest_length_are_split() -> None:
    mask = np.zeros((300, 400), bool)
    mask[100:200] = True
    np.testing.assert_array_equal(unpack(brush_rle(mask)).reshape(300, 400, 4)[..., 3] > 0, mask)


def test_a_task_of_label_studio_has_image_score_and_region(tmp_path: Path, results: list[CaseResult]) -> None:
    first, second, third = json.loads(write(LabelStudioWriter(Output(tmp_path)), results).read_text())
    assert first["data"] == {"image": "/data/local-files/?d=images/a.jpg"}
    assert parse_qs(urlparse(third["data"]["image"]).query) == {"d": ['images/<b> & "c" d.png']}
    (prediction,) = first["predictions"]
    assert prediction["score"] == pytest.approx(0.75)
    assert prediction["model_version"].startswith("mlffm-segdiff ")
    (region,) = prediction["result"]
    assert (region["type"], region["from_name"], region["to_name"]) == ("brushlabels", "mask", "image")
    assert (region["original_width"], region["original_height"]) == (60, 40)
    assert region["value"]["brushlabels"] == ["lesion"]
    assert second["predictions"][0]["result"] == []
    assert json.loads(write(LabelStudioWriter(Output(tmp_path)), []).read_text()) == []


def test_label_studios_own_converter_unpacks_the_mask(tmp_path: Path, results: list[CaseResult]) -> None:
    brush = pytest.importorskip("label_studio_sdk.converter.brush", reason="Label Studio's own converter")
    tasks = json.loads(write(LabelStudioWriter(Output(tmp_path)), results).read_text())
    for task, one in zip(tasks, results, strict=True):
        for region in task["predictions"][0]["result"]:
            values = brush.decode_rle(region["value"]["rle"]).reshape(*one.mask.shape, 4)
            np.testing.assert_array_equal(values[..., 3] > 0, one.mask)
