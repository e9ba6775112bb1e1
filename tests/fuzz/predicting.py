"""Files through `predict`, next to a good image that must not suffer."""

import csv
import io
import json
from pathlib import Path
from random import Random

import numpy as np
import torch
from fuzz.campaign import Reader
from fuzz.drawn import encoded, photo
from fuzz.mutators import hostile_name
from PIL import Image
from stand_ins import RedIsLesion

from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.inference.outputs.writers import Output
from mlffm_segdiff.inference.predict import predict_files
from mlffm_segdiff.inference.reading.case_image import find_images

GOOD = "good neighbour.png"
SIZE = 16
DOCUMENTED = ("PNG", "JPEG", "MPO", "TIFF", "BMP", "DIB", "WEBP", "GIF", "HEIF", "AVIF")
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def red_model() -> Model:
    """Return a model that finds red pixels."""
    return Model(RedIsLesion().eval(), SIZE, SamplingConfig(), torch.device("cpu"))


class Predicted(Reader):
    """An image, next to a good one, through `find_images` and `predict_files`."""

    write = ("overlay", "contours")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.model, self.good = red_model(), encoded(photo(9))

    def place(self, name: str, data: bytes) -> Path:
        """Write the input, now and then under a hostile name, and the good image next to it."""
        rng = Random(data)
        if rng.random() < 0.05:
            name = f"{hostile_name(rng)}{Path(name).suffix}"
        (self.inputs / GOOD).write_bytes(self.good)
        return super().place(name, data)

    def read(self, path: Path) -> bool:
        """Return whether all images but the good one, which must be done, have masks."""
        output = Output(self.outputs, self.write)
        faults: list[str] = []
        images = find_images(path, self.inputs / GOOD).images
        rows = list(predict_files(images, self.model, output, warn=faults.append))
        assert len(rows) == len(images)
        assert [row.status for row in rows if row.image == GOOD] == ["done"], "the good image suffers"
        assert not faults, faults
        assert not [row.error for row in rows if row.status == "incomplete"], "an output is missing"
        check_files(self.outputs)
        check_table(output.table_path)
        for row in rows:
            if not row.failed:
                drawn = np.asarray(Image.open(output.masks / f"{row.stem}.png"))
                assert drawn.shape == (row.height, row.width), "the mask has another size"
                assert set(np.unique(drawn)) <= {0, 255}
        return all(not row.failed for row in rows if row.image != GOOD)


def documented(data: bytes) -> bool:
    """Return whether a file is not an image for Pillow, or has a documented format."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.format in DOCUMENTED
    except Exception:
        return True


def check_table(path: Path) -> None:
    """Assert that a table is UTF-8, and that no cell of text is a formula of a spreadsheet."""
    text = path.read_bytes().decode("utf-8", "replace")
    assert text.encode() == path.read_bytes(), "the table is not UTF-8"
    for row in csv.DictReader(io.StringIO(text, newline="")):
        assert None not in row.values(), "a row of the table is broken"
        texts = row["image"], row["error"]
        assert not [text for text in texts if text.startswith(FORMULA)], "a formula in the table"


def check_files(folder: Path) -> None:
    """Assert that each file of results is whole: other programs read it to its end."""
    for path in folder.rglob("*"):
        if path.suffix in (".png", ".jpg"):
            with Image.open(path) as image:
                image.load()
        elif path.suffix in (".json", ".geojson"):
            json.loads(path.read_text(encoding="utf-8"))
