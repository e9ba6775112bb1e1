import io
from collections.abc import Callable

import highdicom
import numpy as np
import numpy.typing as npt
import pytest
from pydicom import Dataset, Sequence
from pydicom.uid import RLELossless, SegmentationStorage, generate_uid

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.analysis import analyse
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.inference.outputs.dicom_seg import dicom_seg
from mlffm_segdiff.inference.reading.case_image import CaseImage
from mlffm_segdiff.inference.reading.dicom import read_dicom
from mlffm_segdiff.inference.result import CaseResult
from mlffm_segdiff.segmenters.network_output import NetworkOutput

Make = Callable[..., Model]
Dicom = Callable[..., bytes]
Photo = Callable[..., npt.NDArray[np.uint8]]


def read_header(data: bytes) -> Dataset:
    return read_dicom(io.BytesIO(data), "x").header


def segmentation(source: Dataset, mask: npt.NDArray[np.bool_]) -> bytes:
    """The DICOM SEG of a mask that refers to a data set."""
    return dicom_seg(CaseResult(case_of(source, mask.shape), mask))


def case_of(source: Dataset, shape: tuple[int, int]) -> CaseImage:
    return CaseImage(*shape, np.zeros((8, 8, 3), np.uint8), None, "x.dcm", "x", header=source)


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
    source = read_header(dicom(photo(0), syntax=syntax, PixelSpacing=[0.02, 0.02]))
    found = highdicom.seg.segread(io.BytesIO(segmentation(source, mask)))
    assert (found.SOPClassUID, found.StudyInstanceUID) == (SegmentationStorage, source.StudyInstanceUID)
    assert found.SeriesInstanceUID != source.SeriesInstanceUID
    assert (found.PatientName, found.PatientID) == ("Example^Anna", "7")
    references = found.get_source_image_uids()
    assert references == [(source.StudyInstanceUID, source.SeriesInstanceUID, source.SOPInstanceUID)]
    pixels = found.get_pixels_by_source_instance([source.SOPInstanceUID], segment_numbers=[1])
    np.testing.assert_array_equal(pixels[0, ..., 0], mask)
    description = found.get_segment_description(1)
    assert (description.segment_label, description.algorithm_type.value) == ("Lesion", "SEMIAUTOMATIC")
    assert found.ContentDescription == "Lesion outline, corrected by hand, not for diagnosis"


def test_pydicom_reads_the_same_pixels(
    dicom: Dicom, dicom_dataset: Callable[[bytes], Dataset], photo: Photo, mask: npt.NDArray[np.bool_]
) -> None:
    source = read_header(dicom(photo(0), PixelSpacing=[0.02, 0.02], SliceThickness=1))
    found = dicom_dataset(segmentation(source, mask))
    np.testing.assert_array_equal(found.pixel_array, mask)
    (shared,) = found.SharedFunctionalGroupsSequence
    assert shared.PixelMeasuresSequence[0].PixelSpacing == [0.02, 0.02]


def test_inner_and_outer_contour_are_segments_that_overlap_the_lesion(
    dicom: Dicom, dicom_dataset: Callable[[bytes], Dataset], photo: Photo, red_model: Make, calibrated: Make
) -> None:
    source = read_header(dicom(photo(0), PixelSpacing=[0.02, 0.02]))
    probability = np.linspace(0, 1, 40 * 56, dtype=np.float32).reshape(40, 56)
    maps = NetworkOutput(probability, np.zeros_like(probability))
    result = analyse(case_of(source, (40, 56)), maps, calibrated(red_model()))
    written = dicom_seg(result)
    found = highdicom.seg.segread(io.BytesIO(written))
    labels = [found.get_segment_description(number).segment_label for number in (1, 2, 3)]
    assert labels == ["Lesion", "Lesion, inner contour at 0.9", "Lesion, outer contour at 0.9"]
    assert {found.get_segment_description(number).algorithm_type.value for number in (1, 2, 3)} == {
        "AUTOMATIC"
    }
    assert found.ContentDescription == "Lesion outline, not for diagnosis"
    pixels = found.get_pixels_by_source_instance([source.SOPInstanceUID])
    expected = np.stack([probability >= 0.5, result.band.inner, result.band.outer])
    assert expected[1].sum() < expected[0].sum() < expected[2].sum()
    np.testing.assert_array_equal(pixels[0], np.moveaxis(expected, 0, -1))
    read = dicom_dataset(written)
    numbers = [
        frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        for frame in read.PerFrameFunctionalGroupsSequence
    ]
    for number, frame in zip(numbers, read.pixel_array, strict=True):
        np.testing.assert_array_equal(frame, expected[number - 1])
    assert sorted(numbers) == [1, 2, 3]


def test_an_empty_mask_is_a_frame_of_zeros(
    dicom: Dicom, dicom_dataset: Callable[[bytes], Dataset], photo: Photo
) -> None:
    source = read_header(dicom(photo(0)))
    found = dicom_dataset(segmentation(source, np.zeros((40, 56), bool)))
    assert found.NumberOfFrames == 1
    assert not found.pixel_array.any()


def test_two_of_one_source_are_two_instances(dicom: Dicom, photo: Photo, mask: npt.NDArray[np.bool_]) -> None:
    source = read_header(dicom(photo(0)))
    one, other = (read_header(segmentation(source, mask)) for _ in range(2))
    assert one.SOPInstanceUID != other.SOPInstanceUID


def test_a_source_without_a_patient_is_accepted_and_one_without_an_identity_refused(
    dicom: Dicom, photo: Photo, mask: npt.NDArray[np.bool_]
) -> None:
    anonymous = read_header(dicom(photo(0), PatientName=None, PatientID=None))
    assert read_header(segmentation(anonymous, mask)).PatientID == ""
    with pytest.raises(UserError, match="no StudyInstanceUID"):
        segmentation(read_header(dicom(photo(0), StudyInstanceUID=None)), mask)
    with pytest.raises(UserError, match="several frames"):
        segmentation(read_header(dicom(np.stack([photo(0)] * 2))), mask)


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
    source = read_header(dicom(photo(0), **elements))
    found = highdicom.seg.segread(io.BytesIO(segmentation(source, mask)))
    np.testing.assert_array_equal(found.pixel_array, mask)
    assert found.PatientName == source.PatientName


def test_a_header_that_highdicom_cannot_use_is_reported(
    dicom: Dicom, photo: Photo, mask: npt.NDArray[np.bool_]
) -> None:
    slice_without_spacing = {
        "FrameOfReferenceUID": generate_uid(),
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "ImagePositionPatient": [0, 0, 0],
    }
    with pytest.raises(UserError, match="no DICOM SEG can be made"):
        segmentation(read_header(dicom(photo(0), **slice_without_spacing)), mask)


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        ("ISO_IR 192", "王^小東"),
        ("ISO_IR 100", "Müller^Anna"),
    ],
)
def test_names_are_kept_in_every_character_set(
    dicom: Dicom, photo: Photo, mask: npt.NDArray[np.bool_], character_set: object, name: str
) -> None:
    source = read_header(dicom(photo(0), SpecificCharacterSet=character_set, PatientName=name))
    found = highdicom.seg.segread(io.BytesIO(segmentation(source, mask)))
    assert (found.SpecificCharacterSet, str(found.PatientName)) == ("ISO_IR 192", name)
    np.testing.assert_array_equal(found.pixel_array, mask)


@pytest.mark.filterwarnings("ignore:Invalid value for VR")  # of pydicom, for the values that the test writes
@pytest.mark.parametrize(
    "elements",
    [
        {"StudyDate": "1.1.2020"},
        {"StudyTime": "noon"},
        {"PatientBirthDate": "19701332"},
        {"PatientSex": "male"},
        {"AccessionNumber": "A" * 40},
        {"StudyID": "x" * 40},
        {"SpecificCharacterSet": "latin"},
        {"NumberOfFrames": "1"},
        {"FrameOfReferenceUID": "no.uid"},
        {"ReferencedPatientSequence": Sequence([Dataset()])},
    ],
)
def test_invalid_values_do_not_prevent_a_segmentation(
    dicom: Dicom, photo: Photo, mask: npt.NDArray[np.bool_], elements: dict[str, object]
) -> None:
    source = read_header(dicom(photo(0), **elements))
    found = highdicom.seg.segread(io.BytesIO(segmentation(source, mask)))
    np.testing.assert_array_equal(found.pixel_array, mask)
    assert found.PatientID == "7"


def test_an_error_quotes_no_value_of_the_header(
    dicom: Dicom, photo: Photo, mask: npt.NDArray[np.bool_], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise ValueError("Example^Anna is no name")

    monkeypatch.setattr(highdicom.seg, "Segmentation", fail)
    with pytest.raises(UserError, match=r"no DICOM SEG can be made of x\.dcm \(") as raised:
        segmentation(read_header(dicom(photo(0))), mask)
    assert "Anna" not in str(raised.value)
