import functools
import http.server
import io
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.reading.image_lists import list_text
from mlffm_segdiff.inference.reading.image_source import case_name, read_source
from mlffm_segdiff.inference.reading.listing import list_place
from mlffm_segdiff.inference.reading.remote import RemoteFile, is_url, list_url, read_url

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # aiohttp's


@pytest.fixture
def bucket() -> Iterator[str]:
    system = fsspec.filesystem("memory")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("in/x.png", "top #1?.png", "y.txt", "__MACOSX/in/._x.png", ".hidden.png"):
            archive.writestr(name, name.encode())
    files = {"a.png": b"A", "b.JPG": b"B", ".hidden.png": b"", "in/c.png": b"C", "d.zip": packed.getvalue()}
    for name, data in files.items():
        system.pipe(f"/bucket/{name}", data)
    yield "memory://bucket"
    system.rm("/bucket", recursive=True)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A web server on this machine, with an image and an archive."""
    (tmp_path / "a.png").write_bytes(b"A" * 6_000_000)  # over one block of fsspec's
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.writestr("in/x.png", b"X")
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def names(urls: list[str]) -> list[str]:
    return [url.rpartition("bucket/")[2] for url in urls]


def test_urls_are_distinguished_from_paths() -> None:
    assert [is_url(text) for text in ("s3://b/x", "photos/a.png", "C:\\photos")] == [True, False, False]


def test_a_file_elsewhere_is_one_and_is_read(bucket: str) -> None:
    assert list_url(f"{bucket}/a.png", "x") == ([f"{bucket}/a.png"], True)
    assert read_url(f"{bucket}/a.png", "x", 9) == b"A"


def test_a_folder_elsewhere_gives_its_own_files(bucket: str) -> None:
    urls, single = list_url(bucket, "x")
    assert (names(urls), single) == (["a.png", "b.JPG", "d.zip"], False)
    assert [read_url(url, "x", 9) for url in urls[:2]] == [b"A", b"B"]


def test_a_pattern_elsewhere_gives_what_it_matches(bucket: str) -> None:
    urls, single = list_url(f"{bucket}/**/*.png", "x")
    assert (names(urls), single) == (["a.png", "in/c.png"], False)
    assert [read_url(url, "x", 9) for url in urls] == [b"A", b"C"]


def test_an_archive_elsewhere_gives_the_files_in_it(bucket: str) -> None:
    urls, single = list_url(f"{bucket}/d.zip", "x")
    members = ["in/x.png", "top #1?.png", "y.txt"]
    assert (urls, single) == ([f"zip://{name}::{bucket}/d.zip" for name in members], False)
    images = list_place(f"{bucket}/d.zip").images
    assert [read_source(image).decode() for image in images] == members[:2]
    assert [case_name(image) for image in images] == ["x", "top #1_"]


def test_an_objects_name_may_have_what_ends_a_web_address(bucket: str) -> None:
    system = fsspec.filesystem("memory")
    for name in ("in/a#1.png", "in/a?2.png", "b#1.zip"):
        system.pipe(f"/bucket/{name}", system.cat("/bucket/d.zip") if "zip" in name else name.encode())
    images = [image for image in list_place(f"{bucket}/in").images if image.name != "c.png"]
    assert [str(image) for image in images] == ["memory:///bucket/in/a#1.png", "memory:///bucket/in/a?2.png"]
    assert [read_source(image) for image in images] == [b"in/a#1.png", b"in/a?2.png"]
    assert len(list_place(f"{bucket}/b#1.zip").images) == 2


def test_only_the_requested_bytes_are_read(web: str, bucket: str) -> None:
    assert len(read_url(f"{web}/a.png", "x", 10)) == 10
    assert len(read_url(f"{bucket}/d.zip", "x", 10)) == 10


def test_the_web_is_read_also_with_a_query(web: str, tmp_path: Path) -> None:
    url = f"{web}/a.png?token=1"
    assert list_url(url, "x") == ([url], True)
    assert read_url(url, "x", 7_000_000) == b"A" * 6_000_000
    (tmp_path / "list.txt").write_text("a.png\n" * 100_000)
    found = list_text(RemoteFile(f"{web}/list.txt?token=1/2"))[0]
    assert found == [RemoteFile(f"{web}/a.png")] * 100_000
    with pytest.raises(UserError, match=r"x cannot be read \(.*range requests"):
        list_url(f"{web}/d.zip", "x")  # Python's server sends only whole files


@pytest.mark.parametrize("place", ["{web}/absent.png", "{bucket}/absent.png", "{bucket}/absent.zip"])
def test_a_missing_file_is_reported_by_the_given_name(web: str, bucket: str, place: str) -> None:
    with pytest.raises(UserError, match=r"my image cannot be read \(nothing is there\); check the address"):
        list_url(place.format(web=web, bucket=bucket), "my image")


def test_unknown_schemes_and_missing_packages_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"x cannot be read \(Protocol not known: odd\)"):
        list_url("odd://a/b.png", "x")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(UserError, match=r"s3fs.*\[remote\]"):
        list_url("s3://never-asked-for/b.png", "x")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(UserError, match=r"fsspec is not installed.*\[remote\]"):
        read_url("s3://b/a.png", "x", 9)


def test_a_shard_elsewhere_gives_its_images_by_ranges(bucket: str) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, data in {"2.png": b"two", "1.png": b"one", "1.json": b"{}", "1.mask.png": b"mask"}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    system = fsspec.filesystem("memory")
    for name in ("s1.tar", "s2.tar"):
        system.pipe(f"/bucket/{name}", packed.getvalue())
    found = list_place(f"{bucket}/s1.tar")
    assert ([read_source(one) for one in found.images], [one.name for one in found.others]) == (
        [b"one", b"two"],
        ["1.json", "1.mask.png"],
    )
    assert len(list_place(f"{bucket}/*.tar").images) == 4


def test_a_list_elsewhere_names_files_next_to_it(bucket: str) -> None:
    fsspec.filesystem("memory").pipe("/bucket/list.txt", b"a.png\nin/c.png\n")
    assert [read_source(one) for one in list_place(f"{bucket}/list.txt").images] == [b"A", b"C"]
