from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlffm_segdiff.inference.demo import samples_folder


@pytest.fixture(scope="session")
def dicom_photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample image, 64 x 48, as a DICOM photograph."""
    pydicom = pytest.importorskip("pydicom", reason="DICOM needs the extra dicom")
    pixels, uid = pytest.importorskip("pydicom.pixels"), pytest.importorskip("pydicom.uid")
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset.SOPClassUID = uid.VLPhotographicImageStorage
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(dataset, keyword, uid.generate_uid())
    with Image.open(samples_folder() / "sample_5.png") as sample:
        shown = np.asarray(sample.convert("RGB").resize((64, 48)))
    pixels.set_pixel_data(dataset, shown, "RGB", 8, generate_instance_uid=False)
    path = tmp_path_factory.mktemp("dicom") / "lesion.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path
