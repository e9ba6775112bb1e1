import io
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack

import httpx2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.pixels import set_pixel_data
from pydicom.uid import ExplicitVRLittleEndian, VLPhotographicImageStorage
from stand_ins import StandIn
from torch import Tensor

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.segmenters.base import Segmentation
from mlffm_segdiff.serve.app import create_app
from mlffm_segdiff.serve.keys import ApiKeys
from mlffm_segdiff.serve.limits import Limits
from mlffm_segdiff.serve.run import Transport, listening_socket, make_server, url

SIZE = 16
WAIT_SECONDS = 60


class GatedRed(StandIn):
    """Finds red pixels. Each sample is a little darker than the last. Works only while `gate` is open.

    calls: of each call, the number of images and the sampling.
    """

    styles = ("isic2018", "ph2")

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.started = threading.Event()
        self.calls: list[tuple[int, SamplingConfig]] = []

    def segment(self, image: Tensor, sampling: SamplingConfig) -> Segmentation:
        self.calls.append((len(image), sampling))
        self.started.set()
        assert self.gate.wait(WAIT_SECONDS)
        red = (image[:, :1] + 1) / 2
        if not sampling.samples:
            return Segmentation(red, torch.zeros_like(red))
        samples = torch.stack([red * (1 - number / 100) for number in range(sampling.samples)])
        return Segmentation(samples.mean(0), samples.std(0, correction=0), samples)


@pytest.fixture
def red() -> GatedRed:
    """The network behind `make_app`."""
    found = GatedRed()
    found.eval()
    return found


MakeApp = Callable[..., FastAPI]


@pytest.fixture
def make_app(red: GatedRed) -> MakeApp:
    """Make the server of a model that finds red pixels: make_app(hosts, keys, worker, **fields of Limits)."""
    model = Model(red, SIZE, SamplingConfig(), torch.device("cpu"))

    def choose(given: Mapping[str, object]) -> SamplingConfig:
        if given.get("style", "any") not in ("any", *red.styles):
            raise UserError("no such style; choose one of any, isic2018, ph2")
        return model.sampling.model_copy(update=given)

    def make(
        hosts: Sequence[str] | None = None, keys: ApiKeys | None = None, worker: str = "", **limits: int
    ) -> FastAPI:
        return create_app(model, choose, "red", Limits(**limits), hosts, keys, worker)

    return make


@pytest.fixture
def serve(make_app: MakeApp) -> Iterator[Callable[..., TestClient]]:
    """Start the server of `make_app`, with its arguments, and return a client of it."""
    with ExitStack() as stack:
        yield lambda **limits: stack.enter_context(TestClient(make_app(**limits)))


@pytest.fixture
def square() -> npt.NDArray[np.uint8]:
    """An image of the network's size: 16 x 16, black with a red square of 6 x 5 pixels from (x 4, y 3)."""
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    image[3:8, 4:10, 0] = 255
    return image


@pytest.fixture
def png() -> Callable[..., bytes]:
    """The bytes of an image file: png(array, format="PNG")."""

    def encode(array: npt.NDArray[np.generic], kind: str = "PNG") -> bytes:
        stream = io.BytesIO()
        Image.fromarray(array).save(stream, kind)
        return stream.getvalue()

    return encode


@pytest.fixture
def dicom(square: npt.NDArray[np.uint8]) -> bytes:
    """The square as a DICOM file, 0.25 mm a pixel."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = VLPhotographicImageStorage
    dataset.SOPInstanceUID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = (
        f"2.25.{number}" for number in (1, 2, 3)
    )
    dataset.PixelSpacing = [0.25, 0.25]
    set_pixel_data(dataset, square, "RGB", 8, generate_instance_uid=False)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@pytest.fixture
def form(square: npt.NDArray[np.uint8], png: Callable[..., bytes]) -> Callable[..., dict[str, object]]:
    """A form with the square: form(name="square.png") to be spread into client.post."""
    return lambda name="square.png": {"files": {"image": (name, png(square))}}


class Live:
    """A server on its own port, in a thread.

    when_stopping: called once a stop has cancelled its jobs.
    """

    def __init__(self, app: FastAPI, transport: Transport | None = None, port: int = 0) -> None:
        self.listening = listening_socket("127.0.0.1", port)
        self.url = url(self.listening, transport is not None and transport.certificate is not None)
        self.address = self.listening.getsockname()
        self.when_stopping = lambda: None
        cancel_jobs = app.state.on_stop
        app.state.on_stop = lambda: (cancel_jobs(), self.when_stopping())
        self._server = make_server(app, lambda: None, transport)
        self._thread = threading.Thread(target=self._server.run, args=([self.listening],))
        self._thread.start()

    def connect(self, sent: bytes) -> socket.socket:
        """Return a connection on which these bytes were sent."""
        connection = socket.create_connection(self.address, WAIT_SECONDS)
        connection.sendall(sent)
        return connection

    def metric(self, name: str) -> float:
        """Return a number of the server's metrics."""
        lines = httpx2.get(f"{self.url}metrics").text.splitlines()
        return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(WAIT_SECONDS)
        assert not self._thread.is_alive()


@pytest.fixture
def start_live(make_app: MakeApp) -> Iterator[Callable[..., Live]]:
    """Start the server of `make_app`, with its arguments: start_live(transport=None, port=0, ...)."""
    with ExitStack() as stack:

        def start(transport: Transport | None = None, port: int = 0, **given: object) -> Live:
            server = Live(make_app(**given), transport, port)
            stack.callback(server.stop)
            return server

        yield start


@pytest.fixture
def live(start_live: Callable[..., Live]) -> Live:
    """The server of `make_app` for a browser: live.url, live.stop()."""
    return start_live()
