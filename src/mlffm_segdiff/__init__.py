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
    from mlffm_segdiff.export.export_model import export_model
    from mlffm_segdiff.inference.analysis import OutlierError
    from mlffm_segdiff.inference.change import Change, measure_change
    from mlffm_segdiff.inference.estimates import ContourBand, Estimate
    from mlffm_segdiff.inference.into_folder import Predictions, predict
    from mlffm_segdiff.inference.postprocessing import PostProcessing
    from mlffm_segdiff.inference.result import CaseResult
    from mlffm_segdiff.inference.segmenter import Prompted, Segmenter, segment
    from mlffm_segdiff.study import compare
    from mlffm_segdiff.training import train

__version__ = "0.1.0"
__all__ = [
    "CaseResult",
    "Change",
    "ContourBand",
    "Estimate",
    "OutlierError",
    "PostProcessing",
    "Predictions",
    "Prompted",
    "Segmenter",
    "UserError",
    "__version__",
    "compare",
    "evaluate",
    "export_model",
    "measure_change",
    "predict",
    "segment",
    "train",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "config.errors": "UserError",
        "evaluation": "evaluate",
        "export.export_model": "export_model",
        "inference.analysis": "OutlierError",
        "inference.change": "Change measure_change",
        "inference.estimates": "ContourBand Estimate",
        "inference.into_folder": "Predictions predict",
        "inference.postprocessing": "PostProcessing",
        "inference.result": "CaseResult",
        "inference.segmenter": "Prompted Segmenter segment",
        "study": "compare",
        "training": "train",
    },
)
