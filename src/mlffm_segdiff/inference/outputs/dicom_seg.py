"""A mask as a DICOM Segmentation that refers to its image."""

from __future__ import annotations

import io
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.extra import DISTRIBUTION, needs_extra
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.files.atomic import write_bytes
from mlffm_segdiff.inference.outputs.writers import Writer
from mlffm_segdiff.inference.reading.dicom import header_number, header_value
from mlffm_segdiff.inference.result import CaseResult
from mlffm_segdiff.metrics.overlap import Mask

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription
    from pydicom import DataElement, Dataset
    from pydicom.tag import BaseTag

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
UTF_8 = "ISO_IR 192"
SEXES = ("M", "F", "O")
LEFT_OUT = ("PatientName", "PixelData")
NOTHING_WITHOUT = {"FrameOfReferenceUID": "ImageOrientationPatient", "PixelSpacing": "SliceThickness"}


class DicomSegWriter(Writer):
    """dicom-seg/NAME.dcm, for images from DICOM files."""

    def case_files(self, stem: str) -> tuple[str, ...]:
        """Return the file of the segmentation."""
        return (f"dicom-seg/{stem}.dcm",)

    def check(self, sampling: SamplingConfig) -> None:
        """Raise UserError unless highdicom is installed."""
        del sampling
        with needs_extra("dicom"):
            import highdicom  # noqa: F401

    def write(self, result: CaseResult) -> None:
        """Write the segmentation, or raise UserError if the image is not from a suitable DICOM file."""
        (path,) = self.paths(result.image.stem)
        write_bytes(path, dicom_seg(result))


def dicom_seg(result: CaseResult) -> bytes:
    """Return a DICOM Segmentation file (BINARY, explicit VR little endian) of a mask.

    Its segments are the lesion and, with a calibration that applies, its inner and outer contour. It names
    the patient and study of the image's data set, refers to its SOP instance, and is a new series of that
    study. An empty mask is a frame of zeros. A mask that a person drew, corrected or guided by a
    box or points is marked as SEMIAUTOMATIC (PS3.3 C.8.20.2), one of the network as AUTOMATIC.

    Args:
        result: Result of an image from a DICOM file.

    Raises:
        UserError: The image is not from a DICOM file, or none that a DICOM SEG can refer to.
    """
    name, source = result.image.name, result.image.header
    if source is None:
        raise UserError(
            f"{name} is not a DICOM file, and a DICOM SEG refers to one; give only DICOM files, "
            "or leave dicom-seg out"
        )
    absent = [keyword for keyword in IDENTITY if not header_value(source, keyword)]
    if absent:
        raise UserError(f"{name} has no {absent[0]}, which a DICOM SEG refers to; export it again")
    if (header_number(source, "NumberOfFrames") or 1) > 1:
        raise UserError(f"{name} has several frames, but a DICOM SEG is made of one; export them one by one")
    written = io.BytesIO()
    try:
        made = _segmentation(_described(source, result.mask), result)
        made.PatientName = str(header_value(source, "PatientName") or "")
        made.save_as(written, enforce_file_format=True)
    except Exception as error:  # elements that highdicom needs and does not find; some messages quote values
        reason = f"its header lacks what highdicom needs, {type(error).__name__}"
        raise UserError(f"no DICOM SEG can be made of {name} ({reason}); export it again") from error
    return written.getvalue()


def _segments(result: CaseResult) -> dict[str, Mask]:
    """Return the masks by the labels of their segments."""
    band = result.band
    if band is None:
        return {"Lesion": result.mask}
    inner, outer = (f"Lesion, {contour} contour at {band.level:.4g}" for contour in ("inner", "outer"))
    return {"Lesion": result.mask, inner: band.inner, outer: band.outer}


def _segmentation(described: Dataset, result: CaseResult) -> Dataset:
    with needs_extra("dicom"):
        from highdicom import UID
        from highdicom.seg import Segmentation
    segments = _segments(result)
    by_user = "corrected by hand, " if result.segmentation is None else "by box or points, " * result.prompted
    return Segmentation(
        source_images=[described],
        pixel_array=np.stack(list(segments.values()), axis=-1, dtype=np.uint8)[None],
        segmentation_type="BINARY",
        segment_descriptions=[
            _segment(number, label, bool(by_user)) for number, label in enumerate(segments, 1)
        ],
        series_instance_uid=UID(),
        series_number=100,
        sop_instance_uid=UID(),
        instance_number=1,
        manufacturer=PROGRAM,
        manufacturer_model_name=PROGRAM,
        software_versions=version(DISTRIBUTION),
        device_serial_number=version(DISTRIBUTION),
        content_label="LESION",
        content_description=f"Lesion outline, {by_user}not for diagnosis",
        series_description=f"{PROGRAM} lesion",
        omit_empty_frames=False,
    )


def _described(source: Dataset, mask: Mask) -> Dataset:
    """Return a copy of a header, in UTF-8, with the elements that the standard allows to be empty only.

    Invalid elements are left out. So are two elements of a photograph with which highdicom would treat the
    image as a slice: a frame of reference without an orientation, and a spacing without a thickness, which it
    writes as pixel measures that it cannot read back. The patient's name is left empty because highdicom
    warns about names of a single word and prints them.
    """
    from pydicom import Dataset

    copy = Dataset()
    for tag in source.keys():  # noqa: SIM118, iterating over the elements reads them, and may fail
        element = _valid_element(source, tag)
        if element is not None and element.keyword not in LEFT_OUT:
            copy.add(element)
    copy.Rows, copy.Columns = mask.shape
    copy.SpecificCharacterSet = UTF_8
    if copy.get("PatientSex") not in SEXES:
        copy.PatientSex = ""
    for keyword in MAY_BE_EMPTY:
        if keyword not in copy:
            setattr(copy, keyword, "")
    for keyword, needed in NOTHING_WITHOUT.items():
        if keyword in copy and needed not in copy:
            delattr(copy, keyword)
    return copy


def _valid_element(source: Dataset, tag: BaseTag) -> DataElement | None:
    """Return an element with its text decoded, or None if it cannot be read, or is against the standard."""
    from pydicom import DataElement
    from pydicom.config import RAISE
    from pydicom.valuerep import validate_value

    try:
        element = source[tag]
        if element.VR == "SQ":
            for item in element.value:
                item.decode()
            return element
        values = element.value if element.VM > 1 else [element.value]
        if element.VR == "PN":
            return DataElement(tag, "PN", [str(value) for value in values])
        for value in values if element.keyword not in IDENTITY else ():
            validate_value(element.VR, value if isinstance(value, bytes) else str(value), RAISE)
    except Exception:  # pydicom raises errors of many types on invalid elements
        return None
    return element


def _segment(number: int, label: str, by_user: bool) -> SegmentDescription:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription
    from pydicom.sr.codedict import codes

    return SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Lesion,
        algorithm_type="SEMIAUTOMATIC" if by_user else "AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name=PROGRAM, family=codes.DCM.ArtificialIntelligence, version=version(DISTRIBUTION)
        ),
    )
