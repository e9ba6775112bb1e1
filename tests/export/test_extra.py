import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.export import onnx, openvino
from mlffm_segdiff.segmenters.base import Part

PART = Part(torch.nn.Identity(), (), (), ())


@pytest.mark.parametrize(
    ("package", "extra", "work"),
    [
        ("onnx", "export", lambda path: onnx.write(PART, path)),
        ("onnxscript", "export", lambda path: onnx.write(PART, path)),
        ("onnxruntime", "onnx", lambda path: onnx.read(path, "float32", 1)),
        ("openvino", "export", lambda path: openvino.write(PART, path)),
        ("openvino", "export", lambda path: openvino.read(path, "float32", 1)),
    ],
)
def test_a_missing_package_is_named_with_what_installs_it(
    package: str, extra: str, work: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"^{package} is not installed.*\[{extra}\]\""):
        work(tmp_path / "x")
