"""Exported graphs segment as torch does, on any batch."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.export import onnx, openvino
from mlffm_segdiff.export.folder import read_export
from mlffm_segdiff.export.manifest import FormatName
from mlffm_segdiff.machine.processors import processors
from mlffm_segdiff.segmenters.base import BaseSegmenter, Graph
from mlffm_segdiff.segmenters.precision import Precision
from mlffm_segdiff.segmenters.pretrained import Pretrained

Made = Callable[[str], Pretrained]
Exported = Callable[[str, FormatName], Path]
SAMPLING = SamplingConfig(samples=2, steps=3)
MODELS = ("diffusion", "direct", "styles")


def agree(
    found: BaseSegmenter, expected: BaseSegmenter, images: Tensor, sampling: SamplingConfig = SAMPLING
) -> None:
    """Both find the same, in a batch of one and of three, and see something in each image."""
    for batch in (1, 3):
        theirs, ours = (one.segment(images[:batch], sampling) for one in (found, expected))
        assert ours.probability.flatten(1).std(dim=1).min() > 0.01
        torch.testing.assert_close(theirs.probability, ours.probability, rtol=0, atol=1e-4)
        torch.testing.assert_close(theirs.spread, ours.spread, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("format_name", ["onnx", "openvino"])
def test_a_runtime_finds_what_torch_finds(
    name: str, format_name: FormatName, made: Made, exported: Exported, images: Tensor
) -> None:
    agree(read_export(exported(name, format_name)).segmenter, made(name).segmenter, images)


@pytest.mark.parametrize("format_name", ["onnx", "openvino"])
def test_nnunets_mirror_images_run_on_graphs(
    format_name: FormatName, made: Made, exported: Exported, images: Tensor
) -> None:
    """The sampling of the recipe, which the exported folder keeps."""
    found = read_export(exported("nnunet", format_name))
    assert found.sampling.mirror
    agree(found.segmenter, made("nnunet").segmenter, images, found.sampling)


@pytest.mark.parametrize("format_name", ["onnx", "openvino"])
@pytest.mark.parametrize("style", ["any", "ph2"])
def test_styles_reach_the_encoders_graph(
    style: str, format_name: FormatName, made: Made, exported: Exported, images: Tensor
) -> None:
    found = read_export(exported("styles", format_name)).segmenter
    assert found.styles == ("isic2018", "ph2")
    for sampling in (
        SamplingConfig(style=style),
        SamplingConfig(samples=2, steps=2, style=style, mirror=True),
    ):
        agree(found, made("styles").segmenter, images, sampling)
    plain, styled = (found.segment(images, SamplingConfig(style=name)).probability for name in ("any", "ph2"))
    assert not torch.allclose(plain, styled)


@pytest.mark.parametrize("format_name", ["onnx", "openvino"])
def test_the_posterior_mean_runs_on_graphs(
    format_name: FormatName, made: Made, exported: Exported, images: Tensor
) -> None:
    for sampling in (SamplingConfig(), SamplingConfig(mirror=True)):
        agree(
            read_export(exported("diffusion", format_name)).segmenter,
            made("diffusion").segmenter,
            images,
            sampling,
        )


@pytest.mark.parametrize("sampler", ["ddpm", "dpm"])
def test_each_sampler_runs_on_graphs(sampler: str, made: Made, exported: Exported, images: Tensor) -> None:
    sampling = SamplingConfig(samples=2, steps=3, seed=0, sampler=sampler)
    found = read_export(exported("diffusion", "onnx")).segmenter
    agree(found, made("diffusion").segmenter, images, sampling)


@pytest.mark.parametrize("name", MODELS)
def test_programs_of_torch_export_find_the_same(
    name: str, made: Made, exported: Exported, images: Tensor
) -> None:
    paths = exported(name, "torch").glob("*.pt2")
    found = Pretrained(recipe=made(name).recipe.model_dump(mode="json")).segmenter
    found.run_on({path.stem: torch.export.load(path).module() for path in paths})
    agree(found, made(name).segmenter, images)


@pytest.mark.parametrize("format_name", ["onnx", "openvino"])
@pytest.mark.parametrize(("steps", "samples"), [(1, 1), (5, 3)])
def test_each_image_is_encoded_once(
    format_name: FormatName, steps: int, samples: int, exported: Exported, images: Tensor
) -> None:
    segmenter = read_export(exported("diffusion", format_name)).segmenter
    rows: Counter[str] = Counter()
    graphs: dict[str, Graph] = {
        name: counted(name, getattr(segmenter.network, name), rows) for name in ("encoder", "denoiser")
    }
    segmenter.run_on(graphs)
    segmenter.segment(images, SamplingConfig(samples=samples, steps=steps))
    assert rows == {"encoder": 3, "denoiser": 3 * steps * samples}


def counted(name: str, graph: Graph, rows: Counter[str]) -> Graph:
    def call(*inputs: Tensor) -> Sequence[Tensor]:
        rows[name] += len(inputs[0])
        return graph(*inputs)

    return call


@pytest.mark.parametrize("threads", [1, 2])
def test_runtimes_take_the_threads_they_are_given(threads: int, exported: Exported) -> None:
    session = onnx.read(exported("direct", "onnx") / "network.onnx", "float32", threads).session
    assert session.get_session_options().intra_op_num_threads == threads
    compiled = openvino.read(exported("direct", "openvino") / "network.xml", "float32", threads).compiled_for(
        1
    )
    assert compiled.get_property("INFERENCE_NUM_THREADS") == min(threads, processors())


def test_onnx_runtime_is_refused_bf16(exported: Exported) -> None:
    with pytest.raises(UserError, match=r"bf16.*--precision float32, or .* --runtime torch or openvino"):
        read_export(exported("direct", "onnx"), "bf16")


def test_openvino_computes_in_float32_on_request(exported: Exported) -> None:
    compiled = openvino.read(exported("direct", "openvino") / "network.xml", "float32", 1).compiled_for(1)
    assert compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"


def test_openvino_computes_in_bf16_or_refuses_it(exported: Exported) -> None:
    path = exported("direct", "openvino") / "network.xml"
    if "BF16" in openvino.import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        compiled = openvino.read(path, "bf16", 1).compiled_for(1)
        assert compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "bf16"
    else:
        with pytest.raises(UserError, match=r"processor has no bf16.*--precision float32"):
            openvino.read(path, "bf16", 1)


@pytest.mark.parametrize(("precision", "hint"), [("float32", "f32"), ("bf16", "bf16")])
def test_openvino_always_gets_the_precision(
    precision: Precision, hint: str, exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "check_precision", lambda _: None)
    graph = openvino.read(exported("direct", "openvino") / "network.xml", precision, 1)
    assert graph.settings["INFERENCE_PRECISION_HINT"] == hint


def test_runtimes_send_no_telemetry(exported: Exported, tmp_path: Path) -> None:
    """By default both keep an identifier of the machine in the home folder, for their reports."""
    environment = {
        key: value for key, value in os.environ.items() if key not in ("CI", "ORT_DISABLE_TELEMETRY")
    }
    code = (
        "import sys; from pathlib import Path; from mlffm_segdiff.export import onnx, openvino\n"
        "onnx.read(Path(sys.argv[1], 'network.onnx'), 'float32', 1)\n"
        "openvino.read(Path(sys.argv[2], 'network.xml'), 'float32', 1)\n"
        "print('openvino_telemetry' in sys.modules)"
    )
    folders = [str(exported("direct", "onnx")), str(exported("direct", "openvino"))]
    done = subprocess.run(
        [sys.executable, "-c", code, *folders],
        env={**environment, "HOME": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "False\n"
    assert not list(tmp_path.iterdir())
