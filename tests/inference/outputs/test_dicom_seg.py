import io
from collections.abc import Callable

import highdicom
import numpy as np
import numpy.typing as npt
import pytest
from pydicom import Dataset
from pydicom.uid import RLELossless, SegmentationStorage, generate_uid

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.dicom import read_header
from mlffm_segdiff.inference.outputs.dicom_seg import NoSourceError, dicom_seg
from mlffm_segdiff.inference.prediction import Prediction

Dicom = Callable[..., bytes]
Photo = Callable[..., npt.NDArray[np.uint8]]


def predicted(mask: npt.NDArray[np.bool_]) -> Prediction:
    return Prediction(mask, mask.astype(np.float32), np.zeros(mask.shape, np.float32))


@pytest.fixture
def mask() -> npt.NDArray[np.bool_]:
    found = np.zeros((40, 56), bool)
    found[3:20, 7:50] = True
    found[10:12, 20:23] = False
    return found


@pytest.mark.parametrize("syntax", [None, RLELossless])
def test_highdicom_reads_the_mask_back_by_its_source(
    dicom: Dicom, photo: Photo, mask: npt.NDArray[np.bool_], syntax: object
) -> None:
    source = read_header(dicom(photo(0), syntax=syntax, PixelSpacing=[0.02, 0.02]), "x")
    found = highdicom.seg.segread(io.BytesIO(dicom_seg(source, predicted(mask))))
    assert (found.SOPClassUID, found.StudyInstanceUID) == (SegmentationStorage, source.StudyInstanceUID)
    assert found.SeriesInstanceUID != source.SeriesInstanceUID
    assert (found.PatientName, found.PatientID) == ("Example^Anna", "7")
    references = found.get_source_image_uids()
    assert references == [(source.StudyInstanceUID, source.SeriesInstanceUID, source.SOPInstanceUID)]
    pixels = found.get_pixels_by_source_instance([source.SOPInstanceUID], segment_numbers=[1])
    np.testing.assert_array_equal(pixels[0, ..., 0], mask)
    description = found.get_segment_description(1)
    assert (description.segment_label, description.algorithm_type.value) == ("Lesion", "AUTOMATIC")


def test_pydicom_reads_the_same_pixels(
    dicom: Dicom, dicom_dataset: Callable[[bytes], Dataset], photo: Photo, mask: npt.NDArray[np.bool_]
) -> None:
    source = read_header(dicom(photo(0), PixelSpacing=[0.02, 0.02], SliceThickness=1), "x")
    found = dicom_dataset(dicom_seg(source, predicted(mask)))
    np.testing.assert_array_equal(found.pixel_array, mask)
    (shared,) = found.SharedFunctionalGroupsSequence
    assert shared.PixelMeasuresSequence[0].PixelSpacing == [0.02, 0.02]


def test_an_empty_mask_is_a_frame_of_zeros(
    dicom: Dicom, dicom_dataset: Callable[[bytes], Dataset], photo: Photo
) -> None:
    source = read_header(dicom(photo(0)), "x")
    found = dicom_dataset(dicom_seg(source, predicted(np.zeros((40, 56), bool))))
    assert found.NumberOfFrames == 1
    assert not found.pixel_array.any()


def test_two_of_one_source_are_two_instances(dicom: Dicom, photo: Photo, mask: npt.NDArray[np.bool_]) -> None:
    source = read_header(dicom(photo(0)), "x")
    one, other = (read_header(dicom_seg(source, predicted(mask)), "x") for _ in range(2))
    assert one.SOPInstanceUID != other.SOPInstanceUID


def test_a_source_without_a_patient_is_taken_and_one_without_an_identity_told(
    dicom: Dicom, photo: Photo, mask: npt.NDArray[np.bool_]
) -> None:
    anonymous = read_header(dicom(photo(0), PatientName=None, PatientID=None), "x")
    assert read_header(dicom_seg(anonymous, predicted(mask)), "x").PatientID == ""
    with pytest.raises(UserError, match="no StudyInstanceUID"):
        dicom_seg(read_header(dicom(photo(0), StudyInstanceUID=None), "x"), predicted(mask))
    with pytest.raises(UserError, match="several frames"):
        dicom_seg(read_header(dicom(np.stack([photo(0)] * 2)), "x"), predicted(mask))


@pytest.mark.parametrize(
    "elements",
    [
        {"FrameOfReferenceUID": generate_uid(), "PositionReferenceIndicator": ""},
        {"FrameOfReferenceUID": generate_uid(), "PixelSpacing": [0.02, 0.02]},
        {"PixelSpacing": [0.02, 0.02], "ImagerPixelSpacing": [0.02, 0.02]},
        {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "M\xfcller^Anna"},
        {"PatientName": "anonymous"},
    ],
)
def test_photographs_with_more_or_less_in_their_header_can_be_read_back(
    dicom: Dicom, photo: Photo, mask: npt.NDArray[np.bool_], elements: dict[str, object]
) -> None:
    source = read_header(dicom(photo(0), **elements), "x")
    found = highdicom.seg.segread(io.BytesIO(dicom_seg(source, predicted(mask))))
    np.testing.assert_array_equal(found.pixel_array, mask)
    assert found.PatientName == source.PatientName


def test_a_header_too_odd_for_highdicom_is_told(
    dicom: Dicom, photo: Photo, mask: npt.NDArray[np.bool_]
) -> None:
    slice_without_spacing = {
        "FrameOfReferenceUID": generate_uid(),
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "ImagePositionPatient": [0, 0, 0],
    }
    with pytest.raises(NoSourceError, match="no DICOM SEG can be made"):
        dicom_seg(read_header(dicom(photo(0), **slice_without_spacing), "x"), predicted(mask))
