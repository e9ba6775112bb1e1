"""Label Studio's ML backend: answers /predict with masks of a running `mlffm-segdiff serve`.

    mlffm-segdiff serve --port 8000
    LABEL_STUDIO_URL=http://localhost:8080 LABEL_STUDIO_API_KEY=KEY python label_studio_backend.py

Then connect http://localhost:9090 under Settings, Model. docs/ANNOTATION.md has more.
"""

import json
import os
from dataclasses import dataclass
from typing import Any
from urllib.error import URLError
from urllib.parse import urljoin
from urllib.request import Request, urlopen
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
from fastapi import FastAPI, HTTPException

from mlffm_segdiff.data.datasets.drawn_shapes import polygon_of
from mlffm_segdiff.inference.outputs.labelstudio import prediction_of

SECONDS = 100


@dataclass(frozen=True)
class Settings:
    """Addresses and keys of both servers.

    Attributes:
        label_studio: Address of Label Studio, from which images are read, and only from there.
        label_studio_key: Access token of a user there.
        server: Address of `mlffm-segdiff serve`.
        server_key: Its API key, if it has one.
    """

    label_studio: str = "http://localhost:8080"
    label_studio_key: str = ""
    server: str = "http://127.0.0.1:8000"
    server_key: str = ""


@dataclass(frozen=True)
class Tags:
    """Names in a labeling configuration: of the brush, its image and label, and the key of the image."""

    brush: str
    image: str
    label: str
    key: str


def make_app(settings: Settings) -> FastAPI:
    """Return the backend: the routes that Label Studio calls."""
    app = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False})
    version = "mlffm-segdiff"

    @app.get("/")
    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "UP", "model_class": version}

    @app.post("/setup")
    def setup(body: dict[str, Any]) -> dict[str, str]:
        read_tags(body.get("schema", ""))
        return {"model_version": version}

    @app.post("/predict")
    def predict(body: dict[str, Any]) -> dict[str, Any]:
        tags = read_tags(body.get("label_config", ""))
        predictions = []
        for task in body.get("tasks", []):
            image = read_image(str(task["data"][tags.key]), settings)
            predictions.append({"model_version": version, **segment(image, tags, settings)})
        return {"results": predictions, "model_version": version}

    @app.post("/webhook")
    @app.post("/train")
    def ignore() -> dict[str, str]:
        return {}

    return app


def read_tags(config: str) -> Tags:
    """Find the brush of a labeling configuration. Raises HTTPException (422) if there is none."""
    try:
        root = ElementTree.fromstring(config)
        brush = next(root.iter("BrushLabels"))
        image = next(tag for tag in root.iter("Image") if tag.get("name") == brush.get("toName"))
        label = brush.find("Label")
        assert label is not None
        key = image.attrib["value"].removeprefix("$")
        return Tags(brush.attrib["name"], image.attrib["name"], label.attrib["value"], key)
    except (ElementTree.ParseError, StopIteration, KeyError, AssertionError) as error:
        raise HTTPException(
            422, "the labeling configuration needs Image and BrushLabels with a Label"
        ) from error


def read_image(address: str, settings: Settings) -> bytes:
    """Return the file of a task. Raises HTTPException if it is not on Label Studio or cannot be read."""
    base = settings.label_studio.rstrip("/") + "/"
    found = urljoin(base, address)
    if not found.startswith(base):
        raise HTTPException(422, f"{address} is not on {base}; upload it there, or use its local storage")
    return call(Request(found, headers={"Authorization": f"Token {settings.label_studio_key}"}))


def segment(image: bytes, tags: Tags, settings: Settings) -> dict[str, Any]:
    """Return the prediction of an image; its score is the expected Dice."""
    headers = {"Content-Type": "application/octet-stream", "Accept": "application/json"}
    if settings.server_key:
        headers["X-API-Key"] = settings.server_key
    address = urljoin(settings.server.rstrip("/") + "/", "api/v1/segment")
    answer = json.loads(call(Request(address, image, headers)))
    prediction = prediction_of(mask_of(answer["contours"]), answer["quality"]["expected_dice"])
    for region in prediction["result"]:
        region.update(from_name=tags.brush, to_name=tags.image)
        region["value"]["brushlabels"] = [tags.label]
    return prediction


def mask_of(contours: dict[str, Any]) -> npt.NDArray[np.bool_]:
    """Draw the contours of an answer: pixels whose centres are inside an odd number of rings."""
    mask = np.zeros((contours["height"], contours["width"]), bool)
    for feature in contours["features"]:
        for ring in feature["geometry"]["coordinates"]:
            inside = np.zeros_like(mask)
            polygon_of(ring[:-1]).draw(inside)
            mask ^= inside
    return mask


def call(request: Request) -> bytes:
    """Return the body of an answer. Raises HTTPException (502) with the reason if there is none."""
    try:
        with urlopen(request, timeout=SECONDS) as answer:
            body: bytes = answer.read()
    except (URLError, OSError) as error:
        raise HTTPException(502, f"{request.full_url}: {error}") from error
    return body


if __name__ == "__main__":
    import uvicorn

    names = ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY", "SEGDIFF_URL", "SEGDIFF_API_KEY")
    given = (os.environ.get(name) for name in names)
    fields = ("label_studio", "label_studio_key", "server", "server_key")
    chosen = {field: value for field, value in zip(fields, given, strict=True) if value}
    uvicorn.run(make_app(Settings(**chosen)), host="127.0.0.1", port=9090)
