import io
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import MAX_BYTES
from mlffm_segdiff.data.image_formats import striping_bytes
from mlffm_segdiff.inference.reading import packed
from mlffm_segdiff.inference.reading.case_image import find_images, read_image
from mlffm_segdiff.inference.reading.packed import TarMember, list_parquet
from mlffm_segdiff.inference.reading.remote import MAX_REMOTE_BYTES, RemoteFile


@pytest.fixture
def png() -> bytes:
    """An image of 40 x 56 pixels with noise."""
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 56, 3), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def tar(tmp_path: Path, png: bytes) -> Path:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("a.png")
        info.size = len(png)
        archive.addfile(info, io.BytesIO(png))
    return tmp_path / "a.tar"


def write_table(path: Path, images: list[bytes], rows: int = 100) -> Path:
    table = pyarrow.table({"image": [{"bytes": image, "path": "x"} for image in images]})
    parquet.write_table(table, path, row_group_size=rows)
    return path


def test_a_member_of_a_tar_file_waits_for_the_memory_of_file_and_image(
    tar: Path, png: bytes, asked: list[int]
) -> None:
    (member,) = find_images(tar).images
    assert read_image(member, 16).width == 56
    assert asked == [len(png) + 4 * 40 * 56 + striping_bytes(56, 40)]


@pytest.mark.parametrize(
    ("archive", "most", "limit"),
    [
        (Path("a.tar"), MAX_BYTES, "1024 MiB"),
        (RemoteFile("memory://a.tar"), MAX_REMOTE_BYTES, "64 MiB"),
    ],
)
def test_a_member_of_a_tar_file_may_be_as_large_as_a_file(
    archive: Path | RemoteFile, most: int, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TarMember, "first_bytes", lambda _, count: b"x" * (count == most))
    assert TarMember(archive, "a.png", 512, most).read() == b"x"
    with pytest.raises(UserError, match=rf"a\.tar:a\.png is over {limit}; save it as PNG"):
        TarMember(archive, "a.png", 512, most + 1).read()


def test_a_row_group_with_too_many_bytes_is_refused_by_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [np.random.default_rng(number).bytes(10_000) for number in range(6)]
    monkeypatch.setattr(packed, "MAX_BYTES", 35_000)
    assert len(list_parquet(write_table(tmp_path / "three.parquet", images, 3))[0]) == 6
    with pytest.raises(UserError, match=r"six\.parquet has over .* of images in a row group; write it"):
        list_parquet(write_table(tmp_path / "six.parquet", images, 6))


@pytest.mark.parametrize("struct", [True, False])
def test_an_image_that_a_table_has_once_for_many_rows_is_once_in_memory(tmp_path: Path, struct: bool) -> None:
    image = np.random.default_rng(0).bytes(100_000)
    value = {"bytes": image} if struct else image
    parquet.write_table(pyarrow.table({"image": [value] * 2_000}), tmp_path / "a.parquet")
    before = pyarrow.total_allocated_bytes()
    rows, _ = list_parquet(tmp_path / "a.parquet")
    assert rows[1_999].read() == image
    assert pyarrow.total_allocated_bytes() - before < 2_000_000


def test_threads_read_a_row_group_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [bytes([number]) for number in range(16)]
    rows, _ = list_parquet(write_table(tmp_path / "a.parquet", images, 8))
    read, together = [], threading.Barrier(8)
    whole = parquet.ParquetFile.read_row_group

    def count(file: parquet.ParquetFile, group: int, columns: list[str]) -> pyarrow.Table:
        read.append(group)
        return whole(file, group, columns)

    def start(row: packed.ParquetImage) -> bytes:
        together.wait(20)
        return row.read()

    monkeypatch.setattr(parquet.ParquetFile, "read_row_group", count)
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(start, rows)) == images
    assert sorted(read) == [0, 1]


def test_rows_of_a_table_with_a_dot_in_its_name_have_different_results(tmp_path: Path, png: bytes) -> None:
    write_table(tmp_path / "HAM.2018.parquet", [png, png])
    images = find_images(tmp_path / "HAM.2018.parquet").images
    assert [read_image(image, 16).stem for image in images] == ["HAM.2018-000000000", "HAM.2018-000000001"]


def test_a_table_that_was_written_again_is_read_again(tmp_path: Path) -> None:
    for content in (b"first", b"second"):
        (row,) = list_parquet(write_table(tmp_path / "a.parquet", [content]))[0]
        assert row.read() == content
