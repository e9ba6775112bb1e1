"""A mask as a DICOM Segmentation that refers to the picture it was made of."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from mlffm_segdiff import __version__
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.extra import needs_extra
from mlffm_segdiff.inference.prediction import Prediction

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


class NoSourceError(UserError):
    """A data set of which no DICOM SEG can be made."""


def check_source(source: Dataset, name: str) -> None:
    """Raise NoSourceError unless a DICOM SEG can refer to the data set: a picture of one frame, with UIDs."""
    absent = [keyword for keyword in IDENTITY if not source.get(keyword)]
    if absent:
        raise NoSourceError(f"{name} has no {absent[0]}, which a DICOM SEG refers to; export it anew")
    if int(source.get("NumberOfFrames") or 1) > 1:
        raise NoSourceError(f"{name} has several frames, a DICOM SEG is made of one; export them one by one")


def dicom_seg(source: Dataset, prediction: Prediction) -> bytes:
    """Return a DICOM Segmentation file (BINARY, one segment, explicit VR little endian) of the mask.

    source: the data set that was segmented, Rows x Columns as the mask; its pixel data are not read. The
    result names its patient and study, refers to its SOP instance, and is a new series of that study. An
    empty mask is a frame of zeros.
    Raises NoSourceError as `check_source`, or where the data set is too odd.
    """
    check_source(source, "the DICOM source")
    written = io.BytesIO()
    try:
        made = _segmentation(_with_identity(source), prediction)
        made.PatientName = source.get("PatientName", "")
        made.save_as(written, enforce_file_format=True)
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # what highdicom misses in a data set
        raise NoSourceError(
            f"no DICOM SEG can be made of this DICOM file ({error}); export it anew"
        ) from error
    return written.getvalue()


def _segmentation(described: Dataset, prediction: Prediction) -> Dataset:
    with needs_extra("dicom"):
        from highdicom import UID
        from highdicom.seg import Segmentation
    return Segmentation(
        source_images=[described],
        pixel_array=prediction.mask.astype(np.uint8),
        segmentation_type="BINARY",
        segment_descriptions=[_segment()],
        series_instance_uid=UID(),
        series_number=100,
        sop_instance_uid=UID(),
        instance_number=1,
        manufacturer=PROGRAM,
        manufacturer_model_name=PROGRAM,
        software_versions=__version__,
        device_serial_number=__version__,
        content_label="LESION",
        content_description="Lesion outline, not for diagnosis",
        series_description=f"{PROGRAM} lesion",
        omit_empty_frames=False,
    )


def _with_identity(source: Dataset) -> Dataset:
    """A copy of the data set's header in which what the standard lets be empty is there.

    Two things of a photograph are left out, as highdicom takes its picture for a slice by them: a frame of
    reference without an orientation, and a spacing without a thickness, which it writes as pixel measures
    that it cannot read back. The mask's pixels are the source's, which tells the spacing. The patient's name
    is left empty, as highdicom prints the warning that one is of a single word, with the name.
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
            name=PROGRAM, family=codes.DCM.ArtificialIntelligence, version=__version__
        ),
    )
