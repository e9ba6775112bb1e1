"""The one graph from images to masks, judged by torch and by ONNX's own checker."""

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch

from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.export.manifest import FormatName, read_manifest
from mlffm_segdiff.export.whole import in_one_graph, write_whole
from mlffm_segdiff.segmenters.base import segment_batch
from mlffm_segdiff.segmenters.folding import fold_batch_norm
from mlffm_segdiff.segmenters.pretrained import Pretrained
from mlffm_segdiff.segmenters.sampling import override_sampling
from mlffm_segdiff.segmenters.saved_weights import weights_digest

Made = Callable[[str], Pretrained]
Exported = Callable[[str, FormatName], Path]
SIZE = 32
PIXELS = np.random.default_rng(1).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)


def run(path: Path, images: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    probability, mask = session.run(["probability", "mask"], {"image": images})
    return probability, mask


def torch_finds(pretrained: Pretrained, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    found = segment_batch(pretrained.segmenter, images, pretrained.sampling, torch.device("cpu"))
    return found.probability.numpy()


@pytest.mark.parametrize("name", ["diffusion", "styles", "direct", "nnunet"])
def test_the_whole_graph_finds_what_torch_finds_in_batches_of_any_size(
    name: str, made: Made, exported: Exported
) -> None:
    path = exported(name, "onnx") / "segmenter.onnx"
    for images in (PIXELS[:1], PIXELS, np.concatenate([PIXELS, PIXELS])):
        probability, mask = run(path, images)
        expected = torch_finds(made(name), images)
        assert expected.std() > 0.01
        np.testing.assert_allclose(probability, expected, rtol=0, atol=1e-5)
        np.testing.assert_array_equal(mask, np.where(probability >= 0.5, 255, 0))
        assert mask.dtype == np.uint8


def test_the_whole_graph_has_the_samples_and_steps_that_were_chosen(made: Made, tmp_path: Path) -> None:
    """The noise is that of torch, whose generator no other program has."""
    given = made("styles")
    chosen = Pretrained(recipe=given.recipe.model_dump(mode="json"))
    chosen.segmenter.load_state_dict(given.segmenter.state_dict())
    chosen.recipe = override_sampling(
        given.recipe, {"samples": 2, "steps": 3, "style": "ph2", "seed": 5, "logit_spread": 1.5}
    )
    segmenter = chosen.eval().segmenter.to(memory_format=torch.contiguous_format)
    expected = torch_finds(chosen, PIXELS)
    write_whole(fold_batch_norm(segmenter), chosen, tmp_path / "x.onnx")
    probability, _ = run(tmp_path / "x.onnx", PIXELS)
    np.testing.assert_allclose(probability, expected, rtol=0, atol=1e-5)
    assert np.abs(probability - torch_finds(given, PIXELS)).max() > 0.01


def test_programs_find_in_it_what_they_must_know(exported: Exported) -> None:
    folder = exported("styles", "onnx")
    model = onnx.load(folder / "segmenter.onnx")
    onnx.checker.check_model(model, full_check=True)
    shapes = {
        value.name: (
            onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type),
            [one.dim_param or one.dim_value for one in value.type.tensor_type.shape.dim],
        )
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {
        "image": ("UINT8", ["batch", SIZE, SIZE, 3]),
        "probability": ("FLOAT", ["batch", 1, SIZE, SIZE]),
        "mask": ("UINT8", ["batch", 1, SIZE, SIZE]),
        "features": ("FLOAT", ["batch", 128]),  # mean and deviation of 64 channels
    }
    assert not [node for node in model.graph.node if node.op_type in ("BatchNormalization", "RandomNormal")]
    assert {one.key: one.value for one in model.metadata_props} == {
        "size": "32",
        "threshold": "0.5",
        "model": "mlffm_segdiff",
        "version": version("mlffm-segdiff"),
        "samples": "0",
        "steps": "1",
    }
    whole = read_manifest(folder).whole
    assert whole is not None
    assert whole.sha256 == weights_digest(folder / "segmenter.onnx")
    assert (
        json.loads((folder / "export.json").read_text())["whole"]["sampling"] == SamplingConfig().model_dump()
    )


@pytest.mark.parametrize(
    ("sampling", "fits"),
    [
        (SamplingConfig(), True),
        (SamplingConfig(samples=4, steps=8, mirror=True, widening=2.0, logit_spread=2.0), True),
        (SamplingConfig(samples=2, sampler="ddpm"), True),
        (SamplingConfig(samples=2, sampler="dpm"), False),
        (SamplingConfig(samples=2, fusion="staple"), False),
        (SamplingConfig(second_look=True), False),
    ],
)
def test_samplings_that_other_packages_or_the_large_image_take_part_in_have_no_graph(
    sampling: SamplingConfig, fits: bool
) -> None:
    assert in_one_graph(sampling) is fits
