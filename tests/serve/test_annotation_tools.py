"""The examples for Label Studio, napari and QuPath against a running server."""

import importlib.util
import io
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace
from urllib.request import Request, urlopen

import numpy as np
import numpy.typing as npt
import pytest
from fastapi.testclient import TestClient

from mlffm_segdiff.inference.outputs.labelstudio import brush_rle

EXAMPLES = Path(__file__).parents[2] / "examples" / "annotation_tools"
CONFIG = """<View><Image name="photo" value="$skin"/>
<BrushLabels name="brush" toName="photo"><Label value="Lesion"/></BrushLabels></View>"""
TOKEN = "Token 0123"

Square = npt.NDArray[np.uint8]


def load(name: str, patch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    patch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


def lesion(square: Square) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = square[..., 0] > 0
    return found


@pytest.fixture
def label_studio(square: Square, png: Callable[..., bytes]) -> Iterator[str]:
    """A stand-in for Label Studio that has one image, for those with its token."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path == "/data/local-files/?d=a.png" and self.headers["Authorization"] == TOKEN
            self.send_response(200 if known else 401)
            self.end_headers()
            self.wfile.write(png(square) if known else b"")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def backend(live, label_studio: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    module = load("label_studio_backend", monkeypatch)
    settings = module.Settings(label_studio, TOKEN.removeprefix("Token "), live.url)
    with TestClient(module.make_app(settings)) as client:
        yield client


def ask(backend: TestClient, address: str, config: str = CONFIG):
    """Label Studio's request, as its api_connector.py sends it."""
    body = {
        "tasks": [{"id": 1, "data": {"skin": address}, "annotations": [], "predictions": []}],
        "project": "1.1700000000",
        "label_config": config,
        "params": {"login": None, "password": None, "context": None},
    }
    return backend.post("/predict", json=body)


def test_label_studio_connects(backend: TestClient) -> None:
    assert backend.get("/health").json()["status"] == "UP"
    project = {"project": "1", "schema": CONFIG, "hostname": "", "access_token": ""}
    assert backend.post("/setup", json=project).json() == {"model_version": "mlffm-segdiff"}
    assert backend.post("/setup", json={**project, "schema": "<View/>"}).status_code == 422
    assert backend.post("/webhook", json={"action": "ANNOTATION_CREATED"}).status_code == 200


def test_label_studio_gets_the_mask_of_a_task(backend: TestClient, square: Square) -> None:
    answer = ask(backend, "/data/local-files/?d=a.png").json()
    assert answer["model_version"] == "mlffm-segdiff"
    (prediction,) = answer["results"]
    (region,) = prediction["result"]
    assert (region["from_name"], region["to_name"], region["type"]) == ("brush", "photo", "brushlabels")
    assert region["value"] == {
        "format": "rle",
        "rle": brush_rle(lesion(square)),
        "brushlabels": ["Lesion"],
    }


def test_label_studios_own_package_accepts_the_prediction(backend: TestClient) -> None:
    interface = pytest.importorskip("label_studio_sdk.label_interface", reason="Label Studio's own checks")
    (prediction,) = ask(backend, "/data/local-files/?d=a.png").json()["results"]
    assert interface.LabelInterface(CONFIG).validate_prediction(prediction, return_errors=True) == []


@pytest.mark.parametrize(
    ("address", "status", "says"),
    [
        ("/data/local-files/?d=b.png", 502, "401"),
        ("http://example.org/a.png", 422, "is not on"),
        ("s3://bucket/a.png", 422, "is not on"),
        ("file:///etc/passwd", 422, "is not on"),
    ],
)
def test_images_elsewhere_and_unreadable_ones_are_refused(
    backend: TestClient, address: str, status: int, says: str
) -> None:
    answer = ask(backend, address)
    assert answer.status_code == status
    assert says in answer.json()["detail"]


def test_napari_gets_a_labels_layer(live, square: Square, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("napari_masks", monkeypatch)
    added: list[tuple[str, npt.NDArray[np.uint8]]] = []
    layers = [
        SimpleNamespace(name="a", data=square, rgb=True),
        SimpleNamespace(name="plain", data=square[..., 0]),
    ]
    viewer = SimpleNamespace(layers=layers, add_labels=lambda data, name: added.append((name, data)) or name)
    assert module.add_lesions(viewer, live.url, threshold=0.4) == ["a lesion"]
    ((_, mask),) = added
    np.testing.assert_array_equal(mask, lesion(square))


@pytest.mark.filterwarnings("ignore")
def test_a_model_of_naparis_viewer_takes_the_layer(
    live, square: Square, monkeypatch: pytest.MonkeyPatch
) -> None:
    components = pytest.importorskip("napari.components", reason="napari's viewer without a window")
    viewer = components.ViewerModel()
    viewer.add_image(square, name="a", rgb=True)
    (layer,) = load("napari_masks", monkeypatch).add_lesions(viewer, live.url)
    assert layer in viewer.layers
    np.testing.assert_array_equal(layer.data, lesion(square))


def test_the_answer_has_what_qupaths_script_reads(live, square: Square, png: Callable[..., bytes]) -> None:
    script = (EXAMPLES / "qupath_masks.groovy").read_text()
    headers = dict(re.findall(r'\.header\("(Content-Type|Accept)", "([^"]+)"\)', script))
    assert len(headers) == 2
    (path,) = re.findall(r'"http://127\.0\.0\.1:8000(/\S+)"', script)
    with urlopen(Request(live.url.rstrip("/") + path, png(square), headers)) as reply:
        answer = json.load(io.TextIOWrapper(reply))
    found = answer
    for key in re.findall(r'getAsJson(?:Object|Array)\("(\w+)"\)', script):
        found = found[key]
    (feature,) = found
    assert feature["type"] == "Feature"
    assert feature["geometry"]["type"] == "Polygon"
    assert feature["properties"]["objectType"] == "annotation"
    assert feature["properties"]["classification"] == {"name": "lesion"}
