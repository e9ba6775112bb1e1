"""The images of a job, received into files."""

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import Request
from starlette.datastructures import UploadFile

from mlffm_segdiff.files.atomic import NO_SPACE
from mlffm_segdiff.serve.admission import busy
from mlffm_segdiff.serve.job import Job
from mlffm_segdiff.serve.limits import Limits
from mlffm_segdiff.serve.problem import TOO_LARGE, UNSUPPORTED, UNUSABLE, RefusedError
from mlffm_segdiff.serve.upload import (
    FIELD_BYTES,
    FORM,
    MAX_FIELDS,
    UPLOAD_SECONDS,
    CompleteParser,
    base_name,
    limited,
    refusing_broken,
    renewing,
    require_once,
    too_slow,
)

IMAGE_FIELD = "image"
FULL_SECONDS = 60
"""After which a disk that is full may have space again."""


async def read_job_upload(request: Request, job: Job, limits: Limits) -> dict[str, str]:
    """Write the images of a form into the files of a job, and return the other fields.

    Args:
        request: A form with images in fields `IMAGE_FIELD`.
        job: Job that the images belong to.
        limits: Limits of the number and size of the images.

    Raises:
        RefusedError: The body is of another type, broken, too large or too slow, or cannot be written.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM:
        hint = f"send {FORM} with images in fields {IMAGE_FIELD!r}: -F image=@FILE -F image=@FILE"
        raise RefusedError(UNSUPPORTED, f"a body of type {kind or 'none'!r} is not supported", hint)
    try:
        with refusing_broken():
            async with asyncio.timeout(UPLOAD_SECONDS) as limit:
                take = renewing(limit, UPLOAD_SECONDS, job.receive)
                body = limited(request, limits.job_bytes, take, "--max-job-mb")
                parser = _ToFiles(
                    request.headers,
                    body,
                    max_files=math.inf,  # `most` is the limit
                    max_fields=MAX_FIELDS,
                    max_part_size=FIELD_BYTES,
                )
                parser.job, parser.most = job, limits.job_images
                with _refusing_unwritable(job):
                    form = await parser.parse()
    except TimeoutError:
        raise too_slow(UPLOAD_SECONDS) from None
    fields = [(key, value) for key, value in form.multi_items() if isinstance(value, str)]
    require_once(key for key, _ in fields)
    return dict(fields)


@contextmanager
def _refusing_unwritable(job: Job) -> Iterator[None]:
    """Refuse files that cannot be written, with status 503: the disk is full, or the server is stopping."""
    try:
        yield
    except OSError as error:
        job.require_wanted()
        if error.errno in NO_SPACE:
            raise busy("no space is left in TMPDIR", FULL_SECONDS) from None
        raise


class _ToFiles(CompleteParser):
    job: Job
    most: int

    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        part = self._current_part
        if part.file is None:
            return
        part.file.file.close()
        if part.field_name != IMAGE_FIELD:
            detail = f"unexpected file in the field {part.field_name!r}"
            raise RefusedError(UNUSABLE, detail, f"send all images in fields {IMAGE_FIELD!r}")
        if len(self.job.images) >= self.most:
            hint = "send them in several jobs, or start the server with --max-job-images"
            raise RefusedError(TOO_LARGE, f"the form has more than {self.most} images", hint)
        file = self.job.new_file(base_name(part.file.filename or ""))
        self._files_to_close_on_error.append(file)  # type: ignore[arg-type]
        part.file = _WrittenFile(file)


class _WrittenFile(UploadFile):
    """A file that is closed when all of it was received, where the parser goes to its start."""

    async def seek(self, offset: int) -> None:
        del offset
        await self.close()
