"""MLFFM-SegDiff: skin lesion segmentation with a conditional diffusion model over masks.

from mlffm_segdiff import Segmenter
result = Segmenter.from_pretrained("default").segment("lesion.jpg")
result.mask, result.probability, result.measures.area, result.expected_dice
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlffm_segdiff.evaluation import evaluate
    from mlffm_segdiff.inference.change import measure_change
    from mlffm_segdiff.inference.postprocessing import PostProcessing
    from mlffm_segdiff.inference.segmenter import Segmenter, segment
    from mlffm_segdiff.study import compare
    from mlffm_segdiff.training import train

__version__ = "0.1.0"
__all__ = [
    "PostProcessing",
    "Segmenter",
    "__version__",
    "compare",
    "evaluate",
    "measure_change",
    "segment",
    "train",
]

_MODULES = {
    "PostProcessing": "mlffm_segdiff.inference.postprocessing",
    "Segmenter": "mlffm_segdiff.inference.segmenter",
    "compare": "mlffm_segdiff.study",
    "evaluate": "mlffm_segdiff.evaluation",
    "measure_change": "mlffm_segdiff.inference.change",
    "segment": "mlffm_segdiff.inference.segmenter",
    "train": "mlffm_segdiff.training",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562), so that importing the package is instant."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
