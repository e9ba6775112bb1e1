"""MLFFM-SegDiff: skin lesion segmentation with a conditional diffusion model over masks.

from mlffm_segdiff import segment
prediction, = segment(["lesion.jpg"])
prediction.mask, prediction.probability, prediction.spread
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlffm_segdiff.inference.segment import segment
    from mlffm_segdiff.segmenters.pretrained import Pretrained, load_pretrained

__version__ = "0.1.0"
__all__ = ["Pretrained", "__version__", "load_pretrained", "segment"]

_HOMES = {
    "Pretrained": "mlffm_segdiff.segmenters.pretrained",
    "load_pretrained": "mlffm_segdiff.segmenters.pretrained",
    "segment": "mlffm_segdiff.inference.segment",
}


def __getattr__(name: str) -> Any:
    """Import a public function when it is first asked for (PEP 562): the package itself imports at once."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
