"""The number of colours in a lesion and their distance, in CIELAB."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.cluster.vq import kmeans, vq
from scipy.spatial.distance import pdist
from skimage.color import rgb2lab

from mlffm_segdiff.data.files import Pixels
from mlffm_segdiff.inference.masks import nearest_mask
from mlffm_segdiff.metrics.overlap import Mask

Lab = npt.NDArray[np.float64]

MAX_PIXELS = 20_000
MAX_COLOURS = 6
SAME_COLOUR = 10.0
"""Distance (Delta E*ab) up to which clusters are merged, by average linkage of their centres."""
CELL_STEPS = np.array([10_000, 100, 1])
"""From the L*, a* and b* of a cell of the grid to its number; there are fewer than 100 cells along each."""
MIN_SHARE = 0.05
"""Share of the lesion that a cluster needs to count as a colour."""


@dataclass(frozen=True)
class Colour:
    """Colours of a lesion; None if it has no pixel in the view. Distances are Delta E*ab in CIELAB (D65).

    Attributes:
        colours: Number of clusters, 1 to MAX_COLOURS.
        colour_distance: Largest distance between the means of two clusters, 0 for one cluster.
        colour_spread: Root of the mean squared distance of the pixels from their mean.
    """

    colours: int | None = None
    colour_distance: float | None = None
    colour_spread: float | None = None


def measure_colour(view: Pixels, mask: Mask) -> Colour:
    """Return the colours of a lesion.

    Clusters in CIELAB, as dermatologists count colours by the ABCD rule (Stolz et al. 1994) and Celebi and
    Zornberg 2014 count them by k-means. Here k-means starts from the fullest cells of a grid in CIELAB, so
    that the result is deterministic. SAME_COLOUR and MIN_SHARE define what counts as a cluster.

    Args:
        view: hxwx3 uint8 sRGB, see `view_of`.
        mask: HxW bool, of any size.
    """
    pixels = view[nearest_mask(mask, view.shape[0], view.shape[1])]
    if not len(pixels):
        return Colour()
    lab = rgb2lab(pixels[:: -(-len(pixels) // MAX_PIXELS)])
    means = colour_clusters(lab)
    distance = float(pdist(means).max()) if len(means) > 1 else 0.0
    spread = float(np.sqrt(lab.var(axis=0).sum()))
    return Colour(len(means), distance, spread)


def colour_clusters(lab: Lab) -> Lab:
    """Return the means (Kx3) of the clusters of CIELAB colours (Nx3, one or more), the largest first."""
    centres, _ = kmeans(lab, _first_centres(lab))
    found, _ = vq(lab, centres)
    if len(centres) > 1 and pdist(centres).min() <= SAME_COLOUR:
        found = fcluster(linkage(centres, "average"), SAME_COLOUR, "distance")[found]
    names, sizes = np.unique(found, return_counts=True)
    counted = names[sizes >= min(MIN_SHARE * len(lab), sizes.max())]
    order = sorted(counted, key=lambda name: -np.count_nonzero(found == name))
    return np.stack([lab[found == name].mean(axis=0) for name in order])


def _first_centres(lab: Lab) -> Lab:
    """Return the means of the fullest cells of a SAME_COLOUR grid, that far apart, at most MAX_COLOURS."""
    cells = np.floor(lab / SAME_COLOUR).astype(np.int64)
    _, of_cell, sizes = np.unique(cells @ CELL_STEPS, return_inverse=True, return_counts=True)
    sums = [np.bincount(of_cell, weights=channel) for channel in lab.T]
    means = np.stack(sums, axis=1) / sizes[:, None]
    left = means[np.argsort(-sizes, kind="stable")]
    chosen: list[Lab] = []
    while len(left) and len(chosen) < MAX_COLOURS:
        chosen.append(left[0])
        left = left[np.linalg.norm(left - left[0], axis=1) >= SAME_COLOUR]
    return np.stack(chosen)
