import asyncio
import tempfile
from collections.abc import Callable

import numpy as np
import pytest
from fastapi.testclient import TestClient
from starlette.requests import Request

from mlffm_segdiff.serve.problem import RefusedError
from mlffm_segdiff.serve.upload import UNNAMED, base_name, read_upload
from mlffm_segdiff.serve.upload_memory import UploadMemory


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("a.png", "a.png"),
        ("C:\\x\\a.png", "a.png"),
        ("../../etc/a b.png", "a b.png"),
        ("", UNNAMED),
        ("x/", UNNAMED),
        (".", UNNAMED),
        ("x\\..", UNNAMED),
        ("...", "..."),
    ],
)
def test_a_name_has_no_folders(said: str, name: str) -> None:
    assert base_name(said) == name


def test_an_upload_that_does_not_come_is_given_up() -> None:
    async def never() -> dict[str, object]:
        await asyncio.Event().wait()
        return {}

    async def scene() -> None:
        headers = [(b"content-type", b"image/png")]
        request = Request({"type": "http", "headers": headers}, never)
        with UploadMemory(100, lambda: 1).upload() as held:
            await read_upload(request, "a.png", 100, held, seconds=0.01)

    with pytest.raises(RefusedError) as refused:
        asyncio.run(scene())
    assert refused.value.status == 408


class HandClock(asyncio.SelectorEventLoop):
    """An event loop whose time is `now`."""

    now = 0.0

    def time(self) -> float:
        return self.now


@pytest.mark.parametrize(("pieces", "whole"), [(3, True), (4, False)])
def test_a_long_upload_has_its_time_for_each_4_mib(pieces: int, whole: bool) -> None:
    """Each piece of an upload of 16 MiB takes 0.3 s; 1 s is enough for 4 MiB in three, but not in four."""
    sent = 0

    async def receive() -> dict[str, object]:
        nonlocal sent
        sent += 1
        loop.now += 0.3
        for _ in range(2):
            await asyncio.sleep(0)  # a limit that has passed is noticed
        return {"type": "http.request", "body": b"x" * (2**22 // pieces + 1), "more_body": sent < 4 * pieces}

    async def scene() -> int:
        headers = [(b"content-type", b"image/png")]
        request = Request({"type": "http", "headers": headers}, receive)
        with UploadMemory(2**25, lambda: 1).upload() as held:
            upload = await read_upload(request, "a.png", 2**25, held, seconds=1)
            return len(upload.files["image"].data)

    with asyncio.Runner(loop_factory=HandClock) as runner:
        loop = runner.get_loop()
        if whole:
            assert runner.run(scene()) > 2**24
        else:
            with pytest.raises(RefusedError, match="1 seconds for 4 MiB") as refused:
                runner.run(scene())
            assert refused.value.status == 408


def test_a_large_image_is_never_written_to_disk(
    serve: Callable[..., TestClient], png: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a file was made")

    content = png(np.random.default_rng(0).integers(0, 256, (900, 900, 3), dtype=np.uint8))
    assert len(content) > 2**21  # Starlette's own limit is 2**20
    client = serve()
    for kind in ("TemporaryFile", "NamedTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, kind, refuse)
    answer = client.post("/api/v1/segment", files={"image": ("noise.png", content)})
    assert answer.status_code == 200


@pytest.mark.parametrize("route", ["segment", "batches"])
@pytest.mark.parametrize("charset", ["unicode_escape", "utf-7", "undefined", "no-such-charset", "latin-1"])
def test_a_form_in_another_encoding_is_refused(
    serve: Callable[..., TestClient], charset: str, route: str
) -> None:
    r"""unicode_escape makes a half of a surrogate pair of \ud800, which no file can be named."""
    form = (
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="\\ud800.png"\r\n\r\nx\r\n--x--\r\n'
    )
    client = serve()

    def post(charset: str) -> tuple[int, str]:
        headers = {"Content-Type": f"multipart/form-data; boundary=x; charset={charset}"}
        answer = client.post(f"/api/v1/{route}", content=form, headers=headers)
        return answer.status_code, answer.json().get("detail", "")

    assert post(charset) == (400, "broken form: its charset is not UTF-8.")
    assert post("UTF8")[0] in (202, 415)
