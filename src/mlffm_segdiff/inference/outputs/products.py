"""One case's files: the mask, and what else was asked for."""

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.products import Product
from mlffm_segdiff.data.atomic import atomic_write
from mlffm_segdiff.data.datasets.nnunet_export import image_path, label_image, label_path
from mlffm_segdiff.data.datasets.nnunet_raw import TEST
from mlffm_segdiff.inference.dicom import is_dicom, read_header
from mlffm_segdiff.inference.outputs.contours import geojson
from mlffm_segdiff.inference.outputs.dicom_seg import check_source, dicom_seg
from mlffm_segdiff.inference.outputs.maps import write_map
from mlffm_segdiff.inference.outputs.outlines import Mask
from mlffm_segdiff.inference.outputs.output import Output
from mlffm_segdiff.inference.overlay import draw_outline
from mlffm_segdiff.inference.prediction import Prediction
from mlffm_segdiff.inference.reading import FilePicture, decode_any
from mlffm_segdiff.inference.review.thumbnail import thumbnail

OVERLAY_QUALITY = 92


def check_case(file: FilePicture, output: Output) -> None:
    """Raise UserError where a product cannot be made of this file."""
    if Product.DICOM_SEG not in output.products:
        return
    if not is_dicom(file.data):
        raise UserError(
            f"{file.source} is no DICOM file, and a DICOM SEG refers to one; give DICOM files alone, "
            "or leave dicom-seg out"
        )
    check_source(read_header(file.data, str(file.source)), str(file.source))


def write_of_prediction(file: FilePicture, prediction: Prediction, output: Output) -> None:
    """Write those products that `output` asks for which need a whole prediction.

    Raises UserError where that fails, NoSourceError before anything is written.
    """
    for product, write in _OF_PREDICTION.items():
        if product in output.products:
            write(file, prediction, output)


def write_of_mask(file: FilePicture, mask: Mask, output: Output) -> None:
    """Write the mask (HxW), and the products made of it that `output` asks for. Raises UserError."""
    save_picture(Image.fromarray(mask * np.uint8(255)), output.masks / f"{file.name}.png")
    for product, write in _OF_MASK.items():
        if product in output.products:
            write(file, mask, output)


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture, whole or not at all. Raises UserError where it cannot be written."""
    with atomic_write(path) as temporary:
        picture.save(temporary, quality=OVERLAY_QUALITY, subsampling=0, compress_type=zlib.Z_RLE)


def _write_probability(file: FilePicture, prediction: Prediction, output: Output) -> None:
    write_map(prediction.probability, output.probabilities / f"{file.name}.{output.maps}")


def _write_spread(file: FilePicture, prediction: Prediction, output: Output) -> None:
    write_map(prediction.spread, output.spreads / f"{file.name}.{output.maps}")


def _write_overlay(file: FilePicture, mask: Mask, output: Output) -> None:
    picture, _ = decode_any(file.data, str(file.source))
    draw_outline(picture, mask)
    save_picture(picture, output.overlays / f"{file.name}.jpg")


def _write_contours(file: FilePicture, mask: Mask, output: Output) -> None:
    with atomic_write(output.contours / f"{file.name}.geojson") as temporary:
        temporary.write_text(json.dumps(geojson(mask, file.source.name)), encoding="utf-8")


def _write_dicom_seg(file: FilePicture, prediction: Prediction, output: Output) -> None:
    made = dicom_seg(read_header(file.data, str(file.source)), prediction)
    with atomic_write(output.dicom_segs / f"{file.name}.dcm") as temporary:
        temporary.write_bytes(made)


def _write_nnunet(file: FilePicture, mask: Mask, output: Output) -> None:
    picture, _ = decode_any(file.data, str(file.source))
    save_picture(picture, image_path(output.nnunet, TEST, file.name))
    save_picture(label_image(mask), label_path(output.nnunet, TEST, file.name))


def _write_thumbnail(file: FilePicture, mask: Mask, output: Output) -> None:
    save_picture(thumbnail(file.view, mask), output.review / f"{file.name}.jpg")


_OF_PREDICTION: dict[Product, Callable[[FilePicture, Prediction, Output], None]] = {
    Product.DICOM_SEG: _write_dicom_seg,
    Product.PROBABILITY: _write_probability,
    Product.SPREAD: _write_spread,
}
_OF_MASK: dict[Product, Callable[[FilePicture, Mask, Output], None]] = {
    Product.OVERLAY: _write_overlay,
    Product.CONTOURS: _write_contours,
    Product.NNUNET: _write_nnunet,
    Product.REVIEW: _write_thumbnail,
}
