"""Studies: train and score variants under the same conditions, and report what differs."""

from mlffm_segdiff.config.study import LauncherConfig, Study, load_study
from mlffm_segdiff.study.runner import StudyRun, compare, run_study

__all__ = ["LauncherConfig", "Study", "StudyRun", "compare", "load_study", "run_study"]
