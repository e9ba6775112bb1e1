import gc
import io
import sys
import weakref
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from PIL import Image, ImageCms
from pydicom import Dataset, Sequence
from pydicom.encaps import encapsulate
from pydicom.pixels import convert_color_space
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.reading.case_image import read_image
from mlffm_segdiff.inference.reading.dicom import is_dicom, mm_per_pixel, read_dicom
from mlffm_segdiff.inference.reading.dicom_pixels import dicom_rows
from mlffm_segdiff.inference.reading.gray_display import gray_table

Dicom = Callable[..., bytes]
Photo = Callable[..., npt.NDArray[np.uint8]]


def shown(data: bytes) -> npt.NDArray[np.uint8]:
    return dicom_rows(read_dicom(io.BytesIO(data), "x.dcm"), data, "x.dcm").pixels()


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
    dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = center, width, function
    x = np.arange(-2048, 2048)
    if function == "SIGMOID":
        expected = 255 / (1 + np.exp(np.clip(-4 * (x - center) / width, -700, 700)))
    elif function == "LINEAR_EXACT":
        expected = np.clip(((x - center) / width + 0.5) * 255, 0, 255)
    else:
        expected = np.clip(((x - (center - 0.5)) / (width - 1) + 0.5) * 255, 0, 255)
    assert np.abs(gray_table(dataset, 12, True, False).astype(float) - expected).max() <= 0.5 + 1e-9


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


@pytest.mark.parametrize(("padding", "start"), [(2, 0), (5000, 0), (5000, 128), (5000, 132)])
def test_a_deflated_file_is_refused_before_it_is_inflated(
    dicom: Dicom, dicom_dataset: Callable, monkeypatch: pytest.MonkeyPatch, padding: int, start: int
) -> None:
    """With elements of any length before the transfer syntax; with preamble, with the mark only, without."""

    def refuse(*_: object) -> None:
        raise AssertionError("it was inflated")

    dataset = dicom_dataset(dicom(np.zeros((2, 2), np.uint8), "MONOCHROME2"))
    dataset.file_meta.FileMetaInformationVersion = bytes(padding)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    written = io.BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    monkeypatch.setattr(zlib, "decompress", refuse)
    with pytest.raises(UserError, match=r"x\.dcm uses the deflated transfer syntax, .*; export it with"):
        shown(written.getvalue()[start:])


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


def test_the_spacing_of_the_first_frames_functional_group_counts() -> None:
    """Enhanced multi-frame objects have it there (PS3.3, C.7.6.16.2.1)."""
    measures, group, dataset = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [0.05, 0.05]
    group.PixelMeasuresSequence = Sequence([measures])
    dataset.SharedFunctionalGroupsSequence = Sequence([group])
    assert mm_per_pixel(dataset) == pytest.approx(0.05)
    measures.PixelSpacing = [0.05, 0.06]
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
        ({"PixelSpacing": [1e160, 1e160]}, None),
        ({"PixelSpacing": [1e300, 1e300], "ImagerPixelSpacing": [0.03, 0.03]}, 0.03),
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
    assert mm_per_pixel(read_dicom(io.BytesIO(dicom(photo(0), **given)), "x.dcm").header) == pytest.approx(
        expected
    )


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
        with pytest.raises(UserError, match=r"x\.dcm"):
            shown(whole[: int(len(whole) * share)])


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
        read_dicom(io.BytesIO(data), "x.dcm")


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


def written(dataset: Dataset, **options: object) -> bytes:
    stream = io.BytesIO()
    dataset.save_as(stream, **options)
    return stream.getvalue()


def test_a_header_does_not_keep_its_file_in_memory(dicom: Dicom, photo: Photo) -> None:
    file = io.BytesIO(dicom(photo(1)))
    alive = weakref.ref(file)
    header = read_dicom(file, "x").header
    del file
    gc.collect()
    assert (alive(), header.Rows) == (None, 40)


@pytest.mark.parametrize("mark", [b"", b"DICM"])
def test_a_file_without_a_preamble_is_read(dicom: Dicom, photo: Photo, mark: bytes) -> None:
    whole = dicom(photo(1))
    assert is_dicom(mark + whole[132:])
    np.testing.assert_array_equal(shown(mark + whole[132:]), photo(1))
    bare = whole[
        whole.index(b"\x08\0\x05\0") if b"\x08\0\x05\0" in whole else whole.index(b"\x08\0\x16\0UI") :
    ]
    assert is_dicom(bare)
    np.testing.assert_array_equal(shown(bare), photo(1))


@pytest.mark.parametrize(
    "other", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"II*\0", b"\x08\0\0\0", b"id,group\n", b"\x02\0"]
)
def test_other_files_are_no_dicom(other: bytes) -> None:
    assert not is_dicom(other.ljust(132, b"\xff"))
    assert not is_dicom(other)


def test_uncompressed_rgb_labelled_as_halved_ybr_is_shown_as_rgb(
    dicom: Dicom, dicom_dataset: Callable, photo: Photo
) -> None:
    dataset = dicom_dataset(dicom(photo(1)))
    dataset.PhotometricInterpretation = "YBR_FULL_422"
    np.testing.assert_array_equal(shown(written(dataset)), photo(1))


@pytest.mark.parametrize(
    ("photometric", "subsampling", "expected_rgb"),
    [("RGB", 0, True), ("RGB", 2, True), ("YBR_FULL_422", 2, True)],
)
@pytest.mark.parametrize("jfif", [True, False])
def test_a_jpeg_is_shown_by_its_own_markers_whatever_the_header_says(
    dicom: Dicom,
    dicom_dataset: Callable,
    photo: Photo,
    photometric: str,
    subsampling: int,
    expected_rgb: bool,
    jfif: bool,
) -> None:
    stream = io.BytesIO()
    Image.fromarray(photo(2)).save(stream, "JPEG", quality=95, subsampling=subsampling)
    frame = stream.getvalue()
    if not jfif:
        frame = frame[:2] + frame[20:]  # without the marker APP0
    dataset = dicom_dataset(dicom(photo(2)))
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID, dataset.PhotometricInterpretation = JPEGBaseline8Bit, photometric
    found = shown(written(dataset)).astype(int)
    if not jfif and subsampling == 0 and photometric == "RGB":  # nothing says that it is not RGB
        assert np.abs(found - photo(2)).mean() > 20
    else:
        assert np.abs(found - photo(2)).mean() < 4


def test_planes_one_after_the_other_are_shown_as_pixels(
    dicom: Dicom, dicom_dataset: Callable, photo: Photo
) -> None:
    dataset = dicom_dataset(dicom(photo(4)))
    dataset.PixelData, dataset.PlanarConfiguration = photo(4).transpose(2, 0, 1).tobytes(), 1
    np.testing.assert_array_equal(shown(written(dataset)), photo(4))


@pytest.mark.parametrize("kind", [np.uint16, np.int16, np.uint8])
@pytest.mark.parametrize("run", [1, 300])
def test_run_lengths_are_those_of_pydicom(
    dicom: Dicom, dicom_dataset: Callable, kind: type, run: int
) -> None:
    info = np.iinfo(kind)
    values = (
        np.random.default_rng(0)
        .integers(info.min, info.max + 1, (9, 700 // run + 2), dtype=kind)
        .repeat(run, 1)
    )
    data = dicom(values, "MONOCHROME2", syntax=RLELossless)
    expected = (dicom_dataset(data).pixel_array.astype(int) - info.min) / (info.max - info.min) * 255
    assert np.abs(shown(data)[..., 0] - expected).max() <= 0.5 + 1e-9


def test_run_lengths_that_lie_are_refused(dicom: Dicom, photo: Photo) -> None:
    data = dicom(photo(1), syntax=RLELossless)
    at = data.index(b"\xfe\xff\0\xe0", data.index(b"\xe0\x7f\x10\0") + 20) + 8
    for lie in (b"\x07\0\0\0", b"\x03\0\0\0" + b"\xff" * 12, bytes(64)):
        with pytest.raises(UserError, match=r"x\.dcm is a damaged or unusual DICOM file"):
            shown(data[:at] + lie + data[at + len(lie) :])


@pytest.mark.parametrize(("low", "high"), [(0, 4095), (10, 700), (0, 255)])
@pytest.mark.parametrize("kind", [np.uint16, np.int16])
def test_gray_that_uses_few_of_its_bits_is_not_black(dicom: Dicom, low: int, high: int, kind: type) -> None:
    values = np.linspace(low, high, 30).reshape(5, 6).astype(kind)
    found = shown(dicom(values, "MONOCHROME2"))[..., 0].astype(int)
    assert (found.min(), found.max()) == (0, 255)
    inverted = shown(dicom(values, "MONOCHROME1"))[..., 0].astype(int)
    assert np.abs(found + inverted - 255).max() <= 1


def test_a_window_of_the_functional_groups_counts(dicom: Dicom) -> None:
    window, spacing, groups = Dataset(), Dataset(), Dataset()
    window.WindowCenter, window.WindowWidth, window.VOILUTFunction = 10, 20, "LINEAR_EXACT"
    spacing.PixelSpacing = [0.03, 0.03]
    groups.FrameVOILUTSequence = Sequence([window])
    data = dicom(
        np.array([[0, 10, 20, 30]], np.uint8),
        "MONOCHROME2",
        SharedFunctionalGroupsSequence=Sequence([groups]),
    )
    assert gray(data) == [0, 128, 255, 255]


INVALID = {
    "rows twice": (b"\x28\0\x10\0US\x02\0\x28\0", b"\x28\0\x10\0US\x04\0\x28\0\x28\0"),
    "rows of three bytes": (b"\x28\0\x10\0US\x02\0\x28\0", b"\x28\0\x10\0US\x03\0\x28\0\0"),
    "unknown representation": (b"\x28\0\x10\0US\x02\0\x28\0", b"\x28\0\x10\0XX\x02\0\x28\0"),
    "no rows": (b"\x28\0\x10\0US\x02\0\x28\0", b""),
    "no samples": (b"\x28\0\x02\0US\x02\0\x03\0", b""),
    "no bits": (b"\x28\0\0\x01US\x02\0\x08\0", b""),
    "bits of 7": (b"\x28\0\0\x01US\x02\0\x08\0", b"\x28\0\0\x01US\x02\0\x07\0"),
    "bits of 65535": (b"\x28\0\x01\x01US\x02\0\x08\0", b"\x28\0\x01\x01US\x02\0\xff\xff"),
    "kind twice": (b"CS\x04\0RGB ", b"CS\x08\0RGB\\RGB "),
    "kind of a person": (b"CS\x04\0RGB ", b"CS\x0c\0Example^Anna"),
    "unknown syntax": (b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0"),
    "private syntax": (b"1.2.840.10008.1.2.1\0", b"1.2.826.77777.1.2.1\0"),
    "no syntax": (b"UI\x14\x001.2.840.10008.1.2.1\0", b"UI\x14\0" + b"\0" * 20),
    "name of another length": (b"PN\x0c\0", b"PN\xff\xff"),
}


@pytest.mark.parametrize("case", INVALID)
def test_a_damaged_header_is_read_or_refused_without_a_patients_data(
    dicom: Dicom, photo: Photo, case: str, tmp_path: Path
) -> None:
    old, new = INVALID[case]
    whole = dicom(photo(0))
    assert whole.count(old) == 1
    path = tmp_path / "a.dcm"
    path.write_bytes(whole.replace(old, new))
    message = ""
    try:
        found = read_image(path, 16)
    except UserError as error:
        message = str(error)
    assert str(path) in message or (found.height, found.width) == (40, 56)
    assert "Anna" not in message
    assert "\n" not in message


@pytest.mark.filterwarnings("ignore:Invalid value for VR")  # of pydicom, for the values that the test writes
@pytest.mark.parametrize(
    "elements",
    [
        {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientName": "Yamada^Tarou=山田^太郎"},
        {"SpecificCharacterSet": "latin1"},
        {"StudyDate": "1.1.2020", "StudyTime": "noon", "PatientBirthDate": "never"},
        {"SOPInstanceUID": "no.uid..", "StudyInstanceUID": "0.01"},
        {"NumberOfFrames": "1000000"},
    ],
)
def test_invalid_values_that_do_not_matter_are_ignored(
    dicom: Dicom, photo: Photo, elements: dict[str, object]
) -> None:
    np.testing.assert_array_equal(shown(dicom(photo(0), **elements)), photo(0))


@pytest.mark.parametrize(
    ("element", "value"),
    [(b"\x28\0\x50\x10DS\x04\x0010.0", b"1,5x"), (b"\x28\0\x51\x10DS\x04\x0020.0", b"----")],
)
def test_a_window_that_is_no_number_counts_as_none(dicom: Dicom, element: bytes, value: bytes) -> None:
    values = np.array([[0, 1, 128, 255]], np.uint8)
    data = dicom(values, "MONOCHROME2", WindowCenter=10, WindowWidth=20)
    assert data.count(element) == 1
    assert gray(data.replace(element, element[:-4] + value)) == [0, 1, 128, 255]


def test_the_memory_is_refused_before_the_pixels_are_decoded(
    dicom: Dicom, dicom_dataset: Callable, photo: Photo
) -> None:
    dataset = dicom_dataset(dicom(photo(1), syntax=JPEG2000Lossless))
    dataset.Rows, dataset.Columns = 12_000, 12_000
    with pytest.raises(
        UserError, match=r"x\.dcm is a DICOM image of 12000x12000, 3x8 bits and needs 3\.\d+ GB"
    ):
        shown(written(dataset, enforce_file_format=True))


def test_a_profile_of_the_header_is_applied(dicom: Dicom, photo: Photo) -> None:
    linear = ImageCms.createProfile("XYZ")
    assert (shown(dicom(photo(0), ICCProfile=ImageCms.ImageCmsProfile(linear).tobytes())) == photo(0)).all()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert (shown(dicom(photo(0), ICCProfile=srgb)) == photo(0)).all()
