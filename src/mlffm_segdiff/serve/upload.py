"""The files of a request, read into memory and never written to disk."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from mlffm_segdiff.serve.problem import BAD_REQUEST, TIMEOUT, TOO_LARGE, UNSUPPORTED, UNUSABLE, RefusedError
from mlffm_segdiff.serve.upload_memory import HeldUpload

FORM = "multipart/form-data"
UPLOAD_SECONDS = 60.0
PROGRESS_BYTES = 2**22
"""A long transfer is not slow if this many bytes pass in the time for the whole of a short one."""
MAX_FIELDS = 32
MAX_FILES = 8
UNNAMED = "image"
FIELD_BYTES = 4096


@dataclass(frozen=True)
class File:
    """An uploaded file: the client's name for it without folders, or UNNAMED, and its bytes."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Upload:
    """Files by the name of their form field (``image`` if the body is the file), and the other fields."""

    files: dict[str, File]
    fields: dict[str, str]

    def only(self, *names: str) -> list[File]:
        """Return the files of these fields. Raises RefusedError if one is missing, or there are others."""
        for name in names:
            if name not in self.files:
                raise RefusedError(UNUSABLE, f"no file in the field {name!r}", f"send one: -F {name}=@FILE")
        for other in self.files.keys() - set(names):
            hint = f"send files only as {' and '.join(names)}, one request per image"
            raise RefusedError(UNUSABLE, f"unexpected file in the field {other!r}", hint)
        return [self.files[name] for name in names]


class CompleteParser(MultiPartParser):
    """A parser that refuses a form without its end, or in another encoding than UTF-8."""

    ended = False

    def on_part_begin(self) -> None:
        """Check the encoding, which the form may choose. Raises MultiPartException."""
        if self._charset != "utf-8":
            raise MultiPartException("its charset is not UTF-8.")
        super().on_part_begin()

    def on_end(self) -> None:
        """Note the end."""
        self.ended = True

    async def parse(self) -> FormData:
        """Parse the form. Raises MultiPartException."""
        self.stream = self._with_end(self.stream)
        return await super().parse()

    async def _with_end(self, stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """Yield the stream; the parser closes its files if this raises."""
        async for piece in stream:
            yield piece
        if not self.ended:
            raise MultiPartException("its end is missing.")


class _InMemory(CompleteParser):
    spool_max_size = 2**63 - 1


async def read_upload(
    request: Request, name: str, most: int, held: HeldUpload, seconds: float = UPLOAD_SECONDS
) -> Upload:
    """Read a request: a form with files, or one file as its body.

    Args:
        request: Request to read.
        name: File name, for a body that is one file.
        most: Largest body in bytes.
        held: Share of the memory of uploads that the request holds.
        seconds: Longest time for PROGRESS_BYTES, in seconds.

    Raises:
        RefusedError: The body is of another type, broken, too large, or too slow.
    """
    try:
        with refusing_broken():
            async with asyncio.timeout(seconds) as limit:
                held.on_give_up = lambda: limit.reschedule(0)
                take = renewing(limit, seconds, held.take)
                upload = await _read(request, name, limited(request, most, take, "--max-mb"))
                held.complete = True
                return upload
    except TimeoutError:
        held.take(0)  # raises if its memory went to others
        raise too_slow(seconds) from None


def renewing(limit: asyncio.Timeout, seconds: float, take: Callable[[int], None]) -> Callable[[int], None]:
    """Return a `take` for `limited` that renews a time limit whenever PROGRESS_BYTES more have arrived."""
    loop, read = asyncio.get_running_loop(), 0

    def take_and_renew(count: int) -> None:
        nonlocal read
        take(count)
        if read // PROGRESS_BYTES != (read + count) // PROGRESS_BYTES:
            limit.reschedule(loop.time() + seconds)
        read += count

    return take_and_renew


def too_slow(seconds: float) -> RefusedError:
    """Return the refusal of an upload that stopped, or sent less than PROGRESS_BYTES in some seconds."""
    detail = f"the upload took more than {seconds:g} seconds for {PROGRESS_BYTES / 2**20:g} MiB"
    return RefusedError(TIMEOUT, detail, "send a smaller file, or use a faster connection")


@contextmanager
def refusing_broken() -> Iterator[None]:
    """Refuse a form that is broken, or was cut off, with status 400."""
    try:
        yield
    except MultiPartException as error:
        raise RefusedError(BAD_REQUEST, f"broken form: {error.message}", "send it as curl -F does") from None
    except ClientDisconnect:
        raise RefusedError(BAD_REQUEST, "the upload was cut off", "send it again") from None


async def limited(
    request: Request, most: int, take: Callable[[int], None], option: str
) -> AsyncGenerator[bytes, None]:
    """Yield the pieces of a body.

    Args:
        request: Request with the body.
        most: Largest body in bytes.
        take: Called with the number of bytes of each piece.
        option: Option of `serve` that sets `most`, for the error.

    Raises:
        RefusedError: The body, or the length in its header, is too large.
    """
    detail = f"the request is larger than {most / 2**20:g} MiB"
    refusal = RefusedError(TOO_LARGE, detail, f"send a smaller file, or start the server with {option}")
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > most:
        raise refusal
    read = 0
    async for piece in request.stream():
        read += len(piece)
        if read > most:
            raise refusal
        take(len(piece))
        yield piece


async def _read(request: Request, name: str, body: AsyncGenerator[bytes, None]) -> Upload:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == FORM:
        return await _read_form(request, body)
    if kind.startswith("image/") or kind in ("application/dicom", "application/octet-stream"):
        return Upload({"image": File(base_name(name), b"".join([piece async for piece in body]))}, {})
    hint = f"send {FORM} with a file in the field 'image', or the file itself as image/* or application/dicom"
    raise RefusedError(UNSUPPORTED, f"a body of type {kind or 'none'!r} is not supported", hint)


async def _read_form(request: Request, body: AsyncGenerator[bytes, None]) -> Upload:
    parser = _InMemory(
        request.headers,
        body,
        max_files=MAX_FILES,
        max_fields=MAX_FIELDS,
        max_part_size=FIELD_BYTES,
    )
    form = await parser.parse()
    try:
        require_once(key for key, _ in form.multi_items())
        files = {
            key: File(base_name(value.filename or ""), await value.read())
            for key, value in form.items()
            if isinstance(value, UploadFile)
        }
        fields = {key: value for key, value in form.items() if isinstance(value, str)}
    finally:
        await form.close()
    return Upload(files, fields)


def require_once(names: Iterable[str]) -> None:
    """Raise RefusedError (422) if one of the names, of fields or parameters, is repeated."""
    for name, count in Counter(names).items():
        if count > 1:
            detail = f"{name!r} is given {count} times"
            raise RefusedError(UNUSABLE, detail, "give each field once, and send one request per image")


def base_name(name: str) -> str:
    """Return a file name without folders, of POSIX or Windows; UNNAMED if it is empty or a folder's."""
    base = name.replace("\\", "/").rpartition("/")[2]
    return UNNAMED if base in ("", ".", "..") else base
