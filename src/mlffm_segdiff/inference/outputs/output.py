"""Where results go, and which."""

from dataclasses import dataclass
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.extra import needs_extra
from mlffm_segdiff.config.products import MapFormat, Product, TableFormat

OF_THE_PICTURE = frozenset({Product.OVERLAY, Product.DICOM_SEG, Product.NNUNET})


@dataclass(frozen=True)
class Output:
    """Where results go, and which: masks/NAME.png (0 and 255) always, `products` where asked for.

    probability and spread: probabilities/ and spreads/, each NAME.png, 16 bits, 65535 times the value, or
    NAME.npy, float32 (`maps`). overlay: overlays/NAME.jpg, the picture with the mask's outline. contours:
    contours/NAME.geojson. coco: coco.json, of all pictures. dicom-seg: dicom-seg/NAME.dcm, of DICOM files
    alone. nnunet: nnunet/ with imagesTs, labelsTs and dataset.json. review: review.html, a page of all cases,
    and review/NAME.jpg, small pictures with the outline for it. NAME is the picture's name without its
    ending. table: predictions.csv or predictions.parquet.
    """

    folder: Path
    products: frozenset[Product] = frozenset()
    maps: MapFormat = "png"
    table_format: TableFormat = "csv"

    @property
    def masks(self) -> Path:
        """The folder of masks."""
        return self.folder / "masks"

    @property
    def probabilities(self) -> Path:
        """The folder of probability maps."""
        return self.folder / "probabilities"

    @property
    def spreads(self) -> Path:
        """The folder of maps of the samples' spread."""
        return self.folder / "spreads"

    @property
    def overlays(self) -> Path:
        """The folder of overlays."""
        return self.folder / "overlays"

    @property
    def contours(self) -> Path:
        """The folder of GeoJSON files."""
        return self.folder / "contours"

    @property
    def dicom_segs(self) -> Path:
        """The folder of DICOM SEG files."""
        return self.folder / "dicom-seg"

    @property
    def nnunet(self) -> Path:
        """The folder in nnU-Net's raw layout."""
        return self.folder / "nnunet"

    @property
    def coco(self) -> Path:
        """The COCO file."""
        return self.folder / "coco.json"

    @property
    def review(self) -> Path:
        """The folder of the review page's pictures."""
        return self.folder / "review"

    @property
    def review_page(self) -> Path:
        """The page of all cases."""
        return self.folder / "review.html"

    @property
    def table(self) -> Path:
        """The table of numbers."""
        return self.folder / f"predictions.{self.table_format}"

    @property
    def needs_bytes(self) -> bool:
        """Whether a product is made of the picture itself."""
        return bool(self.products & OF_THE_PICTURE)

    @property
    def picture_folders(self) -> tuple[Path, ...]:
        """Where pictures are written, which no input may lie in."""
        nnunet = (self.nnunet / "imagesTs", self.nnunet / "labelsTs")
        shown = (self.overlays, self.review)
        return (self.masks, self.probabilities, self.spreads, *shown, self.dicom_segs, *nnunet)


def check_output(output: Output, samples: int) -> None:
    """Raise UserError for an unknown output, one that needs a package or more samples than are drawn."""
    for product in sorted(output.products - set(Product)):
        raise UserError(f"{str(product)!r} is no output; choose of {', '.join(Product)}")
    if Product.SPREAD in output.products and samples < 2:
        raise UserError(
            f"the spread map needs samples, and {samples} are drawn; "
            "set samples to 2 or more, or leave the spread map out"
        )
    if Product.DICOM_SEG in output.products:
        with needs_extra("dicom"):
            import highdicom  # noqa: F401
    if output.table_format == "parquet":
        with needs_extra("table"):
            import pyarrow  # noqa: F401
