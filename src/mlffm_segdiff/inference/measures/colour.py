"""How many colours a lesion has and how far they lie apart, in CIELAB."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.cluster.vq import kmeans, vq
from scipy.spatial.distance import pdist
from skimage.color import rgb2lab

Mask = npt.NDArray[np.bool_]
Pixels = npt.NDArray[np.uint8]
Lab = npt.NDArray[np.float64]

MOST_PIXELS = 20_000
MOST_COLOURS = 6
SAME_COLOUR = 10.0
"""Distance (Delta E*ab) below which two clusters count as one colour."""
LEAST_SHARE = 0.05
"""Share of the lesion that a cluster needs to count as a colour."""


@dataclass(frozen=True)
class Colour:
    """Colours of a lesion; None where it has no pixel in the picture's view.

    colours: clusters, 1 to MOST_COLOURS. colour_distance: the largest distance between the means of two of
    them, 0 for one. colour_spread: root of the mean squared distance of the pixels from their mean. Both are
    Delta E*ab, the Euclidean distance in CIELAB (D65).
    """

    colours: int | None = None
    colour_distance: float | None = None
    colour_spread: float | None = None


def measure_colour(view: Pixels, mask: Mask) -> Colour:
    """Return the colours of a lesion. view: hxwx3 uint8 sRGB, see `view_of`. mask: HxW bool, of any size.

    Clusters in CIELAB, as dermatologists count colours by the ABCD rule (Stolz et al. 1994) and Celebi and
    Zornberg 2014 count them by k-means. Here k-means starts from the fullest cells of a grid in CIELAB, so
    that nothing is drawn by chance. What counts as a cluster: see SAME_COLOUR and LEAST_SHARE.
    """
    pixels = view[mask_at(mask, view.shape[0], view.shape[1])]
    if not len(pixels):
        return Colour()
    lab = rgb2lab(pixels[:: -(-len(pixels) // MOST_PIXELS)])
    means = colour_clusters(lab)
    distance = float(pdist(means).max()) if len(means) > 1 else 0.0
    spread = float(np.sqrt(lab.var(axis=0).sum()))
    return Colour(len(means), distance, spread)


def mask_at(mask: Mask, height: int, width: int) -> Mask:
    """Return a mask (HxW bool) at height x width: each pixel takes the one under its centre."""
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new)
        for new, old in zip((height, width), mask.shape, strict=True)
    )
    found: Mask = mask[rows[:, None], columns]
    return found


def colour_clusters(lab: Lab) -> Lab:
    """Return the means (Kx3) of the clusters of CIELAB colours (Nx3, one or more), the largest first."""
    centres, _ = kmeans(lab, _first_centres(lab))
    found, _ = vq(lab, centres)
    if len(centres) > 1:
        found = fcluster(linkage(centres, "average"), SAME_COLOUR, "distance")[found]
    names, sizes = np.unique(found, return_counts=True)
    counted = names[sizes >= min(LEAST_SHARE * len(lab), sizes.max())]
    order = sorted(counted, key=lambda name: -np.count_nonzero(found == name))
    return np.stack([lab[found == name].mean(axis=0) for name in order])


def _first_centres(lab: Lab) -> Lab:
    """Return the means of the fullest cells of a grid of SAME_COLOUR, as far apart, MOST_COLOURS at most."""
    cells, of_cell = np.unique(np.floor(lab / SAME_COLOUR), axis=0, return_inverse=True)
    of_cell = of_cell.ravel()
    sizes = np.bincount(of_cell, minlength=len(cells))
    chosen: list[npt.NDArray[np.float64]] = []
    for cell in np.argsort(-sizes, kind="stable"):
        mean = lab[of_cell == cell].mean(axis=0)
        if all(np.linalg.norm(mean - other) >= SAME_COLOUR for other in chosen):
            chosen.append(mean)
        if len(chosen) == MOST_COLOURS:
            break
    return np.stack(chosen)
