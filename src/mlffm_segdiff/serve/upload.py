"""The files of a request, read into memory and never written to disk."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from mlffm_segdiff.serve.problem import BAD_REQUEST, TIMEOUT, TOO_LARGE, UNSUPPORTED, UNUSABLE, RefusedError

FORM = "multipart/form-data"
UPLOAD_SECONDS = 60.0
MOST_FIELDS = 32
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

    def file(self, field: str) -> File:
        """Return the file of a field. Raises RefusedError if it is missing."""
        if field not in self.files:
            raise RefusedError(UNUSABLE, f"no file in the field {field!r}", f"send one: -F {field}=@FILE")
        return self.files[field]


class _InMemory(MultiPartParser):
    spool_max_size = 2**63 - 1


async def read_upload(request: Request, name: str, most: int, seconds: float = UPLOAD_SECONDS) -> Upload:
    """Read a request: a form with files, or one file as its body.

    Args:
        request: To read.
        name: Of the file, if it is the body.
        most: Largest number of bytes.
        seconds: Longest time.

    Raises:
        RefusedError: The body is of another type, broken, too large, or too slow.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _read(request, name, _limited(request, most))
    except TimeoutError:
        hint = "send a smaller file, or use a faster connection"
        raise RefusedError(TIMEOUT, f"the upload took more than {seconds:g} seconds", hint) from None
    except MultiPartException as error:
        raise RefusedError(BAD_REQUEST, f"broken form: {error.message}", "send it as curl -F does") from None
    except ClientDisconnect:
        raise RefusedError(BAD_REQUEST, "the upload was cut off", "send it again") from None


async def _limited(request: Request, most: int) -> AsyncGenerator[bytes, None]:
    """Yield the pieces of a body. Raises RefusedError if it, or the length in its header, is too large."""
    detail = f"the request is larger than {most / 2**20:g} MiB"
    refusal = RefusedError(TOO_LARGE, detail, "send a smaller file, or start the server with --max-mb")
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > most:
        raise refusal
    read = 0
    async for piece in request.stream():
        read += len(piece)
        if read > most:
            raise refusal
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
        max_files=2,
        max_fields=MOST_FIELDS,
        max_part_size=FIELD_BYTES,
    )
    files, fields = {}, {}
    for key, value in (await parser.parse()).multi_items():
        if isinstance(value, UploadFile):
            files[key] = File(base_name(value.filename or ""), await value.read())
            await value.close()
        else:
            fields[key] = value
    return Upload(files, fields)


def base_name(name: str) -> str:
    """Return a file name without folders, of POSIX or Windows; UNNAMED if it is empty."""
    return name.replace("\\", "/").rpartition("/")[2] or UNNAMED
