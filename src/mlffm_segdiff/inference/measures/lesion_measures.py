"""All measures of one lesion."""

from dataclasses import dataclass

from mlffm_segdiff.data.files import Pixels
from mlffm_segdiff.inference.masks import lesion_box, subsample
from mlffm_segdiff.inference.measures.asymmetry import measure_asymmetry
from mlffm_segdiff.inference.measures.border import measure_border
from mlffm_segdiff.inference.measures.colour import Colour, measure_colour
from mlffm_segdiff.inference.measures.geometry import measure_geometry
from mlffm_segdiff.metrics.overlap import Mask


@dataclass(frozen=True)
class LesionMeasures:
    """Measures of one lesion, in the order of predictions.csv; None for what it does not have.

    See `Geometry`, `Asymmetry`, `Border`, `Colour` and docs/MEASURES.md for the definitions.

    Attributes:
        mean_spread: Mean spread of the samples over the lesion and its uncertain surroundings, in [0, 0.5];
            None for fewer than two samples.
        area_mm2: Area in square millimetres; like the other two in millimetres None if the size of a pixel is
            unknown.
    """

    area: int
    area_share: float
    components: int
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


def measure_lesion(
    mask: Mask, view: Pixels | None, mm_per_pixel: float | None = None, mean_spread: float | None = None
) -> LesionMeasures:
    """Measure a lesion; its components count together.

    Args:
        mask: HxW bool.
        view: hxwx3 uint8 sRGB, the image or a smaller copy of it, to measure colours on; None measures none.
        mm_per_pixel: Side of a pixel in millimetres; None if it is unknown.
        mean_spread: As in `LesionMeasures`.
    """
    geometry = measure_geometry(mask)
    lesion = mask[lesion_box(mask)]
    colour = Colour() if view is None else measure_colour(view, mask)
    return LesionMeasures(
        mean_spread=mean_spread,
        **vars(geometry),
        area_mm2=_scaled(geometry.area, mm_per_pixel, 2),
        perimeter_mm=_scaled(geometry.perimeter, mm_per_pixel),
        equivalent_diameter_mm=_scaled(geometry.equivalent_diameter, mm_per_pixel),
        **vars(measure_asymmetry(subsample(lesion))),
        **vars(measure_border(lesion, geometry)),
        **vars(colour),
    )


def _scaled(pixels: float, mm_per_pixel: float | None, power: int = 1) -> float | None:
    return None if mm_per_pixel is None else pixels * mm_per_pixel**power
