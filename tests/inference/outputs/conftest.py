from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlffm_segdiff.inference.measures.lesion_measures import LesionMeasures
from mlffm_segdiff.inference.outputs.predictions import Row
from mlffm_segdiff.inference.outputs.review import ReviewWriter
from mlffm_segdiff.inference.outputs.writers import Output

HOSTILE = '<img src=x onerror="document.title=1">, "q" & \'s\' #50%.png'
ROWS = (
    Row("sure.png", 8, 6, 0.95, 0.97, "", LesionMeasures(40, 0.5, 1, None, 20.0, 7.0, colours=2)),
    Row("item10.png", 8, 6, 0.71, 0.85, "several_components", LesionMeasures(9, 0.2, 2, None, 12.0, 3.4)),
    Row("item9.png", 8, 6, 0.55, 0.7, "touches_frame blurred", LesionMeasures(30, 0.6, 1, None, 22.0, 6.2)),
    Row(HOSTILE, 8, 6, 0.0, 0.0, "nothing_found", LesionMeasures(0, 0.0, 0, None, 0.0, 0.0)),
    Row("broken\nname,.png", status="failed", error='it is "broken", sadly'),
    Row("refused.png", status="refused", error="not a dermoscopic image"),
)


@pytest.fixture
def page_file(tmp_path: Path) -> Path:
    """The page of six cases as they come: certain, uncertain twice, nothing found, failed, and refused."""
    writer = ReviewWriter(Output(tmp_path))
    (tmp_path / "review").mkdir()
    for row in ROWS:
        stem = row.image.replace("/", "-").removesuffix(".png")
        writer.add_row(replace(row, stem=stem), None)
        if not row.failed:
            Image.fromarray(np.full((6, 8, 3), 120, np.uint8)).save(tmp_path / "review" / f"{stem}.jpg")
    writer.close()
    return tmp_path / "review.html"
