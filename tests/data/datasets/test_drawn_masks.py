"""Annotation files against pycocotools and shapes worked by hand."""

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco
from skimage.draw import disk, ellipse

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.check import check_pairing
from mlffm_segdiff.data.datasets.coco_annotations import decode_counts
from mlffm_segdiff.data.datasets.drawn_mask import DrawnMask
from mlffm_segdiff.data.datasets.drawn_shapes import Ellipse, Polygon
from mlffm_segdiff.data.files import decode_mask
from mlffm_segdiff.data.table import find_pairs, read_cases

Write = Callable[[Path, Mapping[str, bytes]], None]
Encode = Callable[..., bytes]
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

HEIGHT, WIDTH = 40, 60
RECTANGLE = [10, 5, 50, 5, 50, 25, 10, 25]
STAR = [30, 2, 36, 16, 52, 16, 39, 24, 44, 38, 30, 29, 16, 38, 21, 24, 8, 16, 24, 16]
LESION = np.zeros((HEIGHT, WIDTH), np.uint8)
LESION[ellipse(18, 30, 12, 20)] = 1


def drawn(entry: Entry) -> np.ndarray:
    return decode_mask(entry.read(), str(entry))


def polygon_mask(corners: list[float]) -> np.ndarray:
    pairs = tuple(zip(corners[::2], corners[1::2], strict=True))
    return drawn(DrawnMask(Path("x.json"), None, "a", (Polygon(pairs),), WIDTH, HEIGHT))


def theirs(segmentation: list[list[float]]) -> np.ndarray:
    return coco.decode(coco.merge(coco.frPyObjects(segmentation, HEIGHT, WIDTH))) > 0


def test_a_rectangle_has_the_pixels_whose_centres_are_inside() -> None:
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[5:25, 10:50] = True
    assert (polygon_mask(RECTANGLE) == expected).all()
    assert (theirs([RECTANGLE]) == expected).all()


def test_a_polygon_differs_from_pycocotools_only_in_pixels_on_its_edge() -> None:
    ours, other = polygon_mask(STAR), theirs([STAR])
    assert abs(int(ours.sum()) - int(other.sum())) < 0.03 * other.sum()
    corners = np.array(STAR, float).reshape(-1, 2)
    rows, columns = np.nonzero(ours != other)
    for x, y in zip(columns + 0.5, rows + 0.5, strict=True):
        assert (
            min(_distance((x, y), a, b) for a, b in zip(corners, np.roll(corners, -1, 0), strict=True)) < 0.75
        )


def _distance(point: tuple[float, float], start: np.ndarray, end: np.ndarray) -> float:
    step = end - start
    share = np.clip(((np.array(point) - start) @ step) / (step @ step), 0, 1)
    return float(np.hypot(*(start + share * step - point)))


def test_a_circle_has_the_pixels_whose_centres_are_inside() -> None:
    found = drawn(DrawnMask(Path("x.json"), None, "a", (Ellipse((30.5, 20.5), (9.0, 9.0)),), WIDTH, HEIGHT))
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[disk((20, 30), 9, shape=expected.shape)] = True
    assert (found == expected).all()


@pytest.mark.parametrize("seed", range(5))
def test_compressed_run_lengths_are_decoded_as_by_pycocotools(seed: int) -> None:
    mask = np.random.default_rng(seed).random((37, 71)) < (0.01, 0.1, 0.5, 0.9, 1.0)[seed]
    encoded = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    lengths = decode_counts(encoded["counts"].decode())
    assert (mask == np.repeat(np.arange(len(lengths)) % 2, lengths).reshape(71, 37).T).all()
    with pytest.raises(ValueError, match="truncated"):
        decode_counts("o")


def runs(mask: np.ndarray) -> list[int]:
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [2]])))
    return np.diff(np.concatenate([[0], edges])).tolist()


SEGMENTATIONS = {
    "rectangle": [RECTANGLE],
    "two": [RECTANGLE, STAR],
    "runs": {"size": [HEIGHT, WIDTH], "counts": runs(LESION)},
    "packed": {
        "size": [HEIGHT, WIDTH],
        "counts": coco.encode(np.asfortranarray(LESION))["counts"].decode(),
    },
}


@pytest.fixture
def coco_folder(tmp_path: Path, write: Write, encoded: Encode) -> Path:
    """COCO's layout with an image for each way to write a mask, and one without an annotation."""
    images = [
        {"id": n, "file_name": f"{key}.jpg", "width": WIDTH, "height": HEIGHT}
        for n, key in enumerate([*SEGMENTATIONS, "none"])
    ]
    annotations = [
        {"id": 10 + n, "image_id": n, "category_id": 1, "segmentation": segmentation, "iscrowd": 0}
        for n, segmentation in enumerate(SEGMENTATIONS.values())
    ]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "lesion"}]}
    draw = np.random.default_rng(0)
    pixels = [draw.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in images]
    files = {f"train/{one['file_name']}": encoded(p, "JPEG") for one, p in zip(images, pixels, strict=True)}
    write(
        tmp_path, {**files, "annotations/instances.json": json.dumps(content).encode(), "package.json": b"{}"}
    )
    return tmp_path


def change(folder: Path, **keys: object) -> None:
    path = folder / "annotations" / "instances.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


def test_coco_masks_of_all_kinds_are_those_of_pycocotools(coco_folder: Path) -> None:
    cases = {case.id: case for case in read_cases("coco", coco_folder)}
    assert cases.keys() == {*SEGMENTATIONS, "none"}
    assert cases["rectangle"].image.path == coco_folder / "train" / "rectangle.jpg"
    assert (drawn(cases["rectangle"].mask) == theirs([RECTANGLE])).all()
    assert (drawn(cases["two"].mask) == (polygon_mask(RECTANGLE) | polygon_mask(STAR))).all()
    for key in ("runs", "packed"):
        assert (drawn(cases[key].mask) == (LESION > 0)).all()
    assert not drawn(cases["none"].mask).any()
    assert read_cases("coco", coco_folder / "annotations" / "instances.json") == list(cases.values())
    found = find_pairs("coco", coco_folder)
    assert found.ignored == 1
    assert check_pairing(found).findings[0].kind == "empty mask"


def test_several_categories_are_refused_and_unused_ones_are_not(coco_folder: Path) -> None:
    categories = [{"id": 1, "name": "nevus"}, {"id": 2, "name": "ruler"}]
    change(coco_folder, categories=categories)
    assert len(read_cases("coco", coco_folder)) == 5
    content = json.loads((coco_folder / "annotations" / "instances.json").read_text())
    content["annotations"][0]["category_id"] = 2
    change(coco_folder, annotations=content["annotations"])
    with pytest.raises(UserError, match="have the labels nevus, ruler; choose those of the lesion"):
        find_pairs("coco", coco_folder)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([], "its segmentation is empty"),
        ([[1, 2, 3, 4]], "a polygon has 2 corners"),
        ([[1, 2, 3, 4, 5]], "shorter"),
        ([[1, 2, 3, float("nan"), 5, 6]], "not a number"),
        ([RECTANGLE, "x"], "shorter"),
        (5, "subscriptable"),
        ({"size": [2, 2], "counts": [4]}, "not those of an image of 60x40"),
        ({"size": [HEIGHT, WIDTH], "counts": [5, 6]}, "not those of an image of 60x40"),
        ({"size": [HEIGHT, WIDTH], "counts": "o"}, "truncated"),
    ],
)
def test_one_annotation_without_a_mask_is_named_and_the_others_are_read(
    coco_folder: Path, segmentation: object, message: str
) -> None:
    content = json.loads((coco_folder / "annotations" / "instances.json").read_text())
    content["annotations"][2]["segmentation"] = segmentation
    change(coco_folder, annotations=content["annotations"])
    findings = {one.kind: one for one in check_pairing(find_pairs("coco", coco_folder)).findings}
    assert findings["unreadable file"].ids == ("runs",)
    assert "annotation 12" in findings["unreadable file"].details[0]
    assert message in findings["unreadable file"].details[0]


def test_an_image_of_another_size_or_absent_is_found(
    coco_folder: Path, write: Write, encoded: Encode
) -> None:
    (coco_folder / "train" / "two.jpg").unlink()
    write(coco_folder, {"train/runs.jpg": encoded(np.zeros((WIDTH, HEIGHT, 3), np.uint8), "JPEG")})
    kinds = {one.kind: one.ids for one in check_pairing(find_pairs("coco", coco_folder)).findings}
    assert kinds["missing image"] == ("two",)
    assert kinds["image and mask differ in size"] == ("runs",)


@pytest.mark.parametrize("of", ["1", 99, None])
def test_an_annotation_of_no_image_of_the_file_is_refused(coco_folder: Path, of: object) -> None:
    """Its image would otherwise have an empty mask."""
    content = json.loads((coco_folder / "annotations" / "instances.json").read_text(encoding="utf-8"))
    content["annotations"][0]["image_id"] = of
    change(coco_folder, annotations=content["annotations"])
    says = rf"annotation 10 is of an image with the id {of!r}, which is not among the images; correct its"
    with pytest.raises(UserError, match=says):
        find_pairs("coco", coco_folder)


def test_two_images_with_one_id_are_refused(coco_folder: Path) -> None:
    content = json.loads((coco_folder / "annotations" / "instances.json").read_text(encoding="utf-8"))
    content["images"][1]["id"] = content["images"][0]["id"]
    change(coco_folder, images=content["images"])
    with pytest.raises(UserError, match="two images have the id 0; export the annotations again"):
        find_pairs("coco", coco_folder)


def test_faulty_coco_files_are_user_errors(coco_folder: Path, write: Write) -> None:
    with pytest.raises(UserError, match="no COCO JSON files found"):
        find_pairs("coco", coco_folder / "train")
    change(coco_folder, images=[{"id": 1}], annotations=[])
    with pytest.raises(UserError, match=r"instances\.json is not in COCO's format \(KeyError"):
        find_pairs("coco", coco_folder)
    write(coco_folder, {"annotations/instances.json": b'{"images": ['})
    with pytest.raises(UserError, match=r"instances\.json is not JSON"):
        find_pairs("coco", coco_folder)


def shape(kind: str, points: list[list[float]], label: str = "lesion", **more: object) -> dict[str, object]:
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, "flags": {}, **more}


@pytest.fixture
def labelme_folder(tmp_path: Path, write: Write, encoded: Encode) -> Path:
    """Images with LabelMe's JSON next to them, one for each kind of shape."""
    crop = base64.b64encode(encoded(LESION[6:31, 10:51] * np.uint8(255))).decode()
    shapes = {
        "polygon": [shape("polygon", np.reshape(STAR, (-1, 2)).tolist())],
        "rectangle": [shape("rectangle", [[50, 25], [10, 5]])],
        "circle": [shape("circle", [[30.5, 20.5], [30.5, 29.5]])],
        "mask": [shape("mask", [[10, 6], [50, 30]], mask=crop)],
        "nothing": [],
    }
    draw = np.random.default_rng(0)
    for key, drawn_shapes in shapes.items():
        content = {"version": "5.5.0", "shapes": drawn_shapes, "imagePath": f"..\\raw\\{key}.png"}
        pixels = draw.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        size = {"imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH}
        write(
            tmp_path, {f"{key}.png": encoded(pixels), f"{key}.json": json.dumps({**content, **size}).encode()}
        )
    return tmp_path


def edit(folder: Path, key: str, **keys: object) -> None:
    path = folder / f"{key}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


def test_labelme_shapes_are_drawn(labelme_folder: Path) -> None:
    masks = {case.id: drawn(case.mask) for case in read_cases("labelme", labelme_folder)}
    assert (masks["polygon"] == polygon_mask(STAR)).all()
    assert (masks["rectangle"] == theirs([RECTANGLE])).all()
    assert masks["circle"].sum() == pytest.approx(np.pi * 81, rel=0.03)
    assert (masks["mask"] == (LESION > 0)).all()
    assert not masks["nothing"].any()


@pytest.mark.parametrize("kind", ["coco", "labelme"])
def test_images_with_annotations_may_have_groups(
    kind: str, request: pytest.FixtureRequest, grouped: Callable[[str, Path], None]
) -> None:
    grouped(kind, request.getfixturevalue(f"{kind}_folder"))


def test_json_files_may_be_in_a_folder_of_their_own(labelme_folder: Path, tmp_path: Path) -> None:
    (labelme_folder / "json").mkdir()
    for path in labelme_folder.glob("*.json"):
        path.rename(labelme_folder / "json" / path.name)
    assert len([case for case in read_cases("labelme", labelme_folder) if case.mask]) == 5


@pytest.mark.parametrize("kind", ["linestrip", "point", "line"])
def test_a_shape_without_an_area_is_named(labelme_folder: Path, kind: str) -> None:
    edit(labelme_folder, "circle", shapes=[shape(kind, [[1, 2], [3, 4]])])
    finding = check_pairing(find_pairs("labelme", labelme_folder)).findings[0]
    assert (finding.kind, finding.ids) == ("unreadable file", ("circle",))
    assert f"a shape is a {kind} of 2 points, which has no area" in finding.details[0]


@pytest.mark.parametrize(
    "content",
    [
        {"shapes": [5]},
        {"shapes": [{"label": "lesion"}]},
        {"imageWidth": 10**9, "imageHeight": 10**9},
        {"imageWidth": None},
        {"imageWidth": float("inf")},
        {"imageWidth": 0},
        {"shapes": [shape("polygon", [[1, 2], [3, float("nan")], [5, 6]])]},
        {"shapes": [shape("mask", [[50, 30], [99, 99]], mask="iVBORw0=")]},
    ],
)
def test_faulty_annotations_are_named_and_others_are_read(
    labelme_folder: Path, content: dict[str, Any]
) -> None:
    edit(labelme_folder, "circle", **content)
    finding = check_pairing(find_pairs("labelme", labelme_folder)).findings[0]
    assert (finding.kind, finding.ids) == ("unreadable file", ("circle",))
    assert "circle.json" in finding.details[0]


def test_a_damaged_file_is_named_and_others_are_read(labelme_folder: Path) -> None:
    (labelme_folder / "mask.json").write_text("{")
    (labelme_folder / "other.json").write_text("[")
    finding = check_pairing(find_pairs("labelme", labelme_folder)).findings[0]
    assert (finding.kind, finding.ids) == ("unreadable file", ("mask",))
    assert "is not JSON" in finding.details[0]


def test_several_labels_are_refused(labelme_folder: Path) -> None:
    edit(labelme_folder, "rectangle", shapes=[shape("rectangle", [[1, 2], [9, 9]], label="ruler")])
    with pytest.raises(UserError, match="have the labels lesion, ruler; choose those of the lesion"):
        find_pairs("labelme", labelme_folder)


def test_a_folder_without_annotations_is_refused(tmp_path: Path, write: Write, encoded: Encode) -> None:
    write(tmp_path, {"a.png": encoded(LESION)})
    with pytest.raises(UserError, match="no JSON files of LabelMe found"):
        find_pairs("labelme", tmp_path)
