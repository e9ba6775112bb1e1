"""Graphs as programs of torch.export, for other software to compile or run."""

from pathlib import Path

import torch

from mlffm_segdiff.export.trace import quiet_exporters, trace
from mlffm_segdiff.segmenters.base import Part


def write(part: Part, path: Path) -> None:
    """Write the part with its weights as a .pt2 file for any batch size."""
    with quiet_exporters():
        torch.export.save(trace(part), path)
