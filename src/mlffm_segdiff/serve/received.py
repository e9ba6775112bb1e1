"""A file that came in, as a picture the network takes and a browser shows."""

import base64
import io
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.files import decode_mask, extent
from mlffm_segdiff.inference.dicom import is_dicom, read_header
from mlffm_segdiff.inference.outputs.dicom_seg import dicom_seg
from mlffm_segdiff.inference.outputs.outlines import Mask
from mlffm_segdiff.inference.pool import large_in_turn
from mlffm_segdiff.inference.prediction import Prediction
from mlffm_segdiff.inference.reading import FilePicture, decode_any, decode_source
from mlffm_segdiff.serve.problem import UNUSABLE, RefusedError, refusal_of
from mlffm_segdiff.serve.upload import File

PREVIEW_SIDE = 1600
PREVIEW_QUALITY = 90


def receive(file: File, size: int) -> FilePicture:
    """Return the picture in a file, at size x size for the network. Raises RefusedError if there is none."""
    try:
        return decode_source(Path(file.name), file.data, size)
    except UserError as error:
        raise refusal_of(error, file.name) from error


def receive_mask(file: File, width: int, height: int) -> Mask:
    """Return the mask in a file, HxW bool. Raises RefusedError where there is none or it has another size."""
    try:
        mask = decode_mask(file.data, file.name)
    except UserError as error:
        raise refusal_of(error, file.name) from error
    if mask.shape != (height, width):
        detail = f"the mask is {extent(mask)}, its picture {width}x{height}"
        raise RefusedError(UNUSABLE, detail, "send a mask of the picture's size", file.name)
    return mask


def preview(file: FilePicture) -> str:
    """Return a picture, at most PREVIEW_SIDE pixels long, as the URL of a JPEG file's bytes."""
    with large_in_turn(file.picture.width * file.picture.height):
        image, _ = decode_any(file.data, file.source.name)
        image.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=PREVIEW_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def dicom_answer(file: FilePicture, prediction: Prediction) -> bytes:
    """Return a DICOM SEG that refers to a file. Raises RefusedError where the file is no DICOM."""
    name = file.source.name
    if not is_dicom(file.data):
        mend = "send a DICOM file, or ask for application/json or image/png"
        raise RefusedError(UNUSABLE, "a DICOM SEG is made of a DICOM file alone", mend, name)
    try:
        return dicom_seg(read_header(file.data, name), prediction)
    except UserError as error:
        raise refusal_of(error, name) from error
