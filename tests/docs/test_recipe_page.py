"""RECIPE.md has the keys of the code."""

import runpy
from pathlib import Path

from mlffm_segdiff.config.schema import TrainConfig

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "RECIPE.md").read_text(encoding="utf-8")


def test_the_page_is_what_the_tool_writes() -> None:
    assert runpy.run_path(str(ROOT / "tools" / "recipe_page.py"))["page"]() == PAGE


def test_every_key_has_its_default_and_a_meaning() -> None:
    rows = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
    assert all(len(meaning.strip(" |")) > 5 for *_, meaning in rows)
    assert {f"| `train.{key}`" for key in TrainConfig.model_fields} <= {row[0] for row in rows}
    assert ["| `train.ema_decay`", "`0.998`", "number from 0 below 1"] in [row[:3] for row in rows]
