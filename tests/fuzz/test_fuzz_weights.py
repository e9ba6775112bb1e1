"""Damaged weights, their configuration and calibration, and one segmentation with what loads."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
from fuzz.campaign import Reader
from fuzz.drawn import photo
from fuzz.mutators import damage_bytes, damage_values
from fuzz.sizes import sizes
from PIL import Image

from mlffm_segdiff.inference.confidence import outlier_score
from mlffm_segdiff.inference.model import load_model
from mlffm_segdiff.segmenters.outliers import OUTLIERS, fit_detector
from mlffm_segdiff.segmenters.pretrained import load_pretrained
from mlffm_segdiff.segmenters.saved_weights import weights_digest, weights_folder

SIDE = 32
FILES = ("config.json", "quality.json", "agreement.json", "model.safetensors", "outliers.safetensors")


@pytest.fixture(scope="module")
def weights(untrained: Callable[..., Path]) -> Path:
    """A folder of tiny weights, calibrated."""
    folder = untrained("synthetic", "model.size=tiny", f"data.size={SIDE}")
    quality = json.loads((weights_folder("default") / "quality.json").read_text())
    digest = {"weights": weights_digest(folder / "model.safetensors")}
    (folder / "quality.json").write_text(json.dumps(quality | digest))
    agreement = json.loads((weights_folder("default") / "agreement.json").read_text())
    (folder / "agreement.json").write_text(json.dumps(agreement | digest))
    model = load_model(load_pretrained(folder))
    images = list(np.random.default_rng(0).integers(0, 256, (80, SIDE, SIDE, 3), np.uint8))
    features = np.stack([one.features for one in model.segment(images, lambda _: None)]).astype(float)
    detector = fit_detector({"a": features[:40]}, {"a": features[40:]})
    assert detector is not None
    OUTLIERS.write(detector, folder, digest["weights"])
    return folder


class Weights(Reader):
    """A folder of weights, one file of which is damaged."""

    name = "weights"

    def __init__(self, folder: Path, weights: Path) -> None:
        super().__init__(folder)
        self.seeds = {path.name: path.read_bytes() for path in weights.iterdir() if path.is_file()}
        self.seeds = {name: self.seeds[name] for name in FILES}
        self.view = np.asarray(Image.fromarray(photo()).resize((SIDE, SIDE)))

    def damage(self, rng: Random, data: bytes, other: bytes) -> bytes:
        """Change values of JSON, bytes of weights."""
        return (damage_values if data[:1] == b"{" else damage_bytes)(rng, data, other)

    def place(self, name: str, data: bytes) -> Path:
        """Write the files, one of them damaged, and return their folder."""
        for inner, good in self.seeds.items():
            super().place(inner, good)
        return super().place(name, data).parent

    def read(self, path: Path) -> bool:
        """Return True; weights that load give probabilities."""
        model = load_model(load_pretrained(path))
        small = Image.fromarray(self.view).resize((model.size, model.size))
        (found,) = model.segment([np.asarray(small)], lambda _: self.view)
        assert np.isfinite(found.probability).all(), "probabilities that are not finite"
        assert 0 <= found.probability.min() <= found.probability.max() <= 1, "probabilities outside 0 to 1"
        outlier_score(found, model.outliers)
        if model.agreement is not None:
            dice = model.agreement.predict(found.probability).dice
            assert 0 <= dice <= 1, "agreement outside 0 to 1"
        return True


@sizes(0.06)
def test_damaged_weights_are_refused_or_give_probabilities(
    count: int, campaign: Callable[[Reader, int], None], weights: Path, tmp_path: Path
) -> None:
    campaign(Weights(tmp_path, weights), count)
