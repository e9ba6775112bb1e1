"""All measurements, by the name that the command line knows them by."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

from mlffm_segdiff.benchmark.denoising import measure_denoising
from mlffm_segdiff.benchmark.goals import Findings
from mlffm_segdiff.benchmark.memory import measure_memory
from mlffm_segdiff.benchmark.peak_share import measure_peak_share
from mlffm_segdiff.benchmark.segmentation import measure_segmentation
from mlffm_segdiff.benchmark.subject import Subject
from mlffm_segdiff.benchmark.throughput import measure_predict
from mlffm_segdiff.benchmark.training_speed import measure_training
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.segmenters.precision import PrecisionChoice

Chosen = Literal["auto", "float32", "bf16", "both"]

MEASUREMENTS: Mapping[str, Callable[[Subject], Findings]] = MappingProxyType(
    {
        "segmentation": measure_segmentation,
        "denoising": measure_denoising,
        "training": measure_training,
        "peak": measure_peak_share,
        "memory": measure_memory,
        "predict": measure_predict,
    }
)


def chosen_measurements(names: list[str]) -> list[str]:
    """Return the named measurements in the order of MEASUREMENTS; all for no name.

    Raises UserError for an unknown name.
    """
    unknown = [name for name in names if name not in MEASUREMENTS]
    if unknown:
        raise UserError(f"--only {unknown[0]!r} is none of {', '.join(MEASUREMENTS)}")
    return [name for name in MEASUREMENTS if name in names or not names]


def number_formats(precision: Chosen) -> list[PrecisionChoice]:
    """Return the formats to measure in; auto is settled when the weights are loaded."""
    return ["float32", "bf16"] if precision == "both" else [precision]
