"""`predict` writes what the command writes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlffm_segdiff import PostProcessing, Segmenter, UserError, predict

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two images of a dark disc on light skin, and a file that is not an image."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rows, columns = np.mgrid[:96, :128]
    for name, radius in (("small", 20), ("large", 35)):
        lesion = (rows - 48) ** 2 + (columns - 64) ** 2 < radius**2
        pixels = np.where(lesion[..., None], (110, 60, 50), (220, 180, 160)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    (folder / "torn.png").write_bytes(b"\x89PNG")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def test_the_files_are_those_of_the_command(tmp_path: Path, photos: Path, command: Command) -> None:
    found = predict(photos, tmp_path / "ours", write=["contours", "Overlay"], sampling={"mirror": True})
    options = ("-w", "contours", "-w", "overlay", "sampling.mirror=true")
    status, _, _ = command("predict", photos, "-o", tmp_path / "theirs", *options)
    assert status == 1  # one file is not an image
    ours, theirs = files(tmp_path / "ours"), files(tmp_path / "theirs")
    assert {"masks/small.png", "masks/large.png", "predictions.csv"} < set(ours)
    assert ours == theirs
    assert found.counts == {"done": 2, "failed": 1}
    assert found.table == tmp_path / "ours" / "predictions.csv"
    (error,) = found.errors
    assert "torn.png" in error


def test_several_places_and_a_loaded_segmenter(tmp_path: Path, photos: Path) -> None:
    segmenter = Segmenter.from_pretrained("default")
    places = [photos / "small.png", str(photos / "large.png")]
    found = predict(places, tmp_path / "out", segmenter, write="overlay")
    assert (found.counts, found.errors) == ({"done": 2}, ())
    mask = np.asarray(Image.open(tmp_path / "out" / "masks" / "large.png")) > 0
    assert (mask == segmenter.segment(photos / "large.png").mask).all()
    assert {path.name for path in (tmp_path / "out" / "overlays").iterdir()} == {"small.jpg", "large.jpg"}


def test_numbers_may_be_numpys(tmp_path: Path, photos: Path) -> None:
    """They are written as JSON into the folder's journal."""
    found = predict(
        photos / "small.png",
        tmp_path,
        threshold=np.float32(0.5),
        mm_per_pixel=np.float32(0.02),
        level=np.float32(0.9),
        batch_size=np.int64(2),
        refuse_outliers=np.False_,
        post=PostProcessing(largest=np.True_),
    )
    assert (found.counts, found.errors) == ({"done": 1}, ())


@pytest.mark.parametrize("value", ["no", 1, None])
def test_a_step_is_true_or_false(value: object) -> None:
    with pytest.raises(UserError, match=rf"largest {value!r} is neither True nor False"):
        PostProcessing(largest=value)


@pytest.mark.parametrize(
    ("images", "says"),
    [
        ([], "no images are given; give an image, a folder"),
        (None, "images is None; give a path, or a list"),
        (["a.png", 5], "images has a int, not a path; give paths, or use segment for images in memory"),
        (np.zeros((4, 4, 3), np.uint8), "images has a ndarray, not a path"),
        ("", "a path is empty"),
    ],
)
def test_no_images_are_refused_and_earlier_results_stay(
    images: object, says: str, tmp_path: Path, photos: Path
) -> None:
    predict(photos / "small.png", tmp_path, write="overlay")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=says):
        predict(images, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"write": ["overlais"]}, "'overlais' is not an output; choose from probability, "),
        ({"maps": "tiff"}, "maps='tiff' is an unknown format; choose one of png, npy"),
        ({"table": "xlsx"}, "table='xlsx' is an unknown format; choose one of csv, parquet"),
        ({"batch_size": 0}, "batch size 0 is out of range"),
        ({"write": 5}, "write is 5; give names of outputs"),
        ({"write": ["overlay", 3]}, r"write is \['overlay', 3\]; give names of outputs"),
        ({"post": "largest"}, "post 'largest' is not a PostProcessing"),
        ({"sampling": {"tta": True}}, "unknown sampling key 'tta'"),
    ],
)
def test_bad_options_write_nothing(
    options: dict[str, object], says: str, tmp_path: Path, photos: Path
) -> None:
    with pytest.raises(UserError, match=says):
        predict(photos, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
