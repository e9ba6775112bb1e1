"""A file that came in, as a picture the network takes and a browser shows."""

import base64
import io
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.cache import resize_picture
from mlffm_segdiff.data.files import decode_mask, decode_picture, extent
from mlffm_segdiff.inference.dicom import is_dicom, read_dicom, read_header
from mlffm_segdiff.inference.model import Picture
from mlffm_segdiff.inference.outputs.dicom_seg import dicom_seg
from mlffm_segdiff.inference.outputs.outlines import Mask
from mlffm_segdiff.inference.prediction import Prediction
from mlffm_segdiff.serve.problem import UNUSABLE, RefusedError, refusal_of
from mlffm_segdiff.serve.upload import File

PREVIEW_SIDE = 1600
PREVIEW_QUALITY = 90
UNNAMED = "the file"


@dataclass(frozen=True)
class Received:
    """file: as it came. image: its picture, RGB. mm_per_pixel: of a DICOM file that says it."""

    file: File
    image: Image.Image
    mm_per_pixel: float | None

    def shrunk(self, size: int) -> Picture:
        """Return the picture at size x size, its noise drawn by the file's name without its ending."""
        small = resize_picture(self.image, size)
        return Picture(PurePath(self.file.name).stem, small, self.image.height, self.image.width)

    def preview(self) -> str:
        """Return the picture, at most PREVIEW_SIDE pixels long, as the URL of a JPEG file's bytes."""
        shown = self.image.copy()
        shown.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
        stream = io.BytesIO()
        shown.save(stream, "JPEG", quality=PREVIEW_QUALITY)
        return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()

    def dicom_seg(self, prediction: Prediction) -> bytes:
        """Return a DICOM SEG of this file. Raises RefusedError where it is no DICOM."""
        if not is_dicom(self.file.data):
            mend = "send a DICOM file, or ask for application/json or image/png"
            raise RefusedError(UNUSABLE, "a DICOM SEG is made of a DICOM file alone", mend, self.file.name)
        try:
            return dicom_seg(read_header(self.file.data, self.file.name or UNNAMED), prediction)
        except UserError as error:
            raise refusal_of(error, self.file.name) from error


def receive(file: File) -> Received:
    """Return the picture in a file. Raises RefusedError where there is none."""
    name = file.name or UNNAMED
    try:
        if is_dicom(file.data):
            return Received(file, *read_dicom(file.data, name))
        return Received(file, decode_picture(file.data, name), None)
    except UserError as error:
        raise refusal_of(error, file.name) from error


def receive_mask(file: File, image: Image.Image) -> Mask:
    """Return the mask in a file, HxW bool. Raises RefusedError where there is none or it has another size."""
    try:
        mask = decode_mask(file.data, file.name or "the mask")
    except UserError as error:
        raise refusal_of(error, file.name) from error
    if mask.shape != (image.height, image.width):
        detail = f"the mask is {extent(mask)}, its picture {image.width}x{image.height}"
        raise RefusedError(UNUSABLE, detail, "send a mask of the picture's size", file.name)
    return np.asarray(mask)
