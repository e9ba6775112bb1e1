"""The example package trains, predicts, evaluates and enters a study, without a change to this package."""

import json
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from mlffm_segdiff import Segmenter, segment
from mlffm_segdiff.cli.app import run
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.registry import Registry
from mlffm_segdiff.data.synthetic import synthetic_pairs
from mlffm_segdiff.data.table import DATASETS, read_cases
from mlffm_segdiff.losses.mask_loss import LOSSES
from mlffm_segdiff.models.registry import MODELS
from mlffm_segdiff.segmenters.assembly import build_loss
from mlffm_segdiff.segmenters.pretrained import load_pretrained
from mlffm_segdiff.segmenters.recipe import load_recipe

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_parts"
TINY = (
    "data.size=32",
    "data.workers=0",
    "train.images=32",
    "train.validate_every=16",
    "train.precision=float32",
)


@pytest.fixture(scope="module")
def own_parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The example as if it were installed: on the path, with the metadata that pip writes."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    site = tmp_path_factory.mktemp("site")
    info = site / f"own_parts-{project['version']}.dist-info"
    info.mkdir()
    info.joinpath("METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    lines = [
        line
        for group, points in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {target}" for name, target in points.items()))
    ]
    info.joinpath("entry_points.txt").write_text("\n".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        patch.syspath_prepend(EXAMPLE)
        yield EXAMPLE
        sys.modules.pop("own_parts", None)


@pytest.fixture(scope="module")
def side_by_side(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty synthetic pairs in the layout of the example's data set."""
    folder = tmp_path_factory.mktemp("pairs")
    for name, image, mask in zip(*synthetic_pairs(20, 48, seed=3), strict=True):
        Image.fromarray(image).save(folder / f"{name}.png")
        Image.fromarray(255 * mask).save(folder / f"{name}_lesion.png")
    return folder


@pytest.fixture(scope="module")
def trained(own_parts: Path, side_by_side: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "own"
    source = ("--source", f"side_by_side={side_by_side}")
    recipe = str(own_parts / "recipe.yaml")
    assert run(["train", recipe, *TINY, *source, "--run", str(folder), "--threads", "1"]) == 0
    return folder


@pytest.mark.parametrize(
    ("registry", "name"), [(MODELS, "three_convolutions"), (LOSSES, "tversky"), (DATASETS, "side_by_side")]
)
def test_parts_of_the_example_are_listed_with_our_own(
    own_parts: Path, registry: Registry[object], name: str
) -> None:
    assert name in registry
    assert name in list(registry)
    assert registry.package_of(name) == "own-parts"


def test_the_loss_of_the_example_is_the_papers_formula(own_parts: Path) -> None:
    """Probabilities of 1/2 on 4 lesion and 12 skin pixels: 2 hits, 6 false, 2 missed."""
    loss = build_loss(load_recipe(str(own_parts / "recipe.yaml"), ["loss.args.alpha=0.2"]).loss)
    mask = torch.full((1, 1, 4, 4), -1.0)
    mask[:, :, 0] = 1
    found = loss(torch.zeros(1, 1, 4, 4), mask, mask, torch.ones(1, 1, 1, 1))
    assert found.item() == pytest.approx(1 - 3 / (2 + 0.2 * 6 + 0.8 * 2 + 1))


def test_the_data_set_of_the_example_pairs_files_by_name(own_parts: Path, side_by_side: Path) -> None:
    cases = read_cases("side_by_side", side_by_side)
    assert len(cases) == 20
    assert all(case.mask is not None and case.mask.name == f"{case.id}_lesion.png" for case in cases)


def test_weights_of_the_example_come_back_and_name_their_package(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = json.loads((trained / "weights" / "config.json").read_text())
    assert config["packages"] == ["own-parts"]
    assert config["recipe"]["model"] == {"name": "three_convolutions", "width": 16}
    assert type(load_pretrained(trained).segmenter.network).__name__ == "ThreeConvolutions"
    monkeypatch.setattr("mlffm_segdiff.segmenters.pretrained.is_installed", lambda _: False)
    with pytest.raises(
        UserError, match=r"config\.json: these weights need the package own-parts; install it$"
    ):
        load_pretrained(trained)
    with pytest.raises(UserError, match="these weights need the package own-parts"):
        Segmenter.from_pretrained(trained)


def test_the_example_predicts_and_evaluates(trained: Path, side_by_side: Path, tmp_path: Path) -> None:
    image = next(path for path in sorted(side_by_side.iterdir()) if not path.stem.endswith("_lesion"))
    (found,) = segment([str(image)], weights=trained)
    assert found.mask.shape == (48, 48)
    assert run(["evaluate", str(trained), "-o", str(tmp_path / "scores"), "--threads", "1"]) == 0


def test_the_example_enters_a_study(
    own_parts: Path, side_by_side: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own_parts.parents[1])
    values = yaml.safe_load((own_parts / "study.yaml").read_text())
    values["variants"]["U-Net"]["overrides"] = ["model.widths=[4,4]"]
    values["launcher"] = {"threads": 1}
    study = tmp_path / "study.yaml"
    study.write_text(yaml.safe_dump(values))
    source = ("--source", f"side_by_side={side_by_side}")
    out = tmp_path / "out"
    assert run(["study", "run", str(study), *TINY, *source, "-o", str(out)]) == 0
    assert len(list(out.rglob("finished.json"))) == 2
