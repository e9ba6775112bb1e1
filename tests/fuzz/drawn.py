"""Small valid files, drawn by the tests: images of every format and mode, masks, DICOM of seven syntaxes."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import set_pixel_data
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
    VLPhotographicImageStorage,
)

Pixels = npt.NDArray[np.uint8]

HEIGHT, WIDTH = 24, 32
ORIENTATION = 0x0112


def photo(seed: int = 0) -> Pixels:
    """Return an image of smooth random colours, HxWx3."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))


def mask(seed: int = 0) -> Pixels:
    """Return a mask of 0 and 255 with one rectangle, HxW."""
    top, left = np.random.default_rng(seed).integers(1, 8, 2)
    found = np.zeros((HEIGHT, WIDTH), np.uint8)
    found[top : top + 12, left : left + 16] = 255
    return found


def encoded(image: Image.Image | npt.NDArray[np.generic], kind: str = "PNG", **options: object) -> bytes:
    """Return an image as a file."""
    stream = io.BytesIO()
    drawn = image if isinstance(image, Image.Image) else Image.fromarray(image)
    drawn.save(stream, kind, **options)
    return stream.getvalue()


def image_files() -> dict[str, bytes]:
    """Return images in the documented formats, and in every mode that they have."""
    rgb = Image.fromarray(photo())
    gray, other = rgb.convert("L"), Image.fromarray(photo(1))
    deep = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    alpha = rgb.copy()
    alpha.putalpha(Image.fromarray(mask()))
    turned = Image.Exif()
    turned[ORIENTATION] = 6
    plain = {mode: rgb.convert(mode) for mode in ("1", "L", "P", "RGB", "CMYK")}
    files = {f"{mode}.png": encoded(plain[mode]) for mode in ("1", "L", "P", "RGB")}
    files |= {f"{mode}.jpg": encoded(plain[mode], "JPEG") for mode in ("L", "RGB", "CMYK")}
    files |= {f"{mode}.bmp": encoded(plain[mode], "BMP") for mode in ("1", "L", "P", "RGB")}
    files |= {f"{mode}.tif": encoded(plain[mode], "TIFF") for mode in ("1", "L", "P", "RGB", "CMYK")}
    return files | {
        "rgba.png": encoded(alpha),
        "la.png": encoded(alpha.convert("LA")),
        "deep.png": encoded(deep),
        "interlaced.png": encoded(rgb, optimize=True, dpi=(72, 72), exif=turned),
        "progressive.jpg": encoded(rgb, "JPEG", progressive=True, exif=turned),
        "turned.jpg": encoded(rgb, "JPEG", exif=turned, comment=b"drawn", icc_profile=b"no profile"),
        "deep.tif": encoded(deep, "TIFF"),
        "float.tif": encoded(np.asarray(gray).astype(np.float32) / 255, "TIFF"),
        "lzw.tif": encoded(rgb, "TIFF", compression="tiff_lzw"),
        "deflate.tif": encoded(alpha, "TIFF", compression="tiff_adobe_deflate"),
        "jpeg.tif": encoded(rgb, "TIFF", compression="jpeg"),
        "pages.tif": encoded(rgb, "TIFF", save_all=True, append_images=[other, gray]),
        "lossy.webp": encoded(rgb, "WEBP"),
        "lossless.webp": encoded(alpha, "WEBP", lossless=True, exif=turned),
        "frames.webp": encoded(rgb, "WEBP", save_all=True, append_images=[other]),
        "P.gif": encoded(plain["P"], "GIF"),
        "frames.gif": encoded(plain["P"], "GIF", save_all=True, append_images=[other.convert("P")]),
    }


def foreign_files() -> dict[str, bytes]:
    """Return images of formats that are not documented, under names of documented ones, and other files."""
    rgb = Image.fromarray(photo())
    kinds = ("PPM", "EPS", "PCX", "TGA", "ICO", "SGI", "DDS", "JPEG2000", "PDF", "MSP", "XBM")
    drawn = {kind: encoded(rgb.convert("1" if kind in ("MSP", "XBM") else "RGB"), kind) for kind in kinds}
    return {f"{kind}.jpg": data for kind, data in drawn.items()} | {
        "fits.png": b"SIMPLE  =                    T".ljust(80)
        + b"BITPIX  =                    8".ljust(80)
        + b"NAXIS   =                    2".ljust(80)
        + b"NAXIS1  =                   32".ljust(80)
        + b"NAXIS2  =                   24".ljust(80)
        + b"END".ljust(80 * 31)
        + photo()[..., 0].tobytes(),
        "page.png": b"<!doctype html><title>404</title>",
        "empty.png": b"",
    }


def dicom_files() -> dict[str, bytes]:
    """Return DICOM photographs in six transfer syntaxes, and with several kinds of pixels."""
    gray = photo()[..., 0]
    deep = gray.astype(np.uint16) * 16
    window = {"WindowCenter": 2048.0, "WindowWidth": 4096.0}
    return {
        "implicit.dcm": dicom_file(photo(), ImplicitVRLittleEndian),
        "explicit.dcm": dicom_file(photo(), ExplicitVRLittleEndian),
        "big.dcm": dicom_file(photo(), ExplicitVRBigEndian),
        "baseline.dcm": dicom_file(photo(), JPEGBaseline8Bit, PhotometricInterpretation="YBR_FULL_422"),
        "j2k.dcm": dicom_file(photo(), JPEG2000Lossless),
        "rle.dcm": dicom_file(photo(), RLELossless),
        "gray.dcm": dicom_file(gray, ExplicitVRLittleEndian),
        "deep.dcm": dicom_file(deep, ImplicitVRLittleEndian, BitsStored=12, HighBit=11, **window),
        "inverted.dcm": dicom_file(gray, RLELossless, PhotometricInterpretation="MONOCHROME1"),
    }


def deflated_dicom() -> dict[str, bytes]:
    """Return the seventh syntax, whose whole data set is compressed; it may be refused."""
    return {"deflated.dcm": dicom_file(photo(), DeflatedExplicitVRLittleEndian)}


def dicom_file(pixels: npt.NDArray[np.integer], syntax: UID, **elements: object) -> bytes:
    """Return a DICOM photograph. JPEG and JPEG 2000 are encoded by Pillow, and wrapped here."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = VLPhotographicImageStorage
    dataset.SOPInstanceUID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = (
        f"2.25.{number}" for number in (1, 2, 3)
    )
    dataset.PatientName, dataset.PatientID = "Example^Anna", "7"
    dataset.PixelSpacing = [0.25, 0.25]
    photometric = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    set_pixel_data(dataset, pixels, photometric, 8 * pixels.dtype.itemsize, generate_instance_uid=False)
    if syntax == RLELossless:
        dataset.compress(syntax, generate_instance_uid=False)
    elif syntax in (JPEGBaseline8Bit, JPEG2000Lossless):
        kind, options = ("JPEG", {}) if syntax == JPEGBaseline8Bit else ("JPEG2000", {"no_jp2": True})
        dataset.PixelData = encapsulate([encoded(pixels, kind, **options)])
    dataset.file_meta.TransferSyntaxUID = syntax
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    if syntax == ExplicitVRBigEndian and pixels.dtype.itemsize == 2:
        dataset.PixelData = pixels.astype(">u2").tobytes()
    stream = io.BytesIO()
    dataset.save_as(
        stream,
        enforce_file_format=True,
        implicit_vr=syntax.is_implicit_VR,
        little_endian=syntax.is_little_endian,
    )
    return stream.getvalue()
