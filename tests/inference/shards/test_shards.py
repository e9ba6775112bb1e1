"""Shards made in this process: their bytes, their content, and what a second run keeps."""

import csv
import io
import json
import shutil
import sys
import tarfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from folder_content import file_content
from PIL import Image
from pyarrow import parquet

from mlffm_segdiff import segment
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.image_formats import reported
from mlffm_segdiff.inference.model import load_model
from mlffm_segdiff.inference.outputs.writers import TableFormat
from mlffm_segdiff.inference.reading.listing import list_place
from mlffm_segdiff.inference.shards import make
from mlffm_segdiff.inference.shards.job import LocalEngine, predict_shards
from mlffm_segdiff.inference.shards.plan import ShardOptions


@pytest.fixture
def photos(tmp_path: Path, photo: Any, save: Any) -> Path:
    """Seven images, the third of which is damaged, the fifth empty and the last one of one colour."""
    folder = tmp_path / "photos"
    for number in range(7):
        save(folder / f"{number}.png", photo(number, 40 + number, 56))
    whole = (folder / "2.png").read_bytes()
    (folder / "2.png").write_bytes(whole[: len(whole) // 2])
    (folder / "4.png").write_bytes(b"")
    save(folder / "6.png", np.zeros((40, 56, 3), np.uint8))
    return folder


@pytest.fixture
def run(tiny_weights: Path, tmp_path: Path) -> Callable[..., Path]:
    """Make shards of three images: run(place, name of the output folder, format); returns the folder."""

    def call(
        place: Path, name: str = "out", kind: Any = "tar", table: TableFormat = "csv", **options: Any
    ) -> Path:
        shards = ShardOptions(tmp_path / name, kind, **({"size": 3, "batch_size": 2} | options))
        engine = LocalEngine(load_model(tiny_weights))
        predict_shards(list_place(place).images, engine, shards, table, progress=print)
        return tmp_path / name

    return call


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_masks_are_those_of_segment_and_bad_images_are_rows(
    run: Callable[..., Path], photos: Path, tiny_weights: Path
) -> None:
    out = run(photos)
    rows = table(out)
    assert [row["status"] for row in rows] == ["done", "done", "failed", "done", "failed", "done", "failed"]
    for number, row in enumerate(rows):
        path = photos / f"{number}.png"
        assert (row["source"], row["sha256"]) == (str(path), sha256(path.read_bytes()).hexdigest())
        with tarfile.open(out / "shards" / row["shard"]) as tar:
            names = [name for name in tar.getnames() if name.startswith(f"{number:09}.")]
            if row["status"] == "failed":
                assert names == [f"{number:09}.json"]
                assert row["error"].startswith(str(path))
                continue
            assert names == [f"{number:09}.{ending}" for ending in ("json", "geojson", "mask.png")]
            mask, contours, values = (tar.extractfile(name).read() for name in reversed(names))
        (found,) = segment([path], tiny_weights)
        with Image.open(io.BytesIO(mask)) as image:
            np.testing.assert_array_equal(np.array(image) > 0, found.mask)
        area = sum(one["properties"]["area"] for one in json.loads(contours)["features"])
        assert area == json.loads(values)["area"] == int(row["area"]) == found.mask.sum()


def test_the_manifest_lists_every_shard_with_its_digest(run: Callable[..., Path], photos: Path) -> None:
    out = run(photos)
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    counts = [(line["images"], line["failed"], line["refused"]) for line in lines]
    assert counts == [(3, 1, 0), (3, 1, 0), (1, 1, 0)]
    shards = {path.name: path.read_bytes() for path in (out / "shards").iterdir()}
    assert {line["shard"]: line["sha256"] for line in lines} == {
        name: sha256(data).hexdigest() for name, data in shards.items()
    }


def test_parquet_shards_hold_the_same_as_tar_shards(run: Callable[..., Path], photos: Path) -> None:
    tar, columns = run(photos, "tar"), run(photos, "parquet", "parquet")
    rows = [
        row for path in sorted((columns / "shards").iterdir()) for row in parquet.read_table(path).to_pylist()
    ]
    members = {}
    for path in (tar / "shards").iterdir():
        with tarfile.open(path) as file:
            members |= {one.name: file.extractfile(one).read() for one in file}
    for row in rows:
        key = row.pop("key")
        mask, contours = row.pop("mask"), row.pop("contours")
        assert mask == members.get(f"{key:09}.mask.png")
        assert contours == (members[f"{key:09}.geojson"].decode() if mask else None)
        assert row == json.loads(members[f"{key:09}.json"])
    assert [row["image"] for row in rows] == [f"{number}.png" for number in range(7)]


@pytest.mark.parametrize("kind", ["tar", "parquet"])
def test_a_finished_shard_is_kept_and_an_unfinished_one_is_made_again_with_the_same_bytes(
    run: Callable[..., Path], photos: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = run(photos, kind=kind)
    before = file_content(out)
    first, second, third = sorted((out / "shards").iterdir())
    kept = first.stat().st_mtime_ns
    second.unlink()
    third.write_bytes(third.read_bytes()[:700])
    (out / "manifest.jsonl").unlink()
    read: list[str] = []
    original = make.read_unless_found
    monkeypatch.setattr(
        make,
        "read_unless_found",
        lambda source, *a, **k: (read.append(source.name), original(source, *a, **k))[1],
    )
    run(photos, kind=kind)
    assert file_content(out) == before
    assert first.stat().st_mtime_ns == kept
    assert sorted(read) == ["3.png", "4.png", "5.png", "6.png"]


def test_a_killed_run_leaves_no_shard(
    run: Callable[..., Path], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = file_content(run(photos, "whole"))
    original = make.mask_png
    calls = []

    def killed(mask: Any) -> bytes:
        calls.append(mask)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(mask)

    with monkeypatch.context() as patch:
        patch.setattr(make, "mask_png", killed)
        with pytest.raises(KeyboardInterrupt):
            run(photos)
    assert len(list((photos.parent / "out" / "shards").iterdir())) == 1
    assert file_content(run(photos)) == whole


def test_an_image_that_changed_is_segmented_again(
    run: Callable[..., Path], photos: Path, save: Any, photo: Any
) -> None:
    out = run(photos)
    names = {path.name for path in (out / "shards").iterdir()}
    save(photos / "6.png", photo(9))
    assert table(run(photos))[6]["status"] == "done"
    assert {path.name for path in (out / "shards").iterdir()} == names


def test_shards_of_other_settings_are_removed_when_the_new_ones_are_complete(
    run: Callable[..., Path], photos: Path
) -> None:
    run(photos, size=2)
    (photos.parent / "out" / "shards" / "mine.txt").write_text("stays")
    assert {**file_content(run(photos)), "shards/mine.txt": b""} == {
        **file_content(run(photos, "new")),
        "shards/mine.txt": b"",
    }
    assert (photos.parent / "out" / "shards" / "mine.txt").read_text() == "stays"


@pytest.mark.parametrize("name", ["predictions.csv", "predictions.parquet", "manifest.jsonl"])
def test_results_of_somebody_else_are_not_overwritten(
    run: Callable[..., Path], photos: Path, name: str
) -> None:
    """A folder named shards does not make them those of a job."""
    (photos.parent / "out" / "shards").mkdir(parents=True)
    (photos.parent / "out" / name).write_text("mine")
    with pytest.raises(UserError, match="no earlier run wrote it"):
        run(photos, table="parquet" if name.endswith("parquet") else "csv")
    assert (photos.parent / "out" / name).read_text() == "mine"


def test_a_table_of_an_earlier_job_in_the_other_format_is_removed_but_not_that_of_somebody_else(
    run: Callable[..., Path], photos: Path
) -> None:
    def tables() -> list[str]:
        return sorted(path.name for path in (photos.parent / "out").glob("predictions.*"))

    run(photos)
    run(photos, table="parquet")
    assert tables() == ["predictions.parquet"]
    run(photos)
    assert tables() == ["predictions.csv"]
    (photos.parent / "out" / "predictions.parquet").write_text("mine")
    run(photos)
    assert tables() == ["predictions.csv", "predictions.parquet"]


@pytest.mark.parametrize("where", ["kind", "table"])
def test_parquet_without_pyarrow_is_reported_before_the_work(
    run: Callable[..., Path], photos: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match="pyarrow is not installed"):
        run(photos, **{where: "parquet"})
    assert not (photos.parent / "out").exists()


def test_lists_tar_files_and_parquet_tables_give_the_masks_of_the_folder(
    run: Callable[..., Path], photos: Path, tmp_path: Path
) -> None:
    """The table differs only in the sources and names."""
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    paths = sorted(photos.iterdir())
    (inputs / "list.txt").write_text("".join(f"../photos/{path.name}\n" for path in paths))
    (inputs / "list.csv").write_text("id,path\n" + "".join(f"1,{path}\n" for path in paths))
    with tarfile.open(inputs / "a.tar", "w") as tar:
        for path in paths:
            tar.add(path, f"in/{path.name}")
            tar.add(path, f"in/{path.stem}.mask.png")
    parquet.write_table(
        pyarrow.table({"image": [{"bytes": path.read_bytes(), "path": path.name} for path in paths]}),
        inputs / "a.parquet",
        row_group_size=3,
    )
    wanted = table(run(photos, "folder"))
    for name in ("list.txt", "list.csv", "a.tar", "a.parquet"):
        found = table(run(inputs / name, name))
        for row, other in zip(found, wanted, strict=True):
            for column in ("sha256", "status", "area", "certainty", "width"):
                assert row[column] == other[column], (name, column)


def test_the_path_of_the_images_is_part_of_the_bytes_but_not_that_of_the_output(
    run: Callable[..., Path], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job with relative paths gives the same shards on another machine."""
    shutil.copytree(photos, tmp_path / "there" / "photos")
    monkeypatch.chdir(tmp_path)
    here = file_content(run(Path("photos"), "here"))
    monkeypatch.chdir(tmp_path / "there")
    assert file_content(run(Path("photos"), "other")) == here


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "id,mask\n1,2\n", "has none of the columns image, path, .*; add one"),
        ("a.txt", "\n", "no images in"),
        ("a.tar", "no tar", "is not an uncompressed tar file"),
        ("a.parquet", "no table", "cannot be read as a Parquet table"),
    ],
)
def test_lists_and_shards_that_cannot_be_read_are_reported(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        list_place(tmp_path / name)


def test_a_file_of_a_list_that_is_missing_is_a_row(run: Callable[..., Path], photos: Path) -> None:
    (photos.parent / "list.txt").write_text("photos/0.png\nphotos/none.png\n")
    statuses = [row["status"] for row in table(run(photos.parent / "list.txt"))]
    assert statuses == ["done", "failed"]


def test_weights_without_a_file_are_refused(red_model: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="shards need weights from a file or the hub"):
        predict_shards([tmp_path / "a.png"], LocalEngine(red_model()), ShardOptions(tmp_path / "out"))


@pytest.mark.parametrize("error", [OSError("the network is down"), MemoryError()], ids=["reading", "memory"])
def test_what_failed_for_reasons_outside_of_the_image_is_made_again(
    run: Callable[..., Path], photos: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """An image that is damaged itself is not: its shard is finished."""
    read, fails = make.read_unless_found, True

    def fail_once(source: Path, size: int, keep: bool, find: Callable[[bytes], None]) -> Any:
        if fails and source.name == "1.png":
            if isinstance(error, MemoryError):
                find(source.read_bytes())
            with reported(source.name):
                raise error
        return read(source, size, keep, find)

    monkeypatch.setattr(make, "read_unless_found", fail_once)
    out = run(photos)
    first = table(out)
    assert (first[1]["status"], first[1]["sha256"]) == ("failed", "")
    damaged = out / "shards" / first[4]["shard"]
    written, fails = damaged.stat().st_mtime_ns, False
    assert table(run(photos))[1]["status"] == "done"
    assert damaged.stat().st_mtime_ns == written
