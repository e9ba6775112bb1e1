"""A mask as a DICOM Segmentation that refers to its image."""

from __future__ import annotations

import io
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.extra import DISTRIBUTION, needs_extra
from mlffm_segdiff.data.atomic import write_bytes
from mlffm_segdiff.inference.outputs.writers import Writer
from mlffm_segdiff.inference.result import CaseResult
from mlffm_segdiff.metrics.overlap import Mask
from mlffm_segdiff.segmenters.base import Sampling

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription
    from pydicom import Dataset

PROGRAM = "MLFFM-SegDiff"
IDENTITY = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
MAY_BE_EMPTY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
)
LEFT_OUT = ("PatientName", "PixelData")
NOTHING_WITHOUT = {"FrameOfReferenceUID": "ImageOrientationPatient", "PixelSpacing": "SliceThickness"}


class DicomSegWriter(Writer):
    """dicom-seg/NAME.dcm, for images from DICOM files."""

    def case_files(self, stem: str) -> tuple[str, ...]:
        """Return the file of the segmentation."""
        return (f"dicom-seg/{stem}.dcm",)

    def check(self, sampling: Sampling) -> None:
        """Raise UserError unless highdicom is installed."""
        del sampling
        with needs_extra("dicom"):
            import highdicom  # noqa: F401

    def write(self, result: CaseResult) -> None:
        """Write the segmentation, or raise UserError if the image is not from a suitable DICOM file."""
        (path,) = self.paths(result.image.stem)
        write_bytes(path, dicom_seg(result))


def dicom_seg(result: CaseResult) -> bytes:
    """Return a DICOM Segmentation file (BINARY, one segment, explicit VR little endian) of a mask.

    It names the patient and study of the image's data set, refers to its SOP instance, and is a new series of
    that study. An empty mask is a frame of zeros.

    Args:
        result: Of an image from a DICOM file.

    Raises:
        UserError: The image is not from a DICOM file, or none that a DICOM SEG can refer to.
    """
    name, source = result.image.name, result.image.header
    if source is None:
        raise UserError(
            f"{name} is not a DICOM file, and a DICOM SEG refers to one; give only DICOM files, "
            "or leave dicom-seg out"
        )
    absent = [keyword for keyword in IDENTITY if not source.get(keyword)]
    if absent:
        raise UserError(f"{name} has no {absent[0]}, which a DICOM SEG refers to; export it again")
    if int(source.get("NumberOfFrames") or 1) > 1:
        raise UserError(f"{name} has several frames, but a DICOM SEG is made of one; export them one by one")
    written = io.BytesIO()
    try:
        made = _segmentation(_with_identity(source), result.mask)
        made.PatientName = source.get("PatientName", "")
        made.save_as(written, enforce_file_format=True)
    except (
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:  # elements that highdicom needs and does not find
        raise UserError(f"no DICOM SEG can be made of {name} ({error}); export it again") from error
    return written.getvalue()


def _segmentation(described: Dataset, mask: Mask) -> Dataset:
    with needs_extra("dicom"):
        from highdicom import UID
        from highdicom.seg import Segmentation
    return Segmentation(
        source_images=[described],
        pixel_array=mask.astype(np.uint8),
        segmentation_type="BINARY",
        segment_descriptions=[_segment()],
        series_instance_uid=UID(),
        series_number=100,
        sop_instance_uid=UID(),
        instance_number=1,
        manufacturer=PROGRAM,
        manufacturer_model_name=PROGRAM,
        software_versions=version(DISTRIBUTION),
        device_serial_number=version(DISTRIBUTION),
        content_label="LESION",
        content_description="Lesion outline, not for diagnosis",
        series_description=f"{PROGRAM} lesion",
        omit_empty_frames=False,
    )


def _with_identity(source: Dataset) -> Dataset:
    """Return a copy of the header with the elements that the standard requires but allows to be empty.

    Two elements of a photograph are left out because highdicom would treat the image as a slice: a frame
    of reference without an orientation, and a spacing without a thickness, which it writes as pixel measures
    that it cannot read back. The patient's name is left empty because highdicom warns about names of a single
    word and prints them.
    """
    from pydicom import Dataset

    copy = Dataset()
    copy.update({element.tag: element for element in source if element.keyword not in LEFT_OUT})
    for keyword in MAY_BE_EMPTY:
        if keyword not in copy:
            setattr(copy, keyword, "")
    for keyword, needed in NOTHING_WITHOUT.items():
        if keyword in copy and needed not in copy:
            delattr(copy, keyword)
    return copy


def _segment() -> SegmentDescription:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription
    from pydicom.sr.codedict import codes

    return SegmentDescription(
        segment_number=1,
        segment_label="Lesion",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Lesion,
        algorithm_type="AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name=PROGRAM, family=codes.DCM.ArtificialIntelligence, version=version(DISTRIBUTION)
        ),
    )
