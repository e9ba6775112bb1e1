"""Files elsewhere, by URL: s3, gs, https and whatever else fsspec knows."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.extra import needs_extra

WEB = ("http", "https")
MEND = "check the address, the network and your rights"


def is_url(text: str) -> bool:
    """Whether a text is a URL and no path."""
    return "://" in text


def read_url(url: str, name: str, most: int) -> bytes:
    """Return at most `most` bytes of the file at a URL; `name` names it in errors. Raises UserError."""
    fsspec = _fsspec()
    whole = {"block_size": 0} if urlsplit(url).scheme in WEB else {}  # not every server sends parts
    with _told(name), fsspec.open(url, "rb", **whole) as file:
        data = bytearray()
        while part := file.read(most - len(data)):  # a stream gives what has come
            data += part
        return bytes(data)


def list_url(url: str, name: str) -> tuple[list[str], bool]:
    """Return the URLs of the files that a URL names, sorted, and whether it names but one.

    It names a file, a folder (the files directly in it), a zip archive (all files in it) or, with * ? or [,
    a pattern; on the web, where folders cannot be listed, a pattern has *. Raises UserError.
    """
    core = _fsspec().core
    with _told(name):
        if PurePosixPath(urlsplit(url).path).suffix.lower() == ".zip" and "::" not in url:
            archive, _ = core.url_to_fs(f"zip://::{url}")
            return [f"zip://{member}::{url}" for member in sorted(archive.find("")) if _shown(member)], False
        system, path = core.url_to_fs(url)
        if any(mark in path for mark in ("*" if urlsplit(url).scheme in WEB else "*?[")):
            return _urls(system, url, system.glob(path, detail=True).values()), False
        if system.info(path)["type"] == "directory":
            return _urls(system, url, system.ls(path, detail=True)), False
        return [url], True


def _urls(system: Any, url: str, found: Iterable[Mapping[str, Any]]) -> list[str]:
    """URLs of what was found, less folders; of a chained URL, what comes behind stays."""
    _, chain, behind = url.partition("::")
    paths = sorted(one["name"] for one in found if one["type"] != "directory" and _shown(one["name"]))
    return [f"{system.unstrip_protocol(path)}{chain}{behind}" for path in paths]


def _shown(path: str) -> bool:
    return not PurePosixPath(path).name.startswith(".") and "__MACOSX" not in path


def _fsspec() -> Any:
    with needs_extra("remote"):
        import fsspec
    return fsspec


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Raise UserError naming the file for whatever a file system elsewhere raises."""
    try:
        yield
    except ImportError as error:
        extra = "run in the project's folder: pip install -c constraints.txt '.[remote]'"
        raise UserError(f"{name} cannot be read ({error}); {extra}") from error
    except Exception as error:  # each file system has its own kinds
        fault = str(error) if not isinstance(error, FileNotFoundError) else "nothing is there"
        raise UserError(f"{name} cannot be read ({fault or type(error).__name__}); {MEND}") from error
