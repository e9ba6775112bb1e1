"""Scores of variants on the same images: what tables, tests and most figures of a report are made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class ScoredVariants:
    """Variants, or methods, and their scores.

    Attributes:
        scores: One row per variant, data set, seed, evaluation, image and resolution, see `COLUMNS`.
        variants: Variants in the order to show them, the baseline first.
        datasets: Data sets in the order to show them.
        against: The variant that a variant is compared with, if that is not the baseline.
        subject: Scored images, in words for captions.
        command: The command that writes the report.
        noun: Word of the report for a variant.
    """

    scores: pd.DataFrame
    variants: Sequence[str]
    datasets: Sequence[str]
    against: Mapping[str, str]
    subject: str
    command: str
    noun: str

    @property
    def baseline(self) -> str:
        """The variant that others are compared with."""
        return self.variants[0]

    @property
    def evaluations(self) -> list[str]:
        """The evaluations that have scores, in order. The first one leads."""
        return list(dict.fromkeys(self.scores["evaluation"]))

    def reference(self, variant: str) -> str:
        """Return the variant that this one is compared with."""
        return self.against.get(variant, self.baseline)

    def select(self, **values: str) -> pd.DataFrame:
        """Return the scores whose columns have these values, variants in order."""
        rows = self.scores
        for column, value in values.items():
            rows = rows[rows[column] == value]
        order = {variant: place for place, variant in enumerate(self.variants)}
        return rows.sort_values("variant", key=lambda names: names.map(order), kind="stable")

    def main_rows(self, resolution: str = "source") -> pd.DataFrame:
        """Return the scores of the first evaluation at a resolution."""
        return self.select(evaluation=self.evaluations[0], resolution=resolution)

    def by_dataset(self, resolution: str = "source") -> Iterator[tuple[str, pd.DataFrame]]:
        """Yield each data set that has scores, with its `main_rows`."""
        rows = self.main_rows(resolution)
        for dataset in self.datasets:
            own = rows[rows["dataset"] == dataset]
            if len(own):
                yield dataset, own
