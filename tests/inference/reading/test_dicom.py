import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from PIL import Image
from pydicom import Dataset, Sequence
from pydicom.encaps import encapsulate
from pydicom.pixels import convert_color_space
from pydicom.uid import UID, JPEG2000Lossless, JPEGBaseline8Bit, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.reading.dicom import (
    DEFLATED,
    dicom_image,
    gray_table,
    is_dicom,
    mm_per_pixel,
    read_dataset,
)

Dicom = Callable[..., bytes]
Photo = Callable[..., npt.NDArray[np.uint8]]


def shown(data: bytes) -> npt.NDArray[np.uint8]:
    image = dicom_image(read_dataset(data, "x.dcm"), "x.dcm")
    assert (image.mode, image.info) == ("RGB", {})
    return np.asarray(image)


def gray(data: bytes) -> list[int]:
    found = shown(data)
    assert (found == found[..., :1]).all()
    return found[..., 0].ravel().tolist()


@pytest.mark.parametrize("syntax", [None, RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_colour_comes_back_bit_for_bit_however_it_is_packed(
    dicom: Dicom, photo: Photo, syntax: UID | None
) -> None:
    data = dicom(photo(1), syntax=syntax)
    assert is_dicom(data)
    np.testing.assert_array_equal(shown(data), photo(1))


def test_colour_of_16_bits_keeps_its_high_byte_and_of_12_bits_the_high_8(dicom: Dicom) -> None:
    deep = np.array([[[0, 255, 256], [0x1234, 0xFFFF, 0x8000]]], np.uint16)
    assert shown(dicom(deep)).tolist() == [[[0, 0, 1], [0x12, 0xFF, 0x80]]]
    assert shown(dicom(deep >> 4, bits=12)).tolist() == [[[0, 0, 1], [0x12, 0xFF, 0x80]]]


def test_a_jpeg_inside_looks_as_pillow_shows_it(dicom: Dicom, dicom_dataset: Callable, photo: Photo) -> None:
    stream = io.BytesIO()
    Image.fromarray(photo(2)).save(stream, "JPEG", quality=95)
    dataset = dicom_dataset(dicom(photo(2)))
    dataset.PixelData = encapsulate([stream.getvalue()])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PhotometricInterpretation = "YBR_FULL_422"
    written = io.BytesIO()
    dataset.save_as(written)
    found = shown(written.getvalue()).astype(int)
    assert np.abs(found - np.asarray(Image.open(stream), dtype=int)).max() <= 3


def test_ybr_becomes_rgb(dicom: Dicom, photo: Photo) -> None:
    turned = convert_color_space(photo(3), "RGB", "YBR_FULL")
    found = shown(dicom(turned, "YBR_FULL")).astype(int)
    assert np.abs(found - photo(3)).max() <= 3


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_is_looked_up(dicom: Dicom, bits: int) -> None:
    colours = np.array([[0, 10, 255], [128, 1, 2], [7, 77, 200], [9, 9, 9]])
    entries = (colours << (bits - 8)).astype(f"<u{bits // 8}")
    tables = {}
    for name, column in zip(("Red", "Green", "Blue"), entries.T, strict=True):
        tables[f"{name}PaletteColorLookupTableDescriptor"] = [4, 0, bits]
        tables[f"{name}PaletteColorLookupTableData"] = column.tobytes()
    data = dicom(np.array([[2, 0], [1, 3]], np.uint8), "PALETTE COLOR", **tables)
    np.testing.assert_array_equal(shown(data), colours[[[2, 0], [1, 3]]])


def test_gray_without_a_window_goes_from_black_to_white_over_all_its_bits(dicom: Dicom) -> None:
    values = np.array([[0, 1, 128, 255]], np.uint8)
    assert gray(dicom(values, "MONOCHROME2")) == [0, 1, 128, 255]
    assert gray(dicom(values, "MONOCHROME1")) == [255, 254, 127, 0]
    deep = np.array([[0, 2048, 4095]], np.uint16)
    assert gray(dicom(deep, "MONOCHROME2", bits=12)) == [0, 128, 255]
    signed = np.array([[-2048, 0, 2047]], np.int16)
    assert gray(dicom(signed, "MONOCHROME2", bits=12)) == [0, 128, 255]


def test_a_window_is_of_rescaled_values_and_the_first_counts(dicom: Dicom) -> None:
    # values 0..4 become -10, 0, 10, 20, 30; the window shows 0 to 20
    values = np.array([[0, 1, 2, 3, 4]], np.uint16)
    window = {"WindowCenter": [10, 500], "WindowWidth": [20, 1], "VOILUTFunction": "LINEAR_EXACT"}
    scale = {"RescaleSlope": 10, "RescaleIntercept": -10}
    assert gray(dicom(values, "MONOCHROME2", **window, **scale)) == [0, 0, 128, 255, 255]
    assert gray(dicom(values, "MONOCHROME1", **window, **scale)) == [255, 255, 128, 0, 0]


def test_a_negative_rescale_slope_inverts_the_image(dicom: Dicom) -> None:
    values = np.array([[0, 255]], np.uint8)
    assert gray(dicom(values, "MONOCHROME2", RescaleSlope=-1, RescaleIntercept=255)) == [255, 0]


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID", None])
@pytest.mark.parametrize(("center", "width"), [(-300.0, 20), (12.5, 3000), (2047, 2)])
def test_windows_are_those_of_the_standard(center: float, width: float, function: str | None) -> None:
    """The pseudo-code of PS3.3, C.11.2.1.2.1 and C.11.2.1.3, for y from 0 to 255."""
    dataset = Dataset()
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsStored, dataset.PixelRepresentation = 12, 1
    dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = center, width, function
    x = np.arange(-2048, 2048)
    if function == "SIGMOID":
        expected = 255 / (1 + np.exp(np.clip(-4 * (x - center) / width, -700, 700)))
    elif function == "LINEAR_EXACT":
        expected = np.clip(((x - center) / width + 0.5) * 255, 0, 255)
    else:
        expected = np.clip(((x - (center - 0.5)) / (width - 1) + 0.5) * 255, 0, 255)
    assert np.abs(gray_table(dataset).astype(float) - expected).max() <= 0.5 + 1e-9


@pytest.mark.parametrize(
    ("function", "width"), [("LINEAR", 0), ("LINEAR_EXACT", 0), ("SIGMOID", 0), ("ODD", 9)]
)
def test_an_invalid_window_is_reported(dicom: Dicom, function: str, width: float) -> None:
    elements = {"WindowCenter": 5, "WindowWidth": width, "VOILUTFunction": function}
    with pytest.raises(UserError, match=r"x\.dcm is a damaged or unusual .*(?i:window|VOI)"):
        shown(dicom(np.zeros((2, 2), np.uint8), "MONOCHROME2", **elements))


def test_a_window_one_wide_is_a_step(dicom: Dicom) -> None:
    elements = {"WindowCenter": 2, "WindowWidth": 1}
    assert gray(dicom(np.array([[0, 1, 2, 3]], np.uint8), "MONOCHROME2", **elements)) == [0, 0, 255, 255]


def test_a_deflated_file_is_refused_before_it_is_inflated(dicom: Dicom) -> None:
    data = dicom(np.zeros((2, 2), np.uint8), "MONOCHROME2").replace(b"1.2.840.10008.1.2.1\0", DEFLATED)
    with pytest.raises(UserError, match=r"x\.dcm is deflated as a whole"):
        shown(data)


def test_a_frame_larger_than_in_the_header_is_refused_before_it_is_decoded(
    dicom: Dicom, dicom_dataset: Callable, photo: Photo
) -> None:
    dataset = dicom_dataset(dicom(photo(1), syntax=JPEG2000Lossless))
    dataset.Rows, dataset.Columns = 2, 3
    written = io.BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    size = "56x40"
    with pytest.raises(UserError, match=f"holds an image of {size}, but its header declares 3x2"):
        shown(written.getvalue())


def test_a_spacing_of_one_number_is_unknown(dicom_dataset: Callable, dicom: Dicom, photo: Photo) -> None:
    dataset = dicom_dataset(dicom(photo(1)))
    dataset.PixelSpacing = 0.1
    assert mm_per_pixel(dataset) is None


def test_a_voi_table_overrides_a_window(dicom: Dicom) -> None:
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [4, 0, 8], [0, 51, 255, 102]
    table["LUTData"].VR = "US"
    elements = {"VOILUTSequence": Sequence([table]), "WindowCenter": 1, "WindowWidth": 1}
    assert gray(dicom(np.array([[0, 1, 2, 3]], np.uint8), "MONOCHROME2", **elements)) == [0, 51, 255, 102]


def test_of_several_frames_the_first_is_taken(dicom: Dicom, photo: Photo) -> None:
    np.testing.assert_array_equal(shown(dicom(np.stack([photo(1), photo(2)]))), photo(1))


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({}, None),
        ({"PixelSpacing": [0.02, 0.02], "ImagerPixelSpacing": [5, 5]}, 0.02),
        ({"ImagerPixelSpacing": [0.03, 0.03], "NominalScannedPixelSpacing": [5, 5]}, 0.03),
        ({"NominalScannedPixelSpacing": [0.04, 0.04]}, 0.04),
        ({"PixelSpacing": [0.02, 0.02001]}, 0.020005),
        ({"PixelSpacing": [0.02, 0.03]}, None),
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.03, 0.03]}, 0.03),
        ({"PixelSpacing": None}, None),
    ],
)
def test_the_spacing_is_the_first_that_serves(
    dicom: Dicom, photo: Photo, elements: dict[str, object], expected: float | None
) -> None:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    assert mm_per_pixel(dataset) == pytest.approx(expected)
    given = {keyword: value for keyword, value in elements.items() if value is not None}
    assert mm_per_pixel(read_dataset(dicom(photo(0), **given), "x.dcm")) == pytest.approx(expected)


def test_a_file_that_is_not_an_image_is_reported(dicom: Dicom, dicom_dataset: Callable, photo: Photo) -> None:
    dataset = dicom_dataset(dicom(photo(0)))
    del dataset.PixelData
    written = io.BytesIO()
    dataset.save_as(written)
    with pytest.raises(UserError, match=r"x\.dcm is DICOM without an image"):
        shown(written.getvalue())
    dose = (SAMPLES / "rtdose_1frame.dcm").read_bytes()
    with pytest.raises(UserError, match="MONOCHROME2 of 32 bits"):
        shown(dose)


def test_a_file_cut_off_anywhere_is_a_user_error_that_names_it(dicom: Dicom, photo: Photo) -> None:
    whole = dicom(photo(0))
    for share in (0.0, 0.01, 0.02, 0.1, 0.5, 0.99):
        with pytest.raises(UserError, match=r"lesion\.dcm"):
            dicom_image(read_dataset(whole[: int(len(whole) * share)], "lesion.dcm"), "lesion.dcm")


def test_a_compression_without_a_decoder_is_named_with_the_fix(
    dicom: Dicom, dicom_dataset: Callable, photo: Photo
) -> None:
    dataset = dicom_dataset(dicom(photo(0), syntax=RLELossless))
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    written = io.BytesIO()
    dataset.save_as(written)
    with pytest.raises(UserError, match=r"compressed as JPEG Lossless.*no decoder.*dcmdjpeg"):
        shown(written.getvalue())


def test_without_pydicom_the_error_names_the_extra(
    dicom: Dicom, photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = dicom(photo(0))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(UserError, match=r"\[dicom\]"):
        read_dataset(data, "x.dcm")


SAMPLES = Path(pydicom.__file__).parent / "data" / "test_files"


@pytest.mark.parametrize(
    "name",
    [
        "SC_rgb_rle.dcm",
        "SC_rgb_rle_16bit.dcm",
        "SC_rgb_gdcm_KY.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "SC_rgb_dcmtk_+eb+cy+np.dcm",
        "SC_rgb_jpeg_lossy_gdcm.dcm",
        "SC_ybr_full_422_uncompressed.dcm",
        "SC_rgb_jls_lossy_line.dcm",
    ],
)
def test_pydicoms_colour_bars_look_alike_in_every_syntax(name: str) -> None:
    bars = shown((SAMPLES / name).read_bytes()).astype(int)
    whole = shown((SAMPLES / "SC_rgb_rle.dcm").read_bytes()).astype(int)
    middles = np.s_[5::10, 50]  # ten bars, each ten pixels high; JPEG blurs only their edges
    assert len(np.unique(whole[middles], axis=0)) >= 9
    assert np.abs(bars[middles] - whole[middles]).max() <= 6
