"""Parts of a network as programs of torch.export."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.export import Dim, ExportedProgram

from mlffm_segdiff.segmenters.base import Part

VERBOSE_LOGGERS = (
    "torch.onnx._internal.exporter._registration",  # names operators of torchvision, which is not installed
    "onnxscript.optimizer._constant_folding",  # names operators that it leaves as they are
)
EXAMPLE_BATCH = 2
"""Rows of an example: torch.export takes a batch of one for a constant."""


def trace(part: Part) -> ExportedProgram:
    """Return the part, in its current mode, as a program for any batch of its example's height and width."""
    dynamic = tuple({0: Dim("batch", min=1)} for _ in part.inputs)
    with torch.no_grad(), quiet_exporters():
        return torch.export.export(part.module, part.inputs, dynamic_shapes=(dynamic,), strict=False)


@contextmanager
def quiet_exporters() -> Iterator[None]:
    """Silence the warnings of torch's exporters about themselves."""
    loggers = [logging.getLogger(name) for name in VERBOSE_LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():  # torch copies its own tree specifications
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
