"""Graphs as torch.export's programs, for other programs to compile or run."""

from pathlib import Path

import torch

from mlffm_segdiff.export.trace import quiet_exporters, trace
from mlffm_segdiff.segmenters.base import Part


def write(part: Part, path: Path) -> None:
    """Write the part with its weights as a .pt2 file of any batch."""
    with quiet_exporters():
        torch.export.save(trace(part), path)
