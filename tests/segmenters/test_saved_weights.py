import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.segmenters.pretrained import load_pretrained
from mlffm_segdiff.segmenters.saved_weights import (
    CONFIG,
    WEIGHTS,
    describe_weights,
    weights_digest,
    weights_folder,
)


def write(folder: Path, config: object = None, weights: bytes | None = None) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    save_file(network.state_dict(), folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(config or {"recipe": {"model": {"name": "small"}}}))
    if weights is not None:
        (folder / WEIGHTS).write_bytes(weights)


def test_the_digest_is_sha_256(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert weights_digest(tmp_path / "x") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_the_header_counts_what_torch_counts(tmp_path: Path) -> None:
    default = load_pretrained("default")
    count = sum(p.numel() for p in default.segmenter.parameters())
    assert describe_weights(weights_folder("default")) == (default.recipe.model.name, count)
    write(tmp_path)
    assert describe_weights(tmp_path) == ("small", 3 * 4 + 4 + 2 * 4), "statistics are not learned"


@pytest.mark.parametrize(
    ("config", "weights"),
    [
        ({"recipe": {}}, None),
        ([1], None),
        (None, b"short"),
        (None, bytes(100)),
        (None, b"\x08" + bytes(7) + b"{}"),
    ],
)
def test_broken_files_are_one_clear_error(tmp_path: Path, config: object, weights: bytes | None) -> None:
    write(tmp_path, config, weights)
    with pytest.raises(UserError, match=r"cannot be read \(.*install mlffm-segdiff again$"):
        describe_weights(tmp_path)


def test_a_cut_file_is_noticed(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1000)}, tmp_path / "whole")
    write(tmp_path, weights=(tmp_path / "whole").read_bytes()[:-1])
    with pytest.raises(UserError, match="cannot be read"):
        describe_weights(tmp_path)
