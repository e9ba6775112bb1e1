"""A second run into the folder of an earlier one, and what it keeps with skip_existing."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from folder_content import folder_content
from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.files.atomic import PART
from mlffm_segdiff.inference.analysis import Processing
from mlffm_segdiff.inference.model import Model, load_model
from mlffm_segdiff.inference.outputs.journal import JOURNAL
from mlffm_segdiff.inference.outputs.predictions import Row
from mlffm_segdiff.inference.outputs.writers import Output
from mlffm_segdiff.inference.predict import predict_files

Photo = Callable[..., npt.NDArray[np.uint8]]
Save = Callable[..., Path]
Run = Callable[..., tuple[list[Row], int]]
ALL = ("probability", "overlay", "contours", "coco", "nnunet", "review")


@pytest.fixture
def photos(tmp_path: Path, photo: Photo, save: Save) -> list[Path]:
    return [save(tmp_path / "in" / f"p{seed}.png", photo(seed, 40, 50 + seed)) for seed in range(5)]


@pytest.fixture
def model(tiny_weights: Path) -> Model:
    return load_model(tiny_weights)


@pytest.fixture
def run(
    tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[list[Row], int]]:
    """Run run(images, folder, write=(), **options); returns the rows and how many images were segmented."""
    counted: list[int] = []
    real = Model.segment

    def count(model: Model, inputs: Sequence[object], view: object) -> object:
        counted.append(sum(bool(np.any(one)) for one in inputs))  # the others hold a place
        return real(model, inputs, view)

    monkeypatch.setattr(Model, "segment", count)

    def call(
        images: Sequence[Path], name: str = "out", write: tuple[str, ...] = (), **options: object
    ) -> tuple[list[Row], int]:
        counted.clear()
        rows = list(predict_files(images, model, Output(tmp_path / name, write), batch_size=2, **options))
        return rows, sum(counted)

    return call


def test_a_rerun_leaves_nothing_of_the_earlier_run_and_all_files_of_the_user(
    tmp_path: Path, photos: list[Path], run: Run
) -> None:
    out = tmp_path / "out"
    run(photos, write=ALL)
    mine = {"notes.txt": b"mine", "masks/mine.png": b"m", "overlays/p9.jpg": b"o", "more/a.csv": b"c"}
    for name, data in mine.items():
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_bytes(data)
    run(photos[1:2], write=("contours",), processing=Processing(0.9))
    run(photos[1:2], "new", write=("contours",), processing=Processing(0.9))
    expected = folder_content(tmp_path / "new") | mine | {"overlays": b"", "more": b""}
    assert folder_content(out) == expected


def test_a_resumed_run_keeps_intervals_and_makes_those_of_another_level_again(
    tmp_path: Path, photos: list[Path], model: Model, calibrated: Callable[..., Model]
) -> None:
    def rows(level: float) -> tuple[list[Row], bytes]:
        how = Processing(level=level)
        output = Output(tmp_path / "out", ("contours",))
        found = predict_files(photos, calibrated(model), output, how, skip_existing=True)
        return list(found), output.table_path.read_bytes()

    first = rows(0.9)
    assert [row.intervals.interval_level for row in first[0]] == 5 * [0.9]
    assert rows(0.9) == first
    assert [row.intervals.interval_level for row in rows(0.8)[0]] == 5 * [0.8]


@pytest.mark.parametrize("name", ["masks/p3.png", "predictions.csv", "coco.json", "overlays/p0.jpg"])
def test_a_file_of_the_users_is_not_overwritten(
    tmp_path: Path, photos: list[Path], run: Run, name: str
) -> None:
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    with pytest.raises(UserError, match=rf"{path.name} exists, but no earlier run wrote it; move it, or"):
        run(photos, write=("overlay", "coco"))
    assert [data for data in folder_content(tmp_path / "out").values() if data] == [b"mine"]


@pytest.mark.parametrize("foreign", [b"", b"{}\n", b"not a journal", b'{"settings": "", "files": 3}\n'])
def test_with_a_journal_that_cannot_be_read_the_run_refuses(
    tmp_path: Path, photos: list[Path], run: Run, foreign: bytes
) -> None:
    run(photos)
    (tmp_path / "out" / JOURNAL).write_bytes(foreign)
    before = folder_content(tmp_path / "out")
    with pytest.raises(UserError, match="no earlier run wrote it"):
        run(photos)
    assert folder_content(tmp_path / "out") == before


def test_a_journal_from_somebody_else_removes_nothing_outside(
    tmp_path: Path, photos: list[Path], run: Run
) -> None:
    victims = [tmp_path / "victim", tmp_path / "out" / "sub" / ".." / ".." / "other"]
    (tmp_path / "out" / "sub").mkdir(parents=True)
    for victim in victims:
        victim.write_text("keep")
    files = ["../victim", str(victims[0]), "sub/../../other", "absent/x", "a" * 300]
    (tmp_path / "out" / JOURNAL).write_text(json.dumps({"settings": "", "files": files}) + "\n")
    run(photos[:1])
    assert [victim.read_text() for victim in victims] == ["keep", "keep"]


def test_two_runs_into_one_folder_at_once_are_refused(
    tmp_path: Path, photos: list[Path], model: Model, run: Run
) -> None:
    stream = predict_files(photos, model, Output(tmp_path / "out"))
    next(stream)
    with pytest.raises(
        UserError, match=r"another command is using .*out; wait for it, stop it, or choose another folder"
    ):
        run(photos[:1])
    assert len(list(stream)) == len(photos) - 1
    run(photos[:1])


def test_with_skip_existing_a_finished_folder_stays_as_it_is(
    tmp_path: Path, photos: list[Path], run: Run
) -> None:
    rows, segmented = run(photos, write=ALL)
    assert segmented == 5
    before = folder_content(tmp_path / "out")
    again, segmented = run(photos, write=ALL, skip_existing=True)
    assert (again, segmented) == (rows, 0)
    assert folder_content(tmp_path / "out") == before


def change_image(photos: list[Path], out: Path) -> None:
    Image.open(photos[1]).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(photos[1])


def edit_mask(photos: list[Path], out: Path) -> None:
    Image.open(out / "masks" / "p1.png").point(lambda value: 255 - value).save(out / "masks" / "p1.png")


def remove_overlay(photos: list[Path], out: Path) -> None:
    (out / "overlays" / "p1.jpg").unlink()


def break_image(photos: list[Path], out: Path) -> None:
    photos[1].write_bytes(b"broken")


def remove_image(photos: list[Path], out: Path) -> None:
    photos.pop(1)


def add_image(photos: list[Path], out: Path) -> None:
    new = photos[0].with_name("p00.png")
    Image.open(photos[0]).rotate(180).save(new)
    photos.insert(1, new)


def remove_table(photos: list[Path], out: Path) -> None:
    (out / "predictions.csv").unlink()


def damage_record(photos: list[Path], out: Path) -> None:
    lines = (out / JOURNAL).read_bytes().splitlines(keepends=True)
    (out / JOURNAL).write_bytes(b"".join([*lines[:2], b'{"row": {}}\n', *lines[3:]]))


def cut_journal(photos: list[Path], out: Path) -> None:
    (out / JOURNAL).write_bytes((out / JOURNAL).read_bytes()[:-9])


@pytest.mark.parametrize(
    ("change", "segmented"),
    [
        (change_image, 1),
        (edit_mask, 1),
        (remove_overlay, 1),
        (break_image, 0),
        (remove_image, 0),
        (add_image, 1),
        (remove_table, 0),
        (damage_record, 1),
        (cut_journal, 1),
    ],
)
def test_with_skip_existing_only_what_changed_is_done_again_and_all_is_as_of_one_run(
    tmp_path: Path,
    photos: list[Path],
    run: Run,
    change: Callable[[list[Path], Path], None],
    segmented: int,
) -> None:
    run(photos, write=ALL)
    change(photos, tmp_path / "out")
    rows, found = run(photos, write=ALL, skip_existing=True)
    assert found == segmented
    assert run(photos, "new", write=ALL)[0] == rows
    assert folder_content(tmp_path / "out") == folder_content(tmp_path / "new")


def test_with_skip_existing_other_settings_or_weights_start_again(
    tmp_path: Path, photos: list[Path], run: Run, model: Model, tiny_weights: Path
) -> None:
    run(photos)
    for options in ({"processing": Processing(0.4)}, {"write": ("contours",)}, {}):
        assert run(photos, skip_existing=True, **options)[1] == 5
        assert run(photos, skip_existing=True, **options)[1] == 0
    other = load_model(tiny_weights, sampling={"seed": 1})
    out = Output(tmp_path / "out")
    list(predict_files(photos, other, out, skip_existing=True, batch_size=2))
    list(predict_files(photos, other, Output(tmp_path / "new"), batch_size=2))
    assert folder_content(out.folder) == folder_content(tmp_path / "new")
    assert run(photos, skip_existing=True)[1] == 5


def test_with_skip_existing_what_failed_is_tried_again(tmp_path: Path, photos: list[Path], run: Run) -> None:
    good = photos[1].read_bytes()
    photos[1].write_bytes(b"broken")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "overlays").write_text("in the way")
    rows, _ = run(photos, write=("overlay",))
    assert [row.status for row in rows] == ["incomplete", "failed", *["incomplete"] * 3]
    photos[1].write_bytes(good)
    (tmp_path / "out" / "overlays").unlink()
    rows, segmented = run(photos, write=("overlay",), skip_existing=True)
    assert ({row.status for row in rows}, segmented) == ({"done"}, 5)
    run(photos, "new", write=("overlay",))
    assert folder_content(tmp_path / "out") == folder_content(tmp_path / "new")


def test_weights_that_are_from_no_file_are_not_trusted(
    tmp_path: Path, photos: list[Path], red_model: Callable[..., Model]
) -> None:
    model, out = red_model(), Output(tmp_path / "out")
    list(predict_files(photos, model, out))
    (out.masks / "p0.png").write_bytes(b"old")
    list(predict_files(photos, model, out, skip_existing=True))
    assert (out.masks / "p0.png").read_bytes() != b"old"


@pytest.mark.parametrize("skip_existing", [False, True])
def test_a_run_that_is_stopped_leaves_no_table_of_the_earlier_one(
    tmp_path: Path, photos: list[Path], model: Model, run: Run, skip_existing: bool
) -> None:
    run(photos, write=("coco", "review"))
    before = folder_content(tmp_path / "out")
    Image.open(photos[2]).rotate(180).save(photos[2])
    output = Output(tmp_path / "out", ("coco", "review"))
    stream = predict_files(photos, model, output, batch_size=2, skip_existing=skip_existing)
    next(stream)
    assert not {"predictions.csv", "coco.json", "review.html"} & set(folder_content(tmp_path / "out"))
    stream.close()
    assert not any(PART in name for name in folder_content(tmp_path / "out"))
    run(photos, write=("coco", "review"), skip_existing=True)
    run(photos, "new", write=("coco", "review"))
    assert folder_content(tmp_path / "out") == folder_content(tmp_path / "new") != before
