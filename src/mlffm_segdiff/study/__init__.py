"""Studies: train and score variants under the same conditions, or compare masks, and report what differs."""

from typing import TYPE_CHECKING

from mlffm_segdiff.config.lazy import lazy_exports
from mlffm_segdiff.config.study import LauncherConfig, Study, load_study

if TYPE_CHECKING:
    from mlffm_segdiff.study.mask_comparison import MaskComparison, compare
    from mlffm_segdiff.study.runner import StudyRun, run_study

__all__ = ["LauncherConfig", "MaskComparison", "Study", "StudyRun", "compare", "load_study", "run_study"]

__getattr__, __dir__ = lazy_exports(
    __name__, {"mask_comparison": "MaskComparison compare", "runner": "StudyRun run_study"}
)
