"""MLFFM's adaptive weights as maps, and their means inside, outside and along the contour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from mlffm_segdiff.data.contour import mask_contours
from mlffm_segdiff.data.distance import signed_distance
from mlffm_segdiff.study.fusion_weights import FusionStep
from mlffm_segdiff.study.report.figures.style import WIDTH, colour, legend_below, page_figure

BAND = 4.0
"""Pixels (at the network's input size) on either side of the contour that count as along it."""
MAX_HEIGHT = 8.5
"""Height of the maps in inches, at most."""
PLACES = {"along the contour": "-", "inside": "--", "outside": ":"}


def fusion_maps_figure(steps: Sequence[FusionStep], mask: npt.NDArray[np.bool_]) -> Figure:
    """Draw the weights of the first image: a row per pair of levels, a column per denoising step.

    Args:
        steps: The denoising steps to show.
        mask: Ground truth mask, SxS bool, whose contour is drawn over each map.
    """
    levels = len(steps[0].weights)
    figure = page_figure(0.5 + min(MAX_HEIGHT, levels**2 * (WIDTH - 1.5) / len(steps)))
    panels = figure.subplots(levels**2, len(steps), squeeze=False)
    every = np.concatenate([level[0].ravel() for step in steps for level in step.weights])
    drawn = None
    for column, step in enumerate(steps):
        for level, weights in enumerate(step.weights):
            for source in range(levels):
                panel = panels[level * levels + source, column]
                drawn = panel.imshow(
                    weights[0, source],
                    vmin=every.min(),
                    vmax=every.max(),
                    cmap="cividis",
                    extent=(0, *mask.shape, 0),
                )
                for contour in mask_contours(mask):
                    panel.plot(contour[:, 1] + 0.5, contour[:, 0] + 0.5, color="white", linewidth=0.8)
                panel.set(xticks=[], yticks=[])
                if column == 0:
                    panel.set_ylabel(f"{source + 1} → {level + 1}", rotation=0, ha="right", va="center")
        panels[0, column].set_title(f"t = {step.time}", fontsize=9)
    assert drawn is not None
    figure.colorbar(drawn, ax=panels, shrink=0.4, label="weight λ")
    return figure


def fusion_shares(steps: Sequence[FusionStep], masks: npt.NDArray[np.bool_]) -> pd.DataFrame:
    """Average the weights over images and over the pixels of each place.

    A weight of a coarse level counts for all pixels it covers.

    Args:
        steps: The denoising steps.
        masks: Ground truth masks, BxSxS bool.

    Returns:
        Columns time, level, source, place, weight.
    """
    distance = np.stack([signed_distance(mask) for mask in masks])
    where = {
        "along the contour": np.abs(distance) <= BAND,
        "inside": distance < -BAND,
        "outside": distance > BAND,
    }
    rows = []
    for step in steps:
        for level, weights in enumerate(step.weights):
            scale = masks.shape[1] // weights.shape[2]
            fine = weights.repeat(scale, axis=2).repeat(scale, axis=3)
            for source in range(fine.shape[1]):
                for place, pixels in where.items():
                    mean = float(fine[:, source][pixels].mean()) if pixels.any() else float("nan")
                    rows.append((step.time, level + 1, source + 1, place, mean))
    return pd.DataFrame(rows, columns=["time", "level", "source", "place", "weight"])


def fusion_shares_figure(shares: pd.DataFrame) -> Figure:
    """Draw `fusion_shares`, one panel per level; colour is the source level, line style the place."""
    levels = sorted(shares["level"].unique())
    figure = page_figure(3.2)
    panels = figure.subplots(1, len(levels), sharey=True, squeeze=False)[0]
    handles = {}
    for panel, level in zip(panels, levels, strict=True):
        for (source, place), rows in shares[shares["level"] == level].groupby(
            ["source", "place"], sort=False
        ):
            (handles[f"level {source}, {place}"],) = panel.plot(
                rows["time"],
                rows["weight"],
                color=colour(source),
                linestyle=PLACES[place],
                marker=".",
                linewidth=1.4,
            )
        panel.axhline(1 / len(levels), color="0.6", linewidth=0.8)
        panel.set_title(f"into level {level}", fontsize=9)
        panel.set_xlabel("t (noise falls to the right)", fontsize=9)
        panel.invert_xaxis()
        panel.tick_params(labelsize=8)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("mean weight λ", fontsize=9)
    legend_below(figure, list(handles.values()), list(handles))
    return figure


def evenly(steps: Sequence[FusionStep], most: int = 5) -> list[FusionStep]:
    """Return at most ``most`` of the steps, evenly spaced, with the first and the last one."""
    chosen = np.linspace(0, len(steps) - 1, min(most, len(steps))).round().astype(int)
    return [steps[number] for number in chosen]
