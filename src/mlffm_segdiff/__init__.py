"""MLFFM-SegDiff: skin lesion segmentation with a conditional diffusion model over masks.

from mlffm_segdiff import Segmenter
result = Segmenter.from_pretrained("default").segment("lesion.jpg")
result.mask, result.probability, result.measures.area, result.expected_dice
"""

from typing import TYPE_CHECKING

from mlffm_segdiff.config.lazy import lazy_exports

if TYPE_CHECKING:
    from mlffm_segdiff.config.errors import UserError
    from mlffm_segdiff.evaluation import evaluate
    from mlffm_segdiff.inference.analysis import OutlierError
    from mlffm_segdiff.inference.change import measure_change
    from mlffm_segdiff.inference.postprocessing import PostProcessing
    from mlffm_segdiff.inference.segmenter import Prompted, Segmenter, segment
    from mlffm_segdiff.study import compare
    from mlffm_segdiff.training import train

__version__ = "0.1.0"
__all__ = [
    "OutlierError",
    "PostProcessing",
    "Prompted",
    "Segmenter",
    "UserError",
    "__version__",
    "compare",
    "evaluate",
    "measure_change",
    "segment",
    "train",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "config.errors": "UserError",
        "evaluation": "evaluate",
        "inference.analysis": "OutlierError",
        "inference.change": "measure_change",
        "inference.postprocessing": "PostProcessing",
        "inference.segmenter": "Prompted Segmenter segment",
        "study": "compare",
        "training": "train",
    },
)
