"""The data sets by name."""

from collections.abc import Callable, Mapping
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Case
from mlffm_segdiff.data.datasets.ham10000 import find_ham10000
from mlffm_segdiff.data.datasets.image_folder import find_image_folder
from mlffm_segdiff.data.datasets.isic2018 import find_isic2018
from mlffm_segdiff.data.datasets.nnunet_raw import find_nnunet, nnunet_split
from mlffm_segdiff.data.datasets.pairing import Pairing
from mlffm_segdiff.data.datasets.ph2 import find_ph2
from mlffm_segdiff.data.splits import OFFICIAL, Split, official_split

FINDERS: Mapping[str, Callable[[Path], Pairing]] = {
    "folder": find_image_folder,
    "ham10000": find_ham10000,
    "isic2018": find_isic2018,
    "nnunet": find_nnunet,
    "ph2": find_ph2,
}


def read_cases(name: str, path: Path) -> list[Case]:
    """The cases of the data set `name` at `path`, sorted by id. Raises UserError on an unknown name."""
    return find_pairs(name, path).cases()


def find_pairs(name: str, path: Path) -> Pairing:
    """As `read_cases`, with the masks that have no image. Raises UserError on an unknown name."""
    require_known(name)
    return FINDERS[name](path)


def own_split(name: str, path: Path) -> Split | None:
    """The split that a data set comes with: a packaged list, the fold of nnU-Net's raw data, or none."""
    if name == "nnunet":
        return nnunet_split(path)
    return official_split(name) if name in OFFICIAL else None


def require_known(name: str) -> None:
    """Raise UserError if no data set is called `name`."""
    if name not in FINDERS:
        raise UserError(f"unknown data set {name!r}; choose one of {', '.join(FINDERS)}")
