from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pandas
import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.reading.image_lists import list_csv, list_text
from mlffm_segdiff.inference.reading.remote import MAX_REMOTE_BYTES, RemoteFile

NAMES = ["a.png", "L\u00e4sion 1.jpg", "La\u0308sion 2.jpg", "b;c,d.png"]
"""The third in Unicode's decomposed form, as macOS writes names."""


@pytest.fixture
def bucket() -> Iterator[Callable[[str, bytes], RemoteFile]]:
    system = fsspec.filesystem("memory")

    def put(name: str, data: bytes) -> RemoteFile:
        system.pipe(f"/lists/{name}", data)
        return RemoteFile(f"memory://lists/{name}")

    yield put
    if system.exists("/lists"):
        system.rm("/lists", recursive=True)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_text_list_has_a_path_a_line(tmp_path: Path, encoding: str, end: str) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(end.join([NAMES[0], "", f" {NAMES[1]} ", NAMES[2], "s3://b/x.png"]).encode(encoding))
    images = [*(tmp_path / name for name in NAMES[:3]), RemoteFile("s3://b/x.png")]
    assert list_text(path) == (images, ())


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_table_of_pandas_is_a_list_by_any_separator(tmp_path: Path, separator: str, encoding: str) -> None:
    path = tmp_path / "list.csv"
    frame = pandas.DataFrame({"Patient": "anna", "Image": NAMES, "note": "x\ny"})
    frame.to_csv(path, sep=separator, encoding=encoding, index=False)
    assert list_csv(path)[0] == [tmp_path / name for name in NAMES]


def test_a_table_has_its_images_in_the_first_known_column_without_the_guard_of_formulas(
    tmp_path: Path,
) -> None:
    path = tmp_path / "list.csv"
    path.write_text("url,IMAGE\nx,'=a.png\n\ny,b.png\nz\n")
    assert list_csv(path)[0] == [tmp_path / "=a.png", tmp_path / "b.png"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"image\n" + b"x" * 140_000 + b"\n", r"list\.csv is not CSV \(field larger"),
        (b"mask\na.png\n", r"list\.csv has none of the columns image, path, .*; add one"),
        (b"image\na.png\nL\xe4sion.png\n", r"list\.csv is not UTF-8 .*; save it as UTF-8"),
    ],
)
@pytest.mark.parametrize("remote", [False, True])
def test_a_table_that_cannot_be_used_is_a_user_error(
    tmp_path: Path, bucket: Callable[[str, bytes], RemoteFile], data: bytes, message: str, remote: bool
) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(data)
    with pytest.raises(UserError, match=message):
        list_csv(bucket("list.csv", data) if remote else path)


@pytest.mark.parametrize("name", ["list.txt", "list.csv"])
def test_a_list_elsewhere_is_read_to_its_end_also_above_the_size_of_the_largest_image(
    bucket: Callable[[str, bytes], RemoteFile], name: str
) -> None:
    line = f"{'x' * 1000}.png"
    count = MAX_REMOTE_BYTES // 1000
    file = bucket(name, b"image\n" * name.endswith("csv") + f"{line}\n".encode() * count)
    images, _ = (list_text if name.endswith("txt") else list_csv)(file)
    assert (len(images), images[-1]) == (count, RemoteFile(f"memory://lists/{line}"))


def test_the_files_of_a_list_elsewhere_are_next_to_it() -> None:
    listed = RemoteFile("https://host/in/list.txt?token=a/b#c")
    assert listed.neighbour("d/e.png") == RemoteFile("https://host/in/d/e.png")
    assert RemoteFile("zip://list.txt::s3://b/a.zip").neighbour("e.png") == RemoteFile(
        "zip://e.png::s3://b/a.zip"
    )
