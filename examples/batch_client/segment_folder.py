"""Send the images of a folder to a running `mlffm-segdiff serve`, and save the results as a ZIP file.

    mlffm-segdiff serve --port 8000
    python segment_folder.py photos results.zip --server http://127.0.0.1:8000

Options of the API follow as NAME=VALUE: threshold=0.4 outputs=overlay,coco. An API key is taken from the
variable SEGDIFF_API_KEY. It needs only Python's standard library; docs/API.md has the API.
"""

import argparse
import json
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from urllib.parse import urlencode, urlsplit

ROUTE = "/api/v1/batches"
IMAGE = re.compile(r".*\.(avif|bmp|dcm|dicom|gif|heic|heif|jfif|jpe|jpe?g|png|tiff?|webp)", re.IGNORECASE)
PIECE_BYTES = 2**16
SECONDS = 120
RETRIES = 10


class Server:
    """A running server.

    Args:
        address: Such as http://127.0.0.1:8000.
        key: Its API key; empty if it needs none.
    """

    def __init__(self, address: str, key: str = "") -> None:
        parts = urlsplit(address)
        self._connect = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._host, self._path = parts.netloc, parts.path.rstrip("/")
        self._headers = {"X-API-Key": key} if key else {}

    def request(
        self, method: str, path: str, body: Iterator[bytes] | None = None, **headers: str
    ) -> HTTPResponse:
        """Return the response to a request; exit with the server's message if it is refused."""
        connection = self._connect(self._host, timeout=SECONDS)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, self._path + path, body, self._headers | named)
        response = connection.getresponse()
        if response.status >= 400:
            try:
                problem = json.loads(response.read())
                reason = f"{problem['detail']}; {problem['hint']}"
            except (ValueError, KeyError, TypeError):  # of a proxy
                reason = response.reason
            sys.exit(f"error: {response.status}: {reason}")
        return response


def form_pieces(images: list[Path], boundary: str) -> Iterator[bytes]:
    """Yield a form with images piece by piece, so that memory does not grow with their size."""
    for path in images:
        name = path.name.replace("\\", "\\\\").replace('"', "%22")
        yield (
            f"--{boundary}\r\n"
            f'Content-Disposition: form-data; name="image"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        with path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def events(server: Server, url: str) -> Iterator[tuple[str, dict]]:
    """Yield the name and data of each server-sent event, and connect again where the stream was cut off."""
    last = 0
    for wait in range(RETRIES):
        try:
            name, response = "", server.request("GET", f"{url}/events", Last_Event_ID=str(last))
            for line in response:
                field, _, value = line.decode().rstrip("\n").partition(": ")
                if field == "id":
                    last = int(value)
                elif field == "event":
                    name = value
                elif field == "data":
                    yield name, json.loads(value)
                    if name == "end":
                        return
        except (OSError, HTTPException) as error:
            print(f"the connection was lost ({error}); trying again", file=sys.stderr)
        time.sleep(wait)
    sys.exit("the connection was lost too often")


def start(server: Server, images: list[Path], options: dict[str, str]) -> str:
    """Send images, and return the address of their job."""
    boundary = secrets.token_hex(16)
    started = server.request(
        "POST",
        f"{ROUTE}?{urlencode(options)}",
        form_pieces(images, boundary),
        Content_Type=f"multipart/form-data; boundary={boundary}",
    )
    return json.loads(started.read())["url"]


def wait(server: Server, url: str) -> dict:
    """Print the images of a job as they are finished, and return its last state."""
    for name, data in events(server, url):
        if name == "end":
            break
        image = data["image"]
        print(f"{data['number']}/{data['count']} {image['name']}: {image['error'] or image['status']}")
    return data


def segment_folder(server: Server, folder: Path, archive: Path, options: dict[str, str]) -> int:
    """Segment the images of a folder; return the number of those without a mask."""
    images = sorted(path for path in folder.iterdir() if IMAGE.fullmatch(path.name))
    part = archive.with_name(f"{archive.name}.part")
    url, unsaved = "", False
    try:
        with part.open("wb") as file:  # before anything is sent: it may be impossible
            url = start(server, images, options)
            data = wait(server, url)
            if data["state"] != "done":
                sys.exit(f"the job is {data['state']}: {data['detail']}")
            unsaved = True
            shutil.copyfileobj(server.request("GET", f"{url}/zip"), file)
        part.replace(archive)
        unsaved = False
    except (OSError, HTTPException) as error:
        kept = f"; the server keeps the results for a time: {url}/zip" if unsaved else ""
        sys.exit(f"error: {error}{kept}")
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if url and not unsaved:
            with suppress(OSError):  # the server has stopped, and the job with it
                server.request("DELETE", url)
    return data["failed"]


def main() -> int:
    """Run the program; the exit status is 1 if an image has no mask."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("archive", type=Path)
    parser.add_argument("options", nargs="*", metavar="NAME=VALUE")
    parser.add_argument("--server", default="http://127.0.0.1:8000")
    given = parser.parse_args()
    for option in given.options:
        if "=" not in option:
            parser.error(f"{option!r} is not NAME=VALUE, for example threshold=0.4")
    if given.archive.is_dir():
        parser.error(f"{given.archive} is a folder; name a ZIP file")
    options = dict(option.split("=", 1) for option in given.options)
    server = Server(given.server, os.environ.get("SEGDIFF_API_KEY", ""))
    try:
        return int(segment_folder(server, given.folder, given.archive, options) > 0)
    except (OSError, HTTPException) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    sys.exit(main())
