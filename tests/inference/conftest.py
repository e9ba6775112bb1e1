import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
import torch
from PIL import Image
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.pixels import set_pixel_data
from pydicom.uid import UID, ExplicitVRLittleEndian, VLPhotographicImageStorage, generate_uid
from stand_ins import StandIn
from torch import Tensor

from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.image_quality import QualityLimits
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.inference.reading.case_image import CaseImage
from mlffm_segdiff.inference.result import CaseResult
from mlffm_segdiff.metrics.case_bounds import Bounds
from mlffm_segdiff.metrics.certainty import Calibration
from mlffm_segdiff.segmenters.base import BaseSegmenter, Segmentation
from mlffm_segdiff.segmenters.calibration import Quality, SetBounds, StyleCalibration
from mlffm_segdiff.segmenters.network_output import NetworkOutput

Save = Callable[..., Path]


class RedAndGreen(StandIn):
    """Returns the red channel as probability (0 to 1) and half the green one as spread."""

    def segment(self, image: Tensor, sampling: SamplingConfig) -> Segmentation:
        red = (image[:, :1] + 1) / 2
        samples = red.expand(sampling.samples, *red.shape) if sampling.samples else None
        return Segmentation(red, (image[:, 1:2] + 1) / 4, samples)


@pytest.fixture
def red_model() -> Callable[..., Model]:
    """A model that finds red pixels: red_model(size=8, samples=5, segmenter=its own)."""

    def make(size: int = 8, samples: int = 5, segmenter: BaseSegmenter | None = None) -> Model:
        found = (segmenter or RedAndGreen()).eval()
        return Model(found, size, SamplingConfig(samples=samples), torch.device("cpu"))

    return make


def bounds_of(inner: float) -> Bounds:
    """Return bounds whose contours are at the probabilities `inner` and 1 - `inner`."""
    score = 4 * (inner - 0.5)
    return Bounds(inner, 1 - inner, inner, 1 - inner, score, score, score, score)


@pytest.fixture
def calibrated() -> Callable[..., Model]:
    """The model with a calibration of 100 cases of ph2: calibrated(model, levels=(0.8, 0.9, 0.95)).

    At usual contrast, the inner contours are at the probabilities 0.6, 0.7 and 0.9, the outer ones at 0.4,
    0.3 and 0.1.
    """

    def make(model: Model, levels: Sequence[float] = (0.8, 0.9, 0.95)) -> Model:
        inner = {0.8: 0.6, 0.9: 0.7, 0.95: 0.9}
        bounds = {level: bounds_of(inner[level]) for level in levels}
        style = StyleCalibration(
            calibration=Calibration((0.0, 1.0), (0.0, 1.0)),
            sets={"ph2": SetBounds(cases=100, levels=bounds)},
        )
        quality = Quality(
            sampling=model.sampling,
            sources=("ph2",),
            cases=100,
            training_images=3,
            split="",
            styles={"any": style},
            limits=QualityLimits((0, 1e9), (0, 100), (-200, 200), (-200, 200)),
        )
        return replace(model, quality=quality)

    return make


@pytest.fixture(scope="session")
def tiny_weights(untrained: Callable[..., Path]) -> Path:
    """A folder of untrained weights: size tiny, images at 32 x 32, 3 samples of 2 steps."""
    return untrained("isic2018", "model.size=tiny", "data.size=32", "sampling.steps=2", "sampling.samples=3")


@pytest.fixture
def photo() -> Callable[..., npt.NDArray[np.uint8]]:
    """An image of smooth random colours: photo(seed, height, width), HxWx3 uint8."""

    def make(seed: int, height: int = 40, width: int = 56) -> npt.NDArray[np.uint8]:
        coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
        return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))

    return make


@pytest.fixture
def save() -> Save:
    """Write an array as an image file and return the path: save(path, array, **Pillow's options)."""

    def write(path: Path, array: npt.NDArray[np.uint8], **options: object) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path, **options)
        return path

    return write


def dicom_bytes(dataset: Dataset) -> bytes:
    written = io.BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    return written.getvalue()


@pytest.fixture
def dicom() -> Callable[..., bytes]:
    """A DICOM photograph's bytes: dicom(pixels, photometric="RGB", bits=None, syntax=None, **elements).

    bits: stored ones, by default all of the array's. syntax: to compress to. An element that is None is left
    out.
    """

    def make(
        pixels: npt.NDArray[np.integer],
        photometric: str = "RGB",
        bits: int | None = None,
        syntax: UID | None = None,
        **elements: object,
    ) -> bytes:
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID = VLPhotographicImageStorage
        dataset.SOPInstanceUID = generate_uid()
        dataset.StudyInstanceUID = generate_uid()
        dataset.SeriesInstanceUID = generate_uid()
        dataset.PatientName, dataset.PatientID = "Example^Anna", "7"
        dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
        set_pixel_data(
            dataset, pixels, photometric, bits or 8 * pixels.dtype.itemsize, generate_instance_uid=False
        )
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)
            if value is None:
                delattr(dataset, keyword)
        if syntax is not None:
            dataset.compress(syntax, generate_instance_uid=False)
        return dicom_bytes(dataset)

    return make


@pytest.fixture
def found_mask() -> Callable[..., CaseResult]:
    """The result of a mask: found_mask(mask, probability=None, header=None, name="a.png").

    Without a probability map the mask counts as drawn by a person.
    """

    def make(
        mask: npt.NDArray[np.bool_],
        probability: npt.NDArray[np.float32] | None = None,
        header: Dataset | None = None,
        name: str = "a.png",
    ) -> CaseResult:
        image = CaseImage(*mask.shape, np.zeros((8, 8, 3), np.uint8), None, name, Path(name).stem)
        maps = None
        if probability is not None:
            maps = NetworkOutput(probability, np.zeros_like(probability))
        return CaseResult(replace(image, header=header), mask, maps)

    return make


@pytest.fixture
def dicom_dataset() -> Callable[[bytes], Dataset]:
    """A DICOM file's bytes, read by pydicom."""
    return lambda data: pydicom.dcmread(io.BytesIO(data))
