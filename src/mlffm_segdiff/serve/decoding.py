"""Uploaded files as images and masks."""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.files import decode_mask, image_size
from mlffm_segdiff.inference.outputs.dicom_seg import dicom_seg
from mlffm_segdiff.inference.reading.case_image import CaseImage, decode_case, pixel_count
from mlffm_segdiff.inference.result import CaseResult
from mlffm_segdiff.metrics.overlap import Mask
from mlffm_segdiff.serve.problem import TOO_LARGE, UNUSABLE, RefusedError, refusal_of
from mlffm_segdiff.serve.upload import File

PREVIEW_SIDE = 1600
PREVIEW_QUALITY = 90


@contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Turn the error of a file into its refusal."""
    try:
        yield
    except UserError as error:
        raise refusal_of(error, name) from error


def count_pixels(file: File, most: int) -> int:
    """Return the number of pixels of an uploaded image or mask, from its header.

    Args:
        file: The upload.
        most: Largest number of pixels.

    Raises:
        RefusedError: The file is not an image, or has more pixels.
    """
    with _refusing(file.name):
        pixels = pixel_count(file.data, file.name)
    if pixels > most:
        detail = f"{file.name} has {pixels / 1e6:,.1f} megapixels, above the limit of {most / 1e6:g}"
        hint = "crop the lesion or shrink the image, or start the server with --max-megapixels"
        raise RefusedError(TOO_LARGE, detail, hint, file.name)
    return pixels


def decode_upload(file: File, size: int, most_pixels: int, keep: bool = False) -> CaseImage:
    """Decode an uploaded image.

    Args:
        file: The upload.
        size: Side of the network's input in pixels.
        most_pixels: Largest image.
        keep: Keep what `preview` needs.

    Raises:
        RefusedError: The file is not an image, or is damaged.
    """
    with _refusing(file.name):
        return decode_case(file.data, Path(file.name), size, keep, most_pixels)


def decode_uploaded_mask(file: File, width: int, height: int) -> Mask:
    """Decode an uploaded mask (HxW bool). Raises RefusedError if it is not a mask or has another size."""
    with _refusing(file.name):
        size = image_size(file.data, file.name)
        if size[0] * size[1] == width * height:  # a mask of another size is not decoded
            mask = decode_mask(file.data, file.name)
            size = mask.shape[1], mask.shape[0]
    if size != (width, height):
        detail = f"the mask is {size[0]}x{size[1]}, its image {width}x{height}"
        raise RefusedError(UNUSABLE, detail, "send a mask of the image's size", file.name)
    return mask


def preview(image: CaseImage) -> str:
    """Return an image, no side above PREVIEW_SIDE, as the data URL of a JPEG file.

    Call it in a block of `result_memory`. Raises UserError if the image is too large to be shown.
    """
    shown = image.full_size
    share = PREVIEW_SIDE / max(shown.size)
    if share < 1:
        width, height = (max(round(side * share), 1) for side in shown.size)
        shown = shown.resize((width, height))
    stream = io.BytesIO()
    shown.save(stream, "JPEG", quality=PREVIEW_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def dicom_response(result: CaseResult) -> bytes:
    """Return a DICOM SEG of a mask. Raises RefusedError if the image is not from a suitable DICOM file."""
    if result.image.header is None:
        hint = "send a DICOM file, or request application/json or image/png"
        detail = "a DICOM SEG can only be made of a DICOM file"
        raise RefusedError(UNUSABLE, detail, hint, result.image.name)
    with _refusing(result.image.name):
        return dicom_seg(result)
