"""Remote files by URL: s3, gs, https and all other protocols of fsspec."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Self
from urllib.parse import unquote, urlsplit

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.extra import needs_extra, pip_line

MAX_REMOTE_BYTES = 2**26
WEB = ("http", "https")
HINT = "check the address, the network and your permissions"


@dataclass(frozen=True)
class RemoteFile:
    """A file by its URL, as fsspec opens it; `zip://MEMBER::URL` is a member of a remote archive."""

    url: str

    @property
    def name(self) -> str:
        """The file's name without folders."""
        link = self.url.split("::")[0]
        path = unquote(urlsplit(link).path) if _is_web(link) else link.partition("://")[2]
        return PurePosixPath(path or self.url).name

    def __str__(self) -> str:
        """The URL without user and query of the web, which may hold a password or a signature."""
        inside, chain, link = self.url.rpartition("::")
        scheme, mark, place = (re.split("[?#]", link)[0] if _is_web(link) else link).partition("://")
        host, slash, path = place.partition("/")
        return f"{inside}{chain}{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}"

    def neighbour(self, place: str) -> Self:
        """Return the file at a path that starts at the folder of this one."""
        link, chain, behind = self.url.partition("::")
        folder = (re.split("[?#]", link)[0] if _is_web(link) else link).rpartition("/")[0]
        return type(self)(f"{folder}/{place}{chain}{behind}")


def is_url(text: str) -> bool:
    """Return whether a text is a URL rather than a path."""
    return "://" in text


def _is_web(url: str) -> bool:
    return url.partition("://")[0].lower() in WEB


def read_url(url: str, name: str, most: int) -> bytes:
    """Return at most `most` bytes of the file at a URL; `name` names it in errors. Raises UserError."""
    with _open_url(url, name, stream=True) as file:
        data = bytearray()
        while part := file.read(most - len(data)):  # a stream may return less than was asked for
            data += part
        return bytes(data)


def read_range(url: str, name: str, start: int, size: int) -> bytes:
    """Return `size` bytes of the file at a URL from `start`; `name` names it in errors. Raises UserError."""
    with _reported(name):
        system, path = _fsspec().core.url_to_fs(url)
        data: bytes = system.cat_file(path, start, start + size)
        return data


@contextmanager
def open_file(file: Path | RemoteFile, stream: bool = False) -> Iterator[IO[bytes]]:
    """Open a file here or elsewhere.

    Args:
        file: Remote file to be read in the block.
        stream: It is read once, from start to end, for which a web server need not send ranges.

    Raises:
        UserError: A file elsewhere cannot be read.
        OSError: A file here cannot be read.
    """
    with file.open("rb") if isinstance(file, Path) else _open_url(file.url, str(file), stream) as opened:
        yield opened


@contextmanager
def _open_url(url: str, name: str, stream: bool) -> Iterator[IO[bytes]]:
    whole = {"block_size": 0} if stream and _is_web(url) else {}
    with _reported(name), _fsspec().open(url, "rb", **whole) as file:
        yield file


def list_url(url: str, name: str) -> tuple[list[str], bool]:
    """List the files at a URL.

    Args:
        url: URL of a file, a folder (the files directly in it), a zip archive (all files in it), or a pattern
            with ``*``, ``?`` or ``[``. On the web, where folders cannot be listed, only ``*`` makes a
            pattern.
        name: Name in errors.

    Returns:
        URLs, sorted, and whether ``url`` is a single file.

    Raises:
        UserError: It cannot be listed.
    """
    core = _fsspec().core
    with _reported(name):
        if PurePosixPath(RemoteFile(url).name).suffix.lower() == ".zip" and "::" not in url:
            archive, _ = core.url_to_fs(f"zip://::{url}")
            return [
                f"zip://{member}::{url}" for member in sorted(archive.find("")) if _visible(member)
            ], False
        system, path = core.url_to_fs(url)
        if any(mark in path for mark in ("*" if _is_web(url) else "*?[")):
            return _urls(system, url, system.glob(path, detail=True).values()), False
        if system.info(path)["type"] == "directory":
            return _urls(system, url, system.ls(path, detail=True)), False
        return [url], True


def _urls(system: Any, url: str, found: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the URLs of the files; the archive behind a chained URL is kept."""
    _, chain, behind = url.partition("::")
    paths = sorted(one["name"] for one in found if one["type"] != "directory" and _visible(one["name"]))
    return [f"{system.unstrip_protocol(path)}{chain}{behind}" for path in paths]


def _visible(path: str) -> bool:
    return not PurePosixPath(path).name.startswith(".") and "__MACOSX" not in path


def _fsspec() -> Any:
    with needs_extra("remote"):
        import fsspec
    return fsspec


@contextmanager
def _reported(name: str) -> Iterator[None]:
    """Turn every error of a remote file system into a UserError that names the file."""
    try:
        yield
    except UserError:
        raise
    except ImportError as error:
        extra = f"run: {pip_line('remote')}"
        raise UserError(f"{name} cannot be read ({error}); {extra}") from error
    except Exception as error:  # each file system raises its own types
        fault = str(error) if not isinstance(error, FileNotFoundError) else "nothing is there"
        raise UserError(f"{name} cannot be read ({fault or type(error).__name__}); {HINT}") from error
