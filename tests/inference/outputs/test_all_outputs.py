import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import highdicom
import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.path import Path as Outline
from PIL import Image
from pyarrow import parquet
from pycocotools.coco import COCO

from mlffm_segdiff.inference.analysis import Processing
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.inference.outputs.journal import JOURNAL
from mlffm_segdiff.inference.outputs.writers import WRITERS, Output
from mlffm_segdiff.inference.predict import predict_files
from mlffm_segdiff.inference.reading.case_image import find_images

Photo = Callable[..., npt.NDArray[np.uint8]]
Save = Callable[..., Path]
MakeModel = Callable[..., Model]
Dicom = Callable[..., bytes]


def read(path: Path) -> npt.NDArray[np.generic]:
    with Image.open(path) as image:
        return np.array(image)


def names(folder: Path) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != JOURNAL]
    return sorted(str(path.relative_to(folder)) for path in files)


@pytest.fixture
def lesion() -> npt.NDArray[np.uint8]:
    """A red disc with a hole, and half the spread's channel on it."""
    rows, columns = np.indices((48, 64))
    distance = np.hypot(rows - 24, columns - 30)
    image = np.full((48, 64, 3), (20, 120, 150), np.uint8)
    image[(distance < 15) & (distance > 4)] = (230, 60, 60)
    return image


def test_all_outputs_of_one_run_have_the_same_mask(
    tmp_path: Path, lesion: npt.NDArray[np.uint8], dicom: Dicom, red_model: MakeModel
) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.dcm", "b.dcm"):
        (tmp_path / "in" / name).write_bytes(dicom(lesion, PixelSpacing=[0.5, 0.5]))
    output = Output(tmp_path / "out", tuple(WRITERS), table="parquet")
    rows = list(predict_files(find_images(tmp_path / "in").images, red_model(size=64), output))
    assert [row.status for row in rows] == ["done", "done"]
    mask = read(output.masks / "a.png") > 0
    assert 0 < mask.sum() < mask.size
    assert names(output.folder) == sorted(
        [f"{folder}/{name}.png" for folder in ("masks", "probabilities", "spreads") for name in "ab"]
        + [f"{folder}/{name}.jpg" for folder in ("overlays", "bands") for name in "ab"]
        + [f"contours/{name}.geojson" for name in "ab"]
        + [f"dicom-seg/{name}.dcm" for name in "ab"]
        + [f"nnunet/imagesTs/{name}_0000.png" for name in "ab"]
        + [f"nnunet/labelsTs/{name}.png" for name in "ab"]
        + [f"review/{name}.jpg" for name in "ab"]
        + ["nnunet/dataset.json", "coco.json", "cvat.xml", "labelstudio.json"]
        + ["predictions.parquet", "review.html"]
    )
    np.testing.assert_array_equal(read(output.folder / "nnunet" / "labelsTs" / "a.png"), mask)
    np.testing.assert_array_equal(read(output.folder / "nnunet" / "imagesTs" / "a_0000.png"), lesion)
    np.testing.assert_array_equal(read(output.folder / "probabilities" / "a.png") >= 0.5 * 65535, mask)
    np.testing.assert_array_equal(drawn(output.folder / "contours" / "a.geojson", mask.shape), mask)
    segmentation = highdicom.seg.segread(output.folder / "dicom-seg" / "a.dcm")
    np.testing.assert_array_equal(segmentation.pixel_array, mask)
    (table,) = parquet.read_table(output.table_path).slice(0, 1).to_pylist()
    assert (table["image"], table["area"], table["area_mm2"]) == ("a.dcm", mask.sum(), mask.sum() / 4)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools 2.0.11
def test_the_coco_file_has_the_images_in_their_order_and_none_that_failed(
    tmp_path: Path, lesion: npt.NDArray[np.uint8], save: Save, red_model: MakeModel
) -> None:
    paths = [save(tmp_path / f"{number}.png", np.roll(lesion, number, axis=1)) for number in range(5)]
    paths[2].write_bytes(b"broken")
    output = Output(tmp_path / "out", ("coco",))
    list(predict_files(paths, red_model(size=64), output, batch_size=2))
    coco = COCO(output.folder / "coco.json")
    assert [image["file_name"] for image in coco.imgs.values()] == ["0.png", "1.png", "3.png", "4.png"]
    for annotation in coco.anns.values():
        mask = read(output.masks / coco.imgs[annotation["image_id"]]["file_name"]) > 0
        np.testing.assert_array_equal(coco.annToMask(annotation), mask)


def drawn(path: Path, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Matplotlib's answer to which pixel centres are in an odd number of the file's rings."""
    rows, columns = np.indices(shape)
    centres = np.stack([columns.ravel(), rows.ravel()], axis=1) + 0.5
    rings = [
        ring for one in json.loads(path.read_text())["features"] for ring in one["geometry"]["coordinates"]
    ]
    inside = [Outline(ring).contains_points(centres).reshape(shape) for ring in rings]
    return np.logical_xor.reduce(inside)


def test_a_dicom_seg_refers_to_its_image(
    tmp_path: Path, photo: Photo, dicom: Dicom, dicom_dataset: Callable, red_model: MakeModel
) -> None:
    sources = {}
    for seed in range(3):
        data = dicom(photo(seed))
        sources[f"{seed}"] = dicom_dataset(data).SOPInstanceUID
        (tmp_path / f"{seed}.dcm").write_bytes(data)
    output = Output(tmp_path / "out", ("dicom-seg",))
    list(predict_files(find_images(tmp_path).images, red_model(), output))
    for name, uid in sources.items():
        found = highdicom.seg.segread(output.folder / "dicom-seg" / f"{name}.dcm")
        assert [source[2] for source in found.get_source_image_uids()] == [uid]


def test_an_image_without_a_suitable_dicom_file_has_a_mask_and_no_dicom_seg(
    tmp_path: Path, photo: Photo, save: Save, dicom: Dicom, red_model: MakeModel
) -> None:
    save(tmp_path / "a.png", photo(0))
    (tmp_path / "b.dcm").write_bytes(dicom(photo(1)))
    (tmp_path / "c.dcm").write_bytes(dicom(photo(1), StudyInstanceUID=None))
    odd = {
        "FrameOfReferenceUID": "1.2.3",
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "ImagePositionPatient": [0, 0, 0],
    }
    (tmp_path / "d.dcm").write_bytes(dicom(photo(1), **odd))
    output = Output(tmp_path / "out", ("dicom-seg",))
    rows = list(predict_files(find_images(tmp_path).images, red_model(), output))
    assert [row.status for row in rows] == ["incomplete", "done", "incomplete", "incomplete"]
    assert "dicom-seg: a.png is not a DICOM file" in rows[0].error
    assert "c.dcm has no StudyInstanceUID" in rows[2].error
    assert "no DICOM SEG can be made of d.dcm" in rows[3].error
    assert names(output.folder) == [
        "dicom-seg/b.dcm",
        *(f"masks/{name}.png" for name in "abcd"),
        "predictions.csv",
    ]


def test_the_requested_spacing_overrides_the_files_and_applies_to_plain_images(
    tmp_path: Path, lesion: npt.NDArray[np.uint8], save: Save, dicom: Dicom, red_model: MakeModel
) -> None:
    (tmp_path / "a.dcm").write_bytes(dicom(lesion, PixelSpacing=[0.5, 0.5]))
    paths = [tmp_path / "a.dcm", save(tmp_path / "b.png", lesion)]

    def areas(mm_per_pixel: float | None) -> list[float | None]:
        how = Processing(mm_per_pixel=mm_per_pixel)
        rows = predict_files(paths, red_model(size=64), Output(tmp_path / "out"), how)
        return [row.measures.area_mm2 / row.measures.area if row.measures.area_mm2 else None for row in rows]

    assert areas(None) == [0.25, None]
    assert areas(0.1) == pytest.approx([0.01, 0.01])


def test_names_in_an_archive_reach_no_other_folder(
    tmp_path: Path, photo: Photo, red_model: MakeModel
) -> None:
    stream = io.BytesIO()
    Image.fromarray(photo(0)).save(stream, "PNG")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("../../up.png", "/etc/root.png", "in/c:d.png", "in\\back.png"):
            archive.writestr(name, stream.getvalue())
    output = Output(tmp_path / "deep" / "out", ("contours",))
    rows = list(predict_files(find_images(tmp_path / "a.zip").images, red_model(), output))
    assert {row.status for row in rows} == {"done"}
    assert sorted(path.name for path in output.masks.iterdir()) == [
        "back.png",
        "c_d.png",
        "root.png",
        "up.png",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "deep"]


def test_nothing_that_failed_leaves_a_file(tmp_path: Path, red_model: MakeModel) -> None:
    (tmp_path / "a.png").write_bytes(b"broken")
    output = Output(tmp_path / "out", ("coco", "nnunet"))
    (row,) = predict_files([tmp_path / "a.png"], red_model(), output)
    assert row.failed
    assert names(output.folder) == ["coco.json", "nnunet/dataset.json", "predictions.csv"]
