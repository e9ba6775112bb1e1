"""Run measurements in each number format and write their report."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Literal

import torch

from mlffm_segdiff.benchmark.goals import Findings
from mlffm_segdiff.benchmark.machine import machine_facts
from mlffm_segdiff.benchmark.peers import measure_denoising, measure_segmentation
from mlffm_segdiff.benchmark.predict_cost import measure_memory, measure_predict
from mlffm_segdiff.benchmark.report import Found, require_own_report, write_chart, write_report
from mlffm_segdiff.benchmark.roofline import measure_peak_share
from mlffm_segdiff.benchmark.subject import Subject, load_subject, write_random_weights
from mlffm_segdiff.benchmark.training_speed import measure_training
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import PrecisionChoice
from mlffm_segdiff.segmenters.device import AUTO, describe_device, find_device

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


@dataclass(frozen=True)
class BenchmarkPlan:
    """Measurements of a benchmark.

    Attributes:
        weights: Weights to measure, named as for `load_pretrained`.
        recipe: Recipe to measure with random weights instead, which take the same time.
        precision: Number format; "auto" is the faster one at batch 1, "both" is float32, then bf16.
        measurements: Names in MEASUREMENTS, or none for all.
        repeats: Turns of each contestant, at least 1.
        images: Files for ``predict``, at least 1.
        device: Device of the networks, as for `find_device`.
    """

    weights: str = "default"
    recipe: str | None = None
    precision: PrecisionChoice | Literal["both"] = "auto"
    measurements: Sequence[str] = ()
    repeats: int = 11
    images: int = 1000
    device: str = AUTO


def run_benchmark(
    plan: BenchmarkPlan,
    folder: Path,
    command: str,
    status: Callable[[str], AbstractContextManager[object]] = lambda _: nullcontext(),
) -> tuple[dict[str, object], Found]:
    """Measure this machine and write benchmark.json, benchmark.md and benchmark.png.

    Args:
        plan: Measurements to make.
        folder: Folder to write to.
        command: Command line to record.
        status: Called with the name of each measurement; returns a context that it runs in.

    Returns:
        Facts about the run and the machine, and the findings by number format.

    Raises:
        UserError: If a measurement is unknown, the weights or the recipe cannot be measured, or the folder
            cannot be written or has files of something else under these names.
    """
    names = chosen_measurements(plan.measurements)
    require_own_report(folder)
    with TemporaryDirectory() as random_weights:
        weights = plan.weights
        if plan.recipe is not None:
            weights = random_weights
            write_random_weights(plan.recipe, Path(weights))
        formats: list[PrecisionChoice] = ["float32", "bf16"] if plan.precision == "both" else [plan.precision]
        subjects = [load_subject(weights, one, plan.repeats, plan.images, plan.device) for one in formats]
        found: dict[str, list[Findings]] = {}
        for subject in subjects:
            for name in names:
                with status(f"measuring {name}, {subject.precision}"):
                    found.setdefault(subject.precision, []).append(MEASUREMENTS[name](subject))
    used = plan.weights if plan.recipe is None else f"random, of recipe {plan.recipe}"
    machine = machine_facts(describe_device(find_device(plan.device)), torch.get_num_threads())
    facts = {"command": command, "weights": used, **machine}
    write_report(folder, facts, found)
    write_chart(folder, found, f"{facts['processor']}, {facts['device']}, {facts['threads']} threads")
    return facts, found


def chosen_measurements(names: Sequence[str]) -> list[str]:
    """Return the named measurements in the order of MEASUREMENTS, or all if none is named.

    Raises:
        UserError: If a name is unknown.
    """
    unknown = [name for name in names if name not in MEASUREMENTS]
    if unknown:
        raise UserError(f"--only {unknown[0]!r} is not one of {', '.join(MEASUREMENTS)}")
    return [name for name in MEASUREMENTS if name in names or not names]
