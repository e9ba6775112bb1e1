"""A large mask thinned to what its shape needs."""

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]

LATTICE_SIDE = 1024


def thinned(mask: Mask) -> Mask:
    """Return every k-th row and column of a mask (HxW bool), k the least that leaves LATTICE_SIDE or fewer.

    A view, with nothing copied. Measures without a unit stay what they are; a mask with no side above
    LATTICE_SIDE is returned as it is.
    """
    step = max(1, -(-max(mask.shape) // LATTICE_SIDE))
    rows, columns = (min(step // 2, (side - 1) // 2) for side in mask.shape)
    return mask[rows::step, columns::step]
