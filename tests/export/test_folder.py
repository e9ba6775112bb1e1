import copy
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from shutil import copytree

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.image_quality import QualityLimits
from mlffm_segdiff.export.folder import read_export, write_export
from mlffm_segdiff.export.formats import FORMATS
from mlffm_segdiff.export.manifest import FormatName, is_export, read_manifest
from mlffm_segdiff.metrics.certainty import Calibration
from mlffm_segdiff.segmenters.calibration import Quality, StyleCalibration
from mlffm_segdiff.segmenters.pretrained import Pretrained

Made = Callable[[str], Pretrained]
Exported = Callable[[str, FormatName], Path]


@pytest.fixture
def folder(exported: Exported, tmp_path: Path) -> Path:
    """A copy of the direct model's ONNX folder, to be moved and broken."""
    return Path(copytree(exported("direct", "onnx"), tmp_path / "copy"))


def test_the_folder_describes_its_content(exported: Exported, made: Made) -> None:
    found = read_manifest(exported("diffusion", "onnx"))
    features = tuple(f"features_{n}" for n in range(len(found.graphs["encoder"].outputs)))
    assert (found.format, found.size, found.precision, found.opset) == ("onnx", 32, "float32", 18)
    assert (found.graphs["encoder"].inputs, found.graphs["encoder"].outputs) == (("image",), features)
    assert found.graphs["denoiser"].inputs == ("noisy_mask", "t", *features)
    assert set(found.versions) == {"mlffm-segdiff", "torch", "onnx", "onnxscript"}
    assert found.versions["torch"] == version("torch")
    recipe = json.loads((exported("diffusion", "onnx") / "config.json").read_text())["recipe"]
    assert recipe == made("diffusion").recipe.model_dump(mode="json")


@pytest.mark.parametrize(
    ("format_name", "files"),
    [
        ("onnx", {"segmenter.onnx", "encoder.onnx", "denoiser.onnx"}),
        ("openvino", {"encoder.xml", "encoder.bin", "denoiser.xml", "denoiser.bin"}),
        ("torch", {"encoder.pt2", "denoiser.pt2"}),
    ],
)
def test_an_export_has_the_listed_files(format_name: FormatName, files: set[str], exported: Exported) -> None:
    names = {path.name for path in exported("diffusion", format_name).iterdir()}
    assert names == files | {"config.json", "export.json"}


def test_onnx_files_are_valid_and_have_names_a_free_batch_and_a_fixed_size(exported: Exported) -> None:
    model = onnx.load(exported("diffusion", "onnx") / "denoiser.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 18)]
    shapes = {
        value.name: [one.dim_param or one.dim_value for one in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert list(shapes)[:2] == ["noisy_mask", "t"]
    assert shapes["noisy_mask"] == ["batch", 2, 32, 32]  # the model conditions on its last estimate too
    assert shapes["t"] == ["batch"]
    assert shapes["output"] == ["batch", 1, 32, 32]
    assert {shape[0] for shape in shapes.values()} == {"batch"}


def test_a_moved_folder_reads_as_before(folder: Path, made: Made, images: Tensor) -> None:
    moved = folder.rename(folder.parent / "elsewhere")
    assert is_export(moved)
    found = read_export(moved)
    assert found.recipe == made("direct").recipe
    expected = made("direct").segmenter.segment(images, SamplingConfig()).probability
    probability = found.segmenter.segment(images, SamplingConfig()).probability
    torch.testing.assert_close(probability, expected, rtol=0, atol=1e-5)


def test_the_exported_segmenter_is_unchanged(made: Made, tmp_path: Path) -> None:
    pretrained = copy.deepcopy(made("direct"))
    pretrained.segmenter.train()
    layouts = [p.stride() for p in pretrained.segmenter.parameters()]
    write_export(pretrained, "torch", tmp_path / "x")
    assert pretrained.segmenter.training
    assert [p.stride() for p in pretrained.segmenter.parameters()] == layouts


def test_nothing_is_left_of_an_export_that_failed(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    broken = {**FORMATS, "torch": type(FORMATS["torch"])(".pt2", (), fail, None)}
    monkeypatch.setattr("mlffm_segdiff.export.folder.FORMATS", broken)
    with pytest.raises(ZeroDivisionError):
        write_export(made("direct"), "torch", tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_programs_that_load_by_pickle_are_never_read(exported: Exported) -> None:
    with pytest.raises(UserError, match=r"can run code.*--format onnx"):
        read_export(exported("direct", "torch"))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("network.onnx", b"junk", r"network\.onnx is not a graph that ONNX Runtime reads"),
        ("network.onnx", None, r"network\.onnx is not a graph that ONNX Runtime reads"),
        ("export.json", b"{", r"export\.json: Invalid JSON.*; export again"),
        ("export.json", None, r"export\.json cannot be read"),
        ("export.json", b'{"format": "gguf"}', r"export\.json: format"),
        ("config.json", None, r"config\.json cannot be read"),
        ("config.json", b"{}", r"config\.json has no recipe"),
        ("config.json", b'{"recipe": {"name": 3}}', r"config\.json: key"),
    ],
)
def test_a_broken_folder_is_reported_in_one_error(
    name: str, content: bytes | None, says: str, folder: Path
) -> None:
    path = folder / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(UserError, match=says):
        read_export(folder)


def test_a_broken_graph_of_openvino_is_reported_in_one_error(exported: Exported, tmp_path: Path) -> None:
    folder = Path(copytree(exported("direct", "openvino"), tmp_path / "copy"))
    (folder / "network.bin").unlink()
    with pytest.raises(UserError, match=r"network\.xml is not a graph that OpenVINO reads"):
        read_export(folder)


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), 1e30])
def test_damaged_weights_in_a_graph_are_reported(value: float, folder: Path) -> None:
    model = onnx.load(folder / "network.onnx")
    weights = max(model.graph.initializer, key=lambda one: len(one.raw_data))
    weights.raw_data = np.float32(value).tobytes() + weights.raw_data[4:]
    onnx.save(model, folder / "network.onnx")
    with pytest.raises(
        UserError, match=rf"network\.onnx: the weights '{weights.name}' (are not finite|reach)"
    ):
        read_export(folder)


def test_damaged_weights_of_openvino_are_reported(exported: Exported, tmp_path: Path) -> None:
    folder = Path(copytree(exported("direct", "openvino"), tmp_path / "copy"))
    content = bytearray((folder / "network.bin").read_bytes())
    content[:4] = np.float32("nan").tobytes()
    (folder / "network.bin").write_bytes(content)
    with pytest.raises(UserError, match=r"network\.xml: the weights '\S+' are not finite"):
        read_export(folder)


@pytest.mark.parametrize(
    ("graphs", "says"),
    [({}, "no graph 'network'"), ({"../network": {"inputs": [], "outputs": []}}, r"export\.json: graphs")],
)
def test_a_manifest_of_other_graphs_is_refused(graphs: dict[str, object], says: str, folder: Path) -> None:
    values = json.loads((folder / "export.json").read_text())
    (folder / "export.json").write_text(json.dumps({**values, "graphs": graphs}))
    with pytest.raises(UserError, match=says):
        read_export(folder)


def test_what_is_known_of_the_masks_goes_along(made: Made, tmp_path: Path) -> None:
    pretrained = copy.deepcopy(made("direct"))
    limits = QualityLimits((0.0, 1.0), (0.0, 1.0), (0.0, 1.0), (0.0, 1.0))
    known = Quality(
        sampling=SamplingConfig(samples=1, steps=1),
        sources=("ph2",),
        cases=1,
        training_images=1,
        split="",
        styles={"any": StyleCalibration(calibration=Calibration((0.5,), (0.5,)))},
        limits=limits,
    )
    pretrained.quality = known
    write_export(pretrained, "onnx", tmp_path / "exported")
    assert read_export(tmp_path / "exported").quality == known
