"""What `predict` can write beside masks."""

from enum import StrEnum
from typing import Literal

MapFormat = Literal["png", "npy"]
TableFormat = Literal["csv", "parquet"]


class Product(StrEnum):
    """One kind of output; see `inference.outputs.output.Output`."""

    PROBABILITY = "probability"
    SPREAD = "spread"
    OVERLAY = "overlay"
    CONTOURS = "contours"
    COCO = "coco"
    DICOM_SEG = "dicom-seg"
    NNUNET = "nnunet"
    REVIEW = "review"
