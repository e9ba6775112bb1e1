"""Training from Python: `train` a recipe into a run folder, `resume` a run, `estimate_time`.

Example:
    >>> from mlffm_segdiff.training import train
    >>> result = train("synthetic", "runs/first", ["train.images=4000"])
    >>> result.best_jaccard, result.weights
"""

from typing import TYPE_CHECKING

from mlffm_segdiff.config.lazy import lazy_exports

if TYPE_CHECKING:
    from mlffm_segdiff.training.callbacks import ConsoleProgress
    from mlffm_segdiff.training.fit import TrainingResult, resume, train
    from mlffm_segdiff.training.module import SegmenterModule
    from mlffm_segdiff.training.replicas import is_first_process
    from mlffm_segdiff.training.run_folder import RunFolder
    from mlffm_segdiff.training.time_estimate import TimeEstimate, estimate_time

__all__ = [
    "ConsoleProgress",
    "RunFolder",
    "SegmenterModule",
    "TimeEstimate",
    "TrainingResult",
    "estimate_time",
    "is_first_process",
    "resume",
    "train",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "callbacks": "ConsoleProgress",
        "fit": "TrainingResult resume train",
        "module": "SegmenterModule",
        "replicas": "is_first_process",
        "run_folder": "RunFolder",
        "time_estimate": "TimeEstimate estimate_time",
    },
)
