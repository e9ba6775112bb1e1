"""CVAT's XML and YOLO's text files against shapes worked by hand, skimage and the formats' own readers."""

import json
import unicodedata
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.draw import ellipse

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.check import check_pairing
from mlffm_segdiff.data.files import decode_mask
from mlffm_segdiff.data.table import find_pairs, read_cases

Write = Callable[[Path, Mapping[str, bytes]], None]
Encode = Callable[..., bytes]
HEIGHT, WIDTH = 40, 60
BOX = np.zeros((HEIGHT, WIDTH), bool)
BOX[5:25, 10:50] = True
RING = np.zeros((HEIGHT, WIDTH), bool)
RING[ellipse(18, 30, 12, 20)] = True
RING[ellipse(18, 30, 4, 6)] = False
POLYGON = '<polygon label="lesion" points="10.00,5.00;50.00,5.00;50.00,25.00;10.00,25.00" z_order="0"/>'


def drawn(entry: Entry) -> np.ndarray:
    return decode_mask(entry.read(), str(entry))


def row_runs(mask: np.ndarray) -> str:
    """CVAT's run lengths: row by row, outside first."""
    flat = np.concatenate([[0], mask.ravel().astype(int), [2]])
    return ", ".join(map(str, np.diff(np.concatenate([[0], np.flatnonzero(np.diff(flat))]))))


RING_RUNS = row_runs(RING[6:31, 10:51])
SHAPES = {
    "polygon": POLYGON,
    "box": '<box label="lesion" xtl="10" ytl="5" xbr="50" ybr="25"/>',
    "turned": '<box label="lesion" xtl="20" ytl="-5" xbr="40" ybr="35" rotation="90"/>',
    "ellipse": '<ellipse label="lesion" cx="30.5" cy="18.5" rx="20" ry="12"/>',
    "upright": '<ellipse label="lesion" cx="30.5" cy="18.5" rx="12" ry="20" rotation="90"/>',
    "mask": f'<mask label="lesion" rle="{RING_RUNS}" left="10" top="6" width="41" height="25"/>',
    "two": '<polygon label="lesion" points="10,5;30,5;30,25;10,25"/>'
    '<box label="lesion" xtl="30" ytl="5" xbr="50" ybr="25"/>',
    "nothing": '<tag label="blurred"/>',
}


def cvat_xml(shapes: dict[str, str]) -> bytes:
    images = "".join(
        f'<image id="{n}" name="photos/{key}.jpg" width="{WIDTH}" height="{HEIGHT}">{one}</image>'
        for n, (key, one) in enumerate(shapes.items())
    )
    return f"<?xml version='1.0'?><annotations><version>1.1</version>{images}</annotations>".encode()


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.fixture
def cvat_folder(tmp_path: Path, write: Write, encoded: Encode) -> Path:
    files = {f"images/photos/{key}.jpg": encoded(pixels(n), "JPEG") for n, key in enumerate(SHAPES)}
    write(tmp_path, {**files, "annotations.xml": cvat_xml(SHAPES)})
    return tmp_path


def test_all_shapes_of_cvat_are_drawn(cvat_folder: Path) -> None:
    masks = {case.id: drawn(case.mask) for case in read_cases("cvat", cvat_folder)}
    for key in ("polygon", "box", "turned", "two"):
        assert (masks[key] == BOX).all(), key
    filled = np.zeros_like(RING)
    filled[ellipse(18, 30, 12, 20)] = True
    assert (masks["ellipse"] == filled).all()
    assert abs(int(masks["upright"].sum()) - int(filled.sum())) <= 4
    assert (masks["mask"] == RING).all()
    assert not masks["nothing"].any()
    found = find_pairs("cvat", cvat_folder)
    assert found.ignored == 0
    assert [one.kind for one in check_pairing(found).findings] == ["empty mask"]


def test_a_rotation_is_clockwise_as_in_cvat(cvat_folder: Path, write: Write) -> None:
    """By 30 degrees clockwise: the right end of the long axis is below the centre."""
    turned = '<ellipse label="lesion" cx="30" cy="20" rx="15" ry="3" rotation="30"/>'
    box = '<box label="lesion" xtl="15" ytl="17" xbr="45" ybr="23" rotation="30"/>'
    write(cvat_folder, {"annotations.xml": cvat_xml({**SHAPES, "ellipse": turned, "box": box})})
    masks = {case.id: drawn(case.mask) for case in read_cases("cvat", cvat_folder)}
    for key in ("ellipse", "box"):
        rows, columns = np.nonzero(masks[key])
        assert np.polyfit(columns, rows, 1)[0] == pytest.approx(np.tan(np.pi / 6), rel=0.1), key
        assert masks[key][26, 41]
        assert not masks[key][14, 41]


def test_a_zip_file_and_a_single_xml_file_are_read_as_the_folder(cvat_folder: Path, tmp_path: Path) -> None:
    cases = read_cases("cvat", cvat_folder)
    assert read_cases("cvat", cvat_folder / "annotations.xml") == cases
    packed = tmp_path / "task.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(cvat_folder.rglob("*.*")):
            if path.is_file() and path != packed:
                archive.write(path, path.relative_to(cvat_folder))
    assert [case.id for case in read_cases("cvat", packed)] == [case.id for case in cases]
    assert all(
        (drawn(a.mask) == drawn(b.mask)).all() for a, b in zip(read_cases("cvat", packed), cases, strict=True)
    )


def test_several_labels_are_refused_and_one_or_two_can_be_chosen(cvat_folder: Path, write: Write) -> None:
    ruler = '<polygon label="ruler" points="0,0;5,0;5,40;0,40"/>'
    write(cvat_folder, {"annotations.xml": cvat_xml({**SHAPES, "polygon": POLYGON + ruler})})
    with pytest.raises(UserError, match=r"labels lesion, ruler; choose .* as in .*#lesion"):
        find_pairs("cvat", cvat_folder)
    found = {c.id: c.mask for c in read_cases("cvat", Path(f"{cvat_folder}#lesion"))}
    assert (drawn(found["polygon"]) == BOX).all()
    found = {c.id: c.mask for c in read_cases("cvat", Path(f"{cvat_folder}#lesion,ruler"))}
    assert drawn(found["polygon"]).sum() == BOX.sum() + 200
    found = {c.id: c.mask for c in read_cases("cvat", Path(f"{cvat_folder}#ruler"))}
    assert not drawn(found["box"]).any()
    with pytest.raises(UserError, match=r"has the label 'nevus'; its labels are: lesion, ruler"):
        find_pairs("cvat", Path(f"{cvat_folder}#nevus"))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ('<polyline label="lesion" points="1,2;3,4"/>', "a shape is a polyline, which has no area"),
        ('<polygon label="lesion" points="1,2;3,4"/>', "a polygon has 2 corners"),
        ('<polygon label="lesion" points="1,2;3,nan;5,6"/>', "not a number"),
        ('<polygon points="1,2;3,4;5,6"/>', "'label'"),
        (
            '<mask label="lesion" rle="1,2" left="0" top="0" width="2" height="2"/>',
            "not those of a box",
        ),
        ('<mask label="lesion" rle="0,4" left="59" top="0" width="2" height="2"/>', "partly outside"),
        ('<box label="lesion" xtl="a" ytl="5" xbr="50" ybr="25"/>', "could not convert"),
        ('<ellipse label="lesion" cx="inf" cy="5" rx="5" ry="25"/>', "an ellipse is not within reach"),
    ],
)
def test_one_faulty_shape_is_named_and_the_others_are_read(
    cvat_folder: Path, write: Write, shape: str, message: str
) -> None:
    write(cvat_folder, {"annotations.xml": cvat_xml({**SHAPES, "two": shape})})
    finding = check_pairing(find_pairs("cvat", cvat_folder)).findings[0]
    assert (finding.kind, finding.ids) == ("unreadable file", ("two",))
    assert message in finding.details[0]


def test_a_missing_image_is_found(cvat_folder: Path) -> None:
    (cvat_folder / "images" / "photos" / "two.jpg").unlink()
    kinds = {one.kind: one.ids for one in check_pairing(find_pairs("cvat", cvat_folder)).findings}
    assert kinds["missing image"] == ("two",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<annotations><image", "is not XML of CVAT"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><annotations>&b;</annotations>', "a document type is not part"),
        (b"<annotations><track id='0'><box/></track></annotations>", "export as 'CVAT for images 1.1'"),
        (b"<other/>", "no XML files of CVAT found"),
        (b"<annotations/>", "no images that the XML files of CVAT name found"),
    ],
)
def test_faulty_xml_files_are_user_errors(
    cvat_folder: Path, write: Write, content: bytes, message: str
) -> None:
    write(cvat_folder, {"annotations.xml": content})
    with pytest.raises(UserError, match=message):
        find_pairs("cvat", cvat_folder)


YOLO_BOX = f"0 {10 / WIDTH} {5 / HEIGHT} {50 / WIDTH} 0.125 {50 / WIDTH} 0.625 {10 / WIDTH} 0.625\n"


@pytest.fixture
def yolo_folder(tmp_path: Path, write: Write, encoded: Encode) -> Path:
    """Ultralytics' layout: five images to train on, one of them turned by EXIF, one to validate."""
    parts = {"box": "train", "two": "train", "nothing": "train", "absent": "train", "seen": "val"}
    files = {
        f"images/{part}/{key}.jpg": encoded(pixels(n), "JPEG") for n, (key, part) in enumerate(parts.items())
    }
    half = " ".join(f"{x} {y}" for x, y in ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)))
    texts = {"box": YOLO_BOX, "two": YOLO_BOX + f"\n0 {half}", "nothing": "", "seen": YOLO_BOX}
    files |= {f"labels/{parts[key]}/{key}.txt": text.encode() for key, text in texts.items()}
    names = b"path: .\ntrain: images/train\nval: images/val\nnames:\n  0: lesion\n  1: ruler\n"
    write(
        tmp_path, {**files, "data.yaml": names, "labels/train.cache": b"x", "labels/classes.txt": b"lesion"}
    )
    return tmp_path


def test_polygons_of_yolo_are_drawn_at_the_size_of_their_image(yolo_folder: Path) -> None:
    masks = {case.id: drawn(case.mask) for case in read_cases("yolo", yolo_folder)}
    left = np.zeros_like(BOX)
    left[:, : WIDTH // 2] = True
    assert (masks["box"] == BOX).all()
    assert (masks["two"] == (BOX | left)).all()
    assert not masks["nothing"].any()
    assert not masks["absent"].any()
    found = find_pairs("yolo", yolo_folder)
    assert found.own_split().ids("val") == ("seen",)
    assert found.own_split().ids("train") == ("absent", "box", "nothing", "two")
    assert found.ignored == 2
    assert {one.kind for one in check_pairing(found).findings} == {"empty mask"}


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_polygons_of_yolo_follow_exif_orientation(
    yolo_folder: Path, write: Write, encoded: Encode, kind: str
) -> None:
    """Ultralytics reads images upright, so fractions are of the upright image."""
    turned = Image.Exif()
    turned[0x0112] = 6
    write(yolo_folder, {"images/train/box.jpg": encoded(pixels(9), kind, exif=turned)})
    masks = {case.id: drawn(case.mask) for case in read_cases("yolo", yolo_folder)}
    assert masks["box"].shape == (WIDTH, HEIGHT)
    assert not [
        one for one in check_pairing(find_pairs("yolo", yolo_folder)).findings if one.affects_training
    ]


def test_an_image_of_another_size_has_another_stamp(yolo_folder: Path, write: Write, encoded: Encode) -> None:
    before = {case.id: case.mask.stamp() for case in read_cases("yolo", yolo_folder)}
    write(yolo_folder, {"images/train/box.jpg": encoded(pixels(9)[:20], "JPEG")})
    after = {case.id: case.mask.stamp() for case in read_cases("yolo", yolo_folder)}
    assert {key for key in before if before[key] != after[key]} == {"box"}


def test_a_class_of_yolo_can_be_chosen_by_name(yolo_folder: Path, write: Write) -> None:
    write(yolo_folder, {"labels/train/two.txt": (YOLO_BOX + "1 0 0 1 0 1 1 0 1\n").encode()})
    with pytest.raises(UserError, match="labels lesion, ruler; choose"):
        find_pairs("yolo", yolo_folder)
    masks = {case.id: drawn(case.mask) for case in read_cases("yolo", Path(f"{yolo_folder}#lesion"))}
    assert (masks["two"] == BOX).all()
    (yolo_folder / "data.yaml").unlink()
    masks = {case.id: drawn(case.mask) for case in read_cases("yolo", Path(f"{yolo_folder}#1"))}
    assert masks["two"].all()
    assert not masks["box"].any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 0.5 0.5 0.2 0.2", "line 1 is a box, which is not a polygon"),
        ("0 0.5 0.5 0.2 0.2 0.1 0.1 0.9", "line 1 is 7 numbers"),
        ("0 10 5 50 5 50 25", "fractions from 0 to 1"),
        ("0 nan 0 0.5 0 0.5 0.5", "fractions from 0 to 1"),
        ("0 a b c d e f", "could not convert"),
    ],
)
def test_a_faulty_text_file_is_named_and_others_are_read(
    yolo_folder: Path, write: Write, text: str, message: str
) -> None:
    write(yolo_folder, {"labels/train/two.txt": text.encode()})
    finding = check_pairing(find_pairs("yolo", yolo_folder)).findings[0]
    assert (finding.kind, finding.ids) == ("unreadable file", ("two",))
    assert message in finding.details[0]


def test_text_files_are_paired_across_case_and_unicode_form(
    tmp_path: Path, write: Write, encoded: Encode
) -> None:
    name = "l\u00e9sion"
    images = [f"{name}.png", "c.png", "D.png"]
    texts = [f"{unicodedata.normalize('NFD', name)}.txt", "C.txt", "D.TXT"]
    write(tmp_path, {f"images/{image}": encoded(pixels(0)) for image in images})
    write(tmp_path, {f"labels/{text}": YOLO_BOX.encode() for text in texts})
    for case in read_cases("yolo", tmp_path):
        assert (drawn(case.mask) == BOX).all(), case.id
    assert find_pairs("yolo", tmp_path).ignored == 0


@pytest.mark.parametrize("text", ["labels/train/b.txt", "labels/train/B.TXT", "sub/labels/b.txt"])
def test_labels_that_are_elsewhere_than_their_image_are_not_an_empty_mask(
    tmp_path: Path, write: Write, encoded: Encode, text: str
) -> None:
    write(tmp_path, {f"images/{name}.png": encoded(pixels(0)) for name in "ab"})
    write(tmp_path, {place: YOLO_BOX.encode() for place in ("labels/a.txt", text)})
    says = rf"{Path(text).name} has the name of the image 'b', whose labels belong in labels/b\.txt; move or"
    with pytest.raises(UserError, match=says):
        find_pairs("yolo", tmp_path)


def test_a_text_file_without_image_is_found(yolo_folder: Path, write: Write) -> None:
    write(yolo_folder, {"labels/train/lost.txt": YOLO_BOX.encode()})
    kinds = {one.kind: one.ids for one in check_pairing(find_pairs("yolo", yolo_folder)).findings}
    assert kinds["missing image"] == ("lost",)


@pytest.mark.parametrize("content", [b"names: 5", b"[", b"nc: 1", b"\xff\xfe", json.dumps([1]).encode()])
def test_a_faulty_data_yaml_is_a_user_error(yolo_folder: Path, write: Write, content: bytes) -> None:
    write(yolo_folder, {"data.yaml": content})
    with pytest.raises(UserError, match=r"data\.yaml does not name the classes"):
        find_pairs("yolo", yolo_folder)


def test_yolos_folders_in_another_order_and_none_are_understood(
    tmp_path: Path, write: Write, encoded: Encode
) -> None:
    """Roboflow's order: the part outside."""
    images = {f"{part}/images/{part}.png": encoded(pixels(0)) for part in ("train", "valid", "test")}
    texts = {f"{part}/labels/{part}.txt": YOLO_BOX.encode() for part in ("train", "valid", "test")}
    write(tmp_path, images | texts)
    split = find_pairs("yolo", tmp_path).own_split()
    assert (split.train, split.val, split.test) == (("train",), ("valid",), ("test",))
    with pytest.raises(UserError, match="no text files in labels/ found"):
        find_pairs("yolo", tmp_path / "train" / "images")


@pytest.mark.parametrize("kind", ["cvat", "yolo"])
def test_annotations_may_have_groups(
    kind: str, request: pytest.FixtureRequest, grouped: Callable[[str, Path], None]
) -> None:
    grouped(kind, request.getfixturevalue(f"{kind}_folder"))


def test_a_test_folder_of_yolo_is_kept_where_no_images_validate(
    tmp_path: Path, write: Write, encoded: Encode
) -> None:
    names = {"train": "abcdefghijkl", "test": "xyz"}
    images = {f"{part}/images/{name}.png": encoded(pixels(0)) for part, ids in names.items() for name in ids}
    write(tmp_path, images | {"train/labels/a.txt": YOLO_BOX.encode()})
    split = find_pairs("yolo", tmp_path).own_split()
    assert split.test == ("x", "y", "z")
    assert sorted(split.train + split.val) == sorted(names["train"])
    assert len(split.val) == 1
    write(
        tmp_path, {"groups.csv": "".join(["id,group\n", *(f"{n},{n in 'abc'}\n" for n in "abcdef")]).encode()}
    )
    split = find_pairs("yolo", tmp_path).own_split()
    for group in ("abc", "def"):
        assert len({name in split.val for name in group}) == 1


def test_yolos_images_outside_of_the_folders_of_parts_train(
    tmp_path: Path, write: Write, encoded: Encode
) -> None:
    images = {f"images/{place}.png": encoded(pixels(0)) for place in ("a", "b", "val/c", "test/d")}
    write(tmp_path, images | {"labels/a.txt": YOLO_BOX.encode()})
    split = find_pairs("yolo", tmp_path).own_split()
    assert (split.train, split.val, split.test) == (("a", "b"), ("c",), ("d",))


def test_validation_images_alone_are_split_like_any(tmp_path: Path, write: Write, encoded: Encode) -> None:
    images = {f"images/val/{name}.png": encoded(pixels(0)) for name in "abcdefghij"}
    write(tmp_path, images | {"labels/val/a.txt": YOLO_BOX.encode()})
    split = find_pairs("yolo", tmp_path).own_split()
    assert list(map(len, (split.train, split.val, split.test))) == [7, 1, 2]


def test_datumaro_draws_the_same_masks_from_cvats_xml(cvat_folder: Path) -> None:
    datumaro = pytest.importorskip("datumaro", reason="the reader of CVAT's makers")
    kept = {key: SHAPES[key] for key in ("polygon", "box", "mask")}
    (cvat_folder / "annotations.xml").write_bytes(
        cvat_xml(kept).replace(
            b"<version>",
            b"<meta><task><labels><label><name>lesion</name></label></labels></task></meta><version>",
        )
    )
    ours = {case.id: drawn(case.mask) for case in read_cases("cvat", cvat_folder)}
    for item in datumaro.Dataset.import_from(str(cvat_folder), "cvat"):
        (annotation,) = item.annotations
        mask = annotation.image if annotation.type.name == "mask" else BOX
        assert (ours[Path(item.id).name] == (np.asarray(mask) > 0)).all(), item.id
