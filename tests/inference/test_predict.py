import csv
import json
import time
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from pkgutil import resolve_name
from threading import Condition

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from stand_ins import StandIn
from torch import Tensor

from mlffm_segdiff.config.errors import StoppedError, UserError
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.files import rgb_rows
from mlffm_segdiff.data.image_rows import ImageRows
from mlffm_segdiff.inference import predict
from mlffm_segdiff.inference.analysis import Processing, analyse
from mlffm_segdiff.inference.model import Model, load_model
from mlffm_segdiff.inference.outputs import writers
from mlffm_segdiff.inference.outputs.journal import JOURNAL, Record
from mlffm_segdiff.inference.outputs.writers import Output, Writer
from mlffm_segdiff.inference.pool import MAX_HELPERS, helper_count
from mlffm_segdiff.inference.predict import predict_files
from mlffm_segdiff.inference.reading import case_image
from mlffm_segdiff.inference.reading.case_image import CaseImage, find_images
from mlffm_segdiff.inference.result import CaseResult
from mlffm_segdiff.segmenters.base import Segmentation

Photo = Callable[..., npt.NDArray[np.uint8]]
Save = Callable[..., Path]
MakeModel = Callable[..., Model]


def read(path: Path) -> npt.NDArray[np.uint8]:
    with Image.open(path) as image:
        assert image.mode in ("L", "RGB", "I;16")
        return np.array(image)


def all_files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def photos(tmp_path: Path, photo: Photo, save: Save) -> list[Path]:
    sizes = [(40, 56), (31, 77), (100, 20), (32, 32), (64, 65)]
    return [
        save(tmp_path / "photos" / f"p{seed}.png", photo(seed, height, width))
        for seed, (height, width) in enumerate(sizes)
    ]


def test_each_image_gets_a_binary_mask_of_its_own_size(
    tmp_path: Path, photos: list[Path], tiny_weights: Path
) -> None:
    rows = list(predict_files(photos, load_model(tiny_weights), Output(tmp_path / "out")))
    assert [row.image for row in rows] == [path.name for path in photos]
    for path, row in zip(photos, rows, strict=True):
        mask = read(tmp_path / "out" / "masks" / path.name)
        assert mask.shape == read(path).shape[:2] == (row.height, row.width)
        assert set(np.unique(mask).tolist()) <= {0, 255}
        assert row.measures is not None
        assert row.measures.area == (mask == 255).sum()
    assert any(row.measures and row.measures.area for row in rows)


def test_only_what_was_requested_is_written(tmp_path: Path, photos: list[Path], red_model: MakeModel) -> None:
    out = tmp_path / "out"
    list(predict_files(photos[:1], red_model(), Output(out)))
    assert all_files(out) == [JOURNAL, "masks", "masks/p0.png", "predictions.csv"]
    list(predict_files(photos[1:2], red_model(), Output(out, ("probability", "overlay"))))
    assert all_files(out) == [
        JOURNAL,
        "masks",
        "masks/p1.png",
        "overlays",
        "overlays/p1.jpg",
        "predictions.csv",
        "probabilities",
        "probabilities/p1.png",
    ]


def test_the_table_of_a_hand_worked_image(tmp_path: Path, save: Save, red_model: MakeModel) -> None:
    image = np.zeros((8, 8, 3), np.uint8)  # as many pixels as the network takes: nothing is resized
    image[:, :4, 0] = 255
    image[0, 7, 0] = 128
    image[:, :4, 1], image[0, 7, 1] = 51, 255
    path = save(tmp_path / "a.png", image)
    out = Output(tmp_path / "out", ("probability",))
    list(predict_files([path], red_model(size=8, samples=5), out))
    # 33 lesion pixels in 2 components; spread 51/255/2 on 32 of them and 1/2 on one
    spread = (32 * 0.1 + 0.5) / 33
    with out.table_path.open(newline="") as file:
        (line,) = csv.DictReader(file)
    expected = {
        "image": "a.png", "width": "8", "height": "8", "area": "33", "area_share": f"{33 / 64:.6f}",
        "components": "2", "mean_spread": f"{spread:.6f}", "area_mm2": "", "status": "done", "error": "",
        "centroid_x": f"{(8 * (0 + 1 + 2 + 3) + 7) / 33:.6f}", "box_left": "0", "box_width": "8",
        "colours": "1",
    }  # fmt: skip
    assert {name: line[name] for name in expected} == expected
    np.testing.assert_array_equal(read(out.masks / "a.png"), np.where(image[..., 0] > 127, 255, 0))
    np.testing.assert_array_equal(
        read(out.folder / "probabilities" / "a.png"), image[..., 0].astype(int) * 257
    )


@pytest.mark.parametrize("samples", [0, 1])
def test_fewer_than_two_samples_have_no_spread_in_the_table(
    tmp_path: Path, photos: list[Path], red_model: MakeModel, samples: int
) -> None:
    (row,) = predict_files(photos[:1], red_model(samples=samples), Output(tmp_path / "out"))
    assert row.measures is not None
    assert row.measures.mean_spread is None


def test_the_threshold_decides_what_is_lesion(tmp_path: Path, save: Save, red_model: MakeModel) -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    image[2], image[3] = 100, 200
    path = save(tmp_path / "a.png", image)
    areas = [
        next(predict_files([path], red_model(), Output(tmp_path / "out"), Processing(threshold))).measures
        for threshold in (0.3, 0.5, 0.9)
    ]
    assert [measures and measures.area for measures in areas] == [16, 8, 0]


def test_an_overlay_is_the_image_as_displayed_with_a_line(
    tmp_path: Path, save: Save, red_model: MakeModel
) -> None:
    image = np.full((120, 160, 3), (40, 160, 160), np.uint8)
    image[30:90, 40:120] = (220, 60, 60)
    path = save(tmp_path / "a.png", image)
    out = Output(tmp_path / "out", ("overlay",))
    list(predict_files([path], red_model(size=32), out))
    overlay = read(out.folder / "overlays" / "a.jpg").astype(int)
    assert overlay.shape == image.shape
    inside, outside = overlay[50:70, 60:100], overlay[:15]
    assert np.abs(inside - (220, 60, 60)).max() <= 3
    assert np.abs(outside - (40, 160, 160)).max() <= 3
    ring = np.abs(overlay - image).sum(axis=2) > 100
    assert 200 < ring.sum() < 2000


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_rotated_photo_gets_the_mask_of_the_photo_as_shown(
    tmp_path: Path, photo: Photo, save: Save, tiny_weights: Path, orientation: int
) -> None:
    turns = {3: 2, 6: 1, 8: 3}[
        orientation
    ]  # EXIF 6: shown turned clockwise by 90 degrees; np.rot90 turns back
    shown = photo(1, 40, 56)
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = save(tmp_path / "turned" / "a.png", np.rot90(shown, turns), exif=exif)
    upright = save(tmp_path / "upright" / "a.png", shown)
    model = load_model(tiny_weights)
    for path in (turned, upright):
        (row,) = predict_files([path], model, Output(path.parent / "out"))
        assert (row.width, row.height) == (56, 40)
    mask, expected = (read(path.parent / "out" / "masks" / "a.png") for path in (turned, upright))
    assert mask.shape == (40, 56)
    assert 0 < expected.mean() < 255
    np.testing.assert_array_equal(mask, expected)


def test_a_broken_file_is_reported_and_the_others_are_segmented(
    tmp_path: Path, photos: list[Path], red_model: MakeModel
) -> None:
    photos[1].write_bytes(photos[1].read_bytes()[:200])
    photos[3].write_bytes(b"")
    out = Output(tmp_path / "out")
    rows = list(predict_files(photos, red_model(), out, batch_size=2))
    assert [row.status for row in rows] == ["done", "failed", "done", "failed", "done"]
    assert "p1.png" in rows[1].error
    assert "0 bytes" in rows[3].error
    assert sorted(path.name for path in out.masks.iterdir()) == ["p0.png", "p2.png", "p4.png"]
    with out.table_path.open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [(line["image"], line["status"], line["error"]) for line in table] == [
        (row.image, row.status, row.error) for row in rows
    ]
    assert (table[1]["area"], table[1]["width"]) == ("", "")


def test_only_broken_files_are_reported_too(tmp_path: Path, photos: list[Path], red_model: MakeModel) -> None:
    photos[0].write_bytes(b"x")
    (row,) = predict_files(photos[:1], red_model(), Output(tmp_path / "out"))
    assert row.failed
    assert all_files(tmp_path / "out") == [JOURNAL, "predictions.csv"]


def test_results_depend_on_image_and_seed_only(
    tmp_path: Path, photos: list[Path], tiny_weights: Path
) -> None:
    model = load_model(tiny_weights)

    def probabilities(paths: Sequence[Path], name: str, batch_size: int) -> dict[str, npt.NDArray[np.uint8]]:
        out = Output(tmp_path / name, ("probability",))
        list(predict_files(paths, model, out, batch_size=batch_size))
        return {path.name: read(out.folder / "probabilities" / path.name).astype(int) for path in paths}

    whole = probabilities(photos, "whole", 8)
    photos[0].write_bytes(b"broken")
    part = probabilities([photos[4], photos[2], photos[1]], "part", 2)
    single = probabilities(photos[3:4], "alone", 1)
    renamed = probabilities([photos[3].rename(tmp_path / "other name.png")], "renamed", 1)
    single["p3.png again"] = renamed["other name.png"]
    whole["p3.png again"] = whole["p3.png"]
    for name, found in (part | single).items():
        assert (
            np.abs(found - whole[name]).max() <= 257
        )  # of 65535: float32 sums in another order may round otherwise
    model = load_model(tiny_weights, sampling={"seed": 1})
    other = probabilities([photos[1], photos[2], photos[4]], "seed", 8)
    assert all(np.abs(other[name] - whole[name]).max() > 257 for name in other)


class Tamperer(StandIn):
    """Find lesion everywhere. At the first call it gives readers time to run ahead, then removes a file."""

    def __init__(self, victim: Path) -> None:
        super().__init__()
        self.victim = victim
        self.calls = 0

    def segment(self, image: Tensor, sampling: SamplingConfig) -> Segmentation:
        del sampling
        self.calls += 1
        if self.calls == 1:
            time.sleep(0.3)
            self.victim.unlink()
        return Segmentation(image[:, :1] * 0 + 1, image[:, :1] * 0)


def test_files_are_read_shortly_before_and_written_shortly_after_their_turn(
    tmp_path: Path, photo: Photo, save: Save, red_model: MakeModel
) -> None:
    count, batch_size = 80, 2
    photos = [save(tmp_path / f"p{number:02d}.png", photo(number, 9, 9)) for number in range(count)]
    segmenter = Tamperer(photos[-1])
    model, out = red_model(segmenter=segmenter), Output(tmp_path / "out")
    ahead = 2 * batch_size + MAX_HELPERS
    for done, row in enumerate(predict_files(photos, model, out, batch_size=batch_size), 1):
        assert (out.masks / row.image).exists() != row.failed
        assert segmenter.calls * batch_size <= done + ahead
        assert row.failed == (done == count)  # the last file was not read before the first batch was answered


class Stage:
    """Records what has been read, answered and written, by batch; others can wait for it.

    It blocks the writers until the network has the next batch, since the network must not wait for them.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, model: Model, count: int, batch_size: int) -> None:
        self.model, self.count, self.batch_size = model, count, batch_size
        self.batches = -(-count // batch_size)
        self.changed = Condition()
        self.read: Counter[int] = Counter()
        self.started = 0
        self.written: Counter[int] = Counter()
        self.watched: dict[str, list[weakref.ref[object]]] = {}
        self.most: Counter[str] = Counter()
        self.segment = model.segmenter.segment
        monkeypatch.setattr(model.segmenter, "segment", self.segment_batch)
        monkeypatch.setattr(predict, "read_unless_found", self.read_image)
        monkeypatch.setattr(case_image, "rgb_rows", self.decode)
        monkeypatch.setattr(predict, "analyse", self.analyse)

    def wait_for(self, holds: Callable[[], bool], what: str) -> None:
        with self.changed:
            assert self.changed.wait_for(holds, timeout=20), what

    def record(self, counter: Counter[int], name: str) -> None:
        with self.changed:
            counter[int(name) // self.batch_size] += 1
            self.changed.notify_all()

    def watch(self, kind: str, thing: object) -> None:
        with self.changed:
            self.watched.setdefault(kind, []).append(weakref.ref(thing))
            self.most[kind] = max(self.most[kind], self.alive(kind))

    def alive(self, kind: str) -> int:
        return sum(thing() is not None for thing in self.watched[kind])

    def size(self, batch: int) -> int:
        return len(range(self.count)[batch * self.batch_size :][: self.batch_size]) if batch >= 0 else 0

    def read_image(
        self,
        path: Path,
        size: int,
        keep: bool,
        find: Callable[[bytes], Record | None],
        most_pixels: int,
    ) -> CaseImage | Record:
        image = case_image.read_unless_found(path, size, keep, find, most_pixels)
        assert isinstance(image, CaseImage)
        self.watch("small images", image)
        self.record(self.read, path.stem)
        return image

    def decode(self, image: Image.Image, name: str) -> ImageRows:
        self.watch("whole images", image)
        return rgb_rows(image, name)

    def segment_batch(self, image: Tensor, sampling: SamplingConfig) -> Segmentation:
        with self.changed:
            batch, self.started = self.started, self.started + 1
            self.changed.notify_all()
        self.wait_for(lambda: self.read[batch + 1] == self.size(batch + 1), "the next batch is not read")
        self.wait_for(lambda: self.written[batch - 1] == self.size(batch - 1), "the last is not written")
        return self.segment(image, sampling)

    def analyse(
        self, image: CaseImage, segmentation: Segmentation, model: Model, processing: Processing
    ) -> CaseResult:
        batch = int(image.stem) // self.batch_size
        self.wait_for(
            lambda: self.started > min(batch + 1, self.batches - 1), "the network waits for writers"
        )
        result = analyse(image, segmentation, model, processing)
        self.watch("results", result)
        self.record(self.written, image.stem)
        return result


def numbered(folder: Path, count: int, photo: Photo, save: Save) -> list[Path]:
    return [save(folder / f"{number:03d}.png", photo(number, 9, 9)) for number in range(count)]


@pytest.mark.parametrize("batch_size", [1, 12])
def test_while_the_network_works_the_next_batch_is_read_and_the_last_is_written(
    tmp_path: Path,
    photo: Photo,
    save: Save,
    red_model: MakeModel,
    monkeypatch: pytest.MonkeyPatch,
    batch_size: int,
) -> None:
    count = 5 * batch_size - batch_size // 2
    model = red_model()
    stage = Stage(monkeypatch, model, count, batch_size)
    photos = numbered(tmp_path / "photos", count, photo, save)
    rows = list(predict_files(photos, model, Output(tmp_path / "out"), batch_size=batch_size))
    assert [row.status for row in rows] == ["done"] * count
    assert (stage.started, stage.written.total()) == (5, count)


@pytest.mark.parametrize("count", [30, 120])
def test_memory_does_not_grow_with_the_number_of_files(
    tmp_path: Path,
    photo: Photo,
    save: Save,
    red_model: MakeModel,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
) -> None:
    batch_size, model = 3, red_model()
    stage = Stage(monkeypatch, model, count, batch_size)
    photos = numbered(tmp_path / "photos", count, photo, save)
    for _ in predict_files(photos, model, Output(tmp_path / "out"), batch_size=batch_size):
        pass
    helpers = helper_count(torch.get_num_threads())
    assert 0 < stage.most["whole images"] <= helpers
    assert 0 < stage.most["results"] <= helpers
    # read and waiting; with the network, and those before them; answered and waiting
    assert 0 < stage.most["small images"] <= 4 * batch_size + 2 * helpers
    assert sum(map(stage.alive, stage.watched)) == 0


@pytest.mark.parametrize(("write", "count"), [((), 1), (("contours",), 1), (("overlay", "nnunet"), 2)])
def test_a_large_image_is_decoded_again_once_if_outputs_need_it_and_a_small_one_never(
    tmp_path: Path,
    photo: Photo,
    save: Save,
    red_model: MakeModel,
    monkeypatch: pytest.MonkeyPatch,
    write: tuple[str, ...],
    count: int,
) -> None:
    decoded = []

    def decode(image: Image.Image, name: str) -> ImageRows:
        decoded.append(name)
        return rgb_rows(image, name)

    monkeypatch.setattr(case_image, "rgb_rows", decode)
    path = save(tmp_path / "a.png", photo(0, 40, 56))
    for limit, expected in ((40 * 56, 1), (40 * 56 - 1, count)):
        monkeypatch.setattr(case_image, "KEPT_PIXELS", limit)
        decoded.clear()
        (row,) = predict_files([path], red_model(), Output(tmp_path / "out", write))
        assert (row.status, len(decoded)) == ("done", expected)


class Broken(Writer):
    """Fails in the method of its name."""

    def write(self, result: CaseResult) -> None:
        if "write" in self.output.write and result.image.stem == "p1":
            raise ZeroDivisionError("no space")

    def close(self) -> None:
        if "close" in self.output.write:
            raise UserError("the disk is full")


@pytest.fixture
def broken_writers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adds the outputs ``write`` and ``close``, which fail there."""
    broken = f"{__name__}:Broken"
    monkeypatch.setattr(writers, "WRITERS", {**writers.WRITERS, "write": broken, "close": broken})
    monkeypatch.setattr(
        writers, "resolve_name", lambda name: Broken if name == broken else resolve_name(name)
    )


def test_an_output_that_fails_costs_no_mask_and_no_other_output(
    tmp_path: Path, photos: list[Path], red_model: MakeModel, broken_writers: None
) -> None:
    out = Output(tmp_path / "out", ("write", "overlay", "coco"))
    rows = list(predict_files(photos[:3], red_model(), out))
    assert [row.status for row in rows] == ["done", "incomplete", "done"]
    assert rows[1].error == "write: ZeroDivisionError: no space"
    assert rows[1].measures is not None
    assert all_files(out.masks) == ["p0.png", "p1.png", "p2.png"]
    assert all_files(out.folder / "overlays") == ["p0.jpg", "p1.jpg", "p2.jpg"]
    assert len(json.loads((out.folder / "coco.json").read_text())["images"]) == 3
    with out.table_path.open(newline="") as file:
        assert [(line["status"], line["error"]) for line in csv.DictReader(file)] == [
            (row.status, row.error) for row in rows
        ]


def test_an_output_of_all_images_that_fails_is_reported_after_the_table(
    tmp_path: Path, photos: list[Path], red_model: MakeModel, broken_writers: None
) -> None:
    faults: list[str] = []
    out = Output(tmp_path / "out", ("close", "coco"))
    rows = list(predict_files(photos[:2], red_model(), out, warn=faults.append))
    assert [row.status for row in rows] == ["done", "done"]
    assert faults == ["close: the disk is full"]
    assert {"masks", "coco.json", "predictions.csv"} <= set(all_files(out.folder))


@pytest.mark.parametrize("name", sorted(set(writers.WRITERS) - {"dicom-seg"}))
def test_no_error_of_any_writer_costs_a_mask(
    tmp_path: Path, photos: list[Path], red_model: MakeModel, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    writer = resolve_name(writers.WRITERS[name])
    for method, error in (("write", MemoryError()), ("add_row", OSError("full")), ("close", TypeError("x"))):

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        faults: list[str] = []
        out = Output(tmp_path / method, (name, "contours"))
        with monkeypatch.context() as patch:
            patch.setattr(writer, method, fail)
            rows = list(predict_files(photos[:2], red_model(), out, warn=faults.append))
        assert all_files(out.masks) == ["p0.png", "p1.png"]
        assert out.table_path.is_file()
        reported = [row.error for row in rows if row.status == "incomplete"] + faults
        assert all(text.startswith(f"{name}: ") for text in reported)
        assert len(reported) == {"write": 2, "add_row": 3, "close": 1}[method]
        if method != "write":
            assert not any((out.folder / file).exists() for file in writer.run_files)


def test_an_overlay_has_no_metadata_of_the_image_file(
    tmp_path: Path, photo: Photo, save: Save, red_model: MakeModel
) -> None:
    path = save(tmp_path / "a.jpg", photo(0), comment=b"a patient's name")
    with Image.open(path) as image:
        assert image.info["comment"] == b"a patient's name"
    out = Output(tmp_path / "out", ("overlay",))
    list(predict_files([path], red_model(), out))
    with Image.open(out.folder / "overlays" / "a.jpg") as image:
        assert "comment" not in image.info


def test_an_output_that_cannot_be_written_stops_and_leaves_no_table(
    tmp_path: Path, photos: list[Path], red_model: MakeModel
) -> None:
    out = Output(tmp_path / "out")
    out.folder.mkdir()
    out.masks.touch()
    with pytest.raises(StoppedError, match=r"masks is a file, not a folder; choose another folder"):
        list(predict_files(photos, red_model(), out))
    assert all_files(out.folder) == [JOURNAL, "masks"]


@pytest.mark.parametrize(
    ("folder", "write"),
    [
        ("masks", ()),
        ("probabilities", ("probability",)),
        ("overlays", ("overlay",)),
        ("nnunet/imagesTs", ("nnunet",)),
        ("review", ("review",)),
    ],
)
def test_no_image_is_overwritten(
    tmp_path: Path, photo: Photo, save: Save, red_model: MakeModel, folder: str, write: tuple[str, ...]
) -> None:
    path = save(tmp_path / folder / "a.png", photo(0))
    before = path.read_bytes()
    with pytest.raises(UserError, match="choose another output folder"):
        list(predict_files([path], red_model(), Output(tmp_path / "x" / "..", write)))
    assert path.read_bytes() == before


def test_numbers_out_of_range_are_reported_before_anything_is_written(
    tmp_path: Path, photos: list[Path], red_model: MakeModel
) -> None:
    with pytest.raises(UserError, match="batch size 0 is out of range"):
        list(predict_files(photos, red_model(), Output(tmp_path / "out"), batch_size=0))
    assert not (tmp_path / "out").exists()


def test_damaged_files_of_every_kind_fail_alone(
    tmp_path: Path, photo: Photo, save: Save, dicom: Callable[..., bytes], red_model: MakeModel
) -> None:
    folder = tmp_path / "in"
    good = save(folder / "good.png", photo(0))
    whole = dicom(photo(1))
    rows = b"\x28\0\x10\0US\x02\0\x28\0"
    (folder / "twice.dcm").write_bytes(whole.replace(rows, rows[:6] + b"\x04\0" + rows[8:] + b"\x28\0"))
    damaged = {
        "representation.dcm": whole.replace(rows, rows[:4] + b"XX" + rows[6:]),
        "syntax.dcm": whole.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0"),
        "short.dcm": whole[:-900],
        "cut.png": good.read_bytes()[:100],
        "program.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n",
        "empty.tif": b"",
        "blank.bmp": save(tmp_path / "blank.bmp", np.zeros((9, 9, 3), np.uint8)).read_bytes(),
    }
    for name, data in damaged.items():
        (folder / name).write_bytes(data)
    long = folder / f"{'x' * 251}.jpg"
    good.rename(long)
    found = list(predict_files(find_images(folder).images, red_model(), Output(tmp_path / "out")))
    assert {row.image for row in found if row.failed} == damaged.keys()
    assert {row.image for row in found if row.status == "done"} == {"twice.dcm", long.name}
    assert all(row.image in row.error and "; " in row.error for row in found if row.failed)
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 2


class BrokenOnRed(StandIn):
    """Give NaN in the first pixel of images whose first pixel is red, otherwise zeros, or NaN in samples."""

    def segment(self, image: Tensor, sampling: SamplingConfig) -> Segmentation:
        probability = torch.zeros_like(image[:, :1])
        probability[image[:, 0, 0, 0] > 0.9, 0, 0, 0] = float("nan")
        if not sampling.samples:
            return Segmentation(probability, torch.zeros_like(probability))
        samples = probability.expand(sampling.samples, *probability.shape)
        return Segmentation(probability.nan_to_num(), torch.zeros_like(probability), samples)


@pytest.mark.parametrize("samples", [0, 3])
def test_output_that_is_not_finite_fails_its_own_image_only(
    tmp_path: Path, save: Save, red_model: MakeModel, samples: int
) -> None:
    colours = [(0, 0, 0), (255, 0, 0), (9, 0, 0)]
    images = []
    for number, colour in enumerate(colours):
        pixels = np.full((16, 16, 3), 90, np.uint8)
        pixels[:8] = colour
        images.append(save(tmp_path / f"{number}.png", pixels))
    model = red_model(samples=samples, segmenter=BrokenOnRed())
    rows = list(predict_files(images, model, Output(tmp_path / "out")))
    assert [row.status for row in rows] == ["done", "failed", "done"]
    assert rows[1].error.startswith("1.png: the network's output is not finite (NaN or Inf)")
    assert all_files(tmp_path / "out" / "masks") == ["0.png", "2.png"]
    with pytest.raises(UserError, match=r"1\.png: the network's output is not finite .*; use other weights"):
        segment_with(model, images[1])


def segment_with(model: Model, path: Path) -> CaseResult:
    image = case_image.read_image(path, model.size)
    (found,) = model.segment([image.network_input], lambda _: None)
    return analyse(image, found, model)
