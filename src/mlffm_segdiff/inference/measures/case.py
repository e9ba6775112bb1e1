"""All measures of one case."""

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from mlffm_segdiff.data.view import VIEW_SIDE, view_of
from mlffm_segdiff.inference.measures.asymmetry import measure_asymmetry
from mlffm_segdiff.inference.measures.border import measure_border
from mlffm_segdiff.inference.measures.colour import measure_colour
from mlffm_segdiff.inference.measures.geometry import measure_geometry
from mlffm_segdiff.inference.measures.lattice import thinned
from mlffm_segdiff.inference.prediction import Prediction, lesion_box

Pixels = npt.NDArray[np.uint8]

POSSIBLE = 0.05


@dataclass(frozen=True)
class CaseMeasures:
    """Numbers of one case, in the order of predictions.csv; None where the case does not have it.

    Definitions stand in `Geometry`, `Asymmetry`, `Border`, `Colour` and docs/MEASURES.md. mean_spread: mean
    of the spread where the probability is at least POSSIBLE, that is over the lesion and its doubtful
    surroundings; 0 where there is no such pixel. area_mm2, perimeter_mm, equivalent_diameter_mm: where the
    spacing of the pixels is known.
    """

    area: int
    area_share: float
    parts: int
    mean_spread: float | None
    perimeter: float
    equivalent_diameter: float
    area_mm2: float | None = None
    perimeter_mm: float | None = None
    equivalent_diameter_mm: float | None = None
    centroid_x: float | None = None
    centroid_y: float | None = None
    box_left: int | None = None
    box_top: int | None = None
    box_width: int | None = None
    box_height: int | None = None
    asymmetry_major: float | None = None
    asymmetry_minor: float | None = None
    compactness: float | None = None
    solidity: float | None = None
    fractal_index: float | None = None
    colours: int | None = None
    colour_distance: float | None = None
    colour_spread: float | None = None


def measure_case(image: Pixels, prediction: Prediction, mm_per_pixel: float | None = None) -> CaseMeasures:
    """Return the measures of a case; the parts of a lesion count together.

    image: HxWx3 uint8 sRGB, the picture, or its `view_of`. mm_per_pixel: side of a pixel in millimetres, or
    None where it is not known.
    """
    view = image if max(image.shape) <= VIEW_SIDE else view_of(Image.fromarray(image))
    geometry = measure_geometry(prediction.mask)
    lesion = prediction.mask[lesion_box(prediction.mask)]
    return CaseMeasures(
        mean_spread=mean_spread(prediction),
        **asdict(geometry),
        area_mm2=_scaled(geometry.area, mm_per_pixel, 2),
        perimeter_mm=_scaled(geometry.perimeter, mm_per_pixel),
        equivalent_diameter_mm=_scaled(geometry.equivalent_diameter, mm_per_pixel),
        **asdict(measure_asymmetry(thinned(lesion))),
        **asdict(measure_border(lesion, geometry)),
        **asdict(measure_colour(view, prediction.mask)),
    )


def mean_spread(prediction: Prediction) -> float:
    """Return the mean spread of a prediction; see `CaseMeasures`."""
    possible = prediction.probability >= POSSIBLE
    return float(prediction.spread.mean(dtype=np.float64, where=possible)) if possible.any() else 0.0


def _scaled(pixels: float, mm_per_pixel: float | None, power: int = 1) -> float | None:
    return None if mm_per_pixel is None else pixels * mm_per_pixel**power
