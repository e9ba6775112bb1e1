"""Graphs made once and kept in the user's cache."""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

from mlffm_segdiff.data.cache import cache_root
from mlffm_segdiff.export.folder import keep_quality, write_export
from mlffm_segdiff.export.formats import FormatName
from mlffm_segdiff.segmenters.pretrained import Pretrained

KEPT = 2
"""Raised where what we write changes without our version."""


def kept_export(pretrained: Pretrained, format_name: FormatName, root: Path | None = None) -> Path:
    """Return the exported folder of these weights in the user's cache; it is written where there is none.

    Its name tells weights, recipe, format, and the versions of torch and ours. root: default `cache_root()`.
    Raises UserError as `write_export`.
    """
    folder = (root or cache_root()) / f"{_key(pretrained, format_name)}-{format_name}"
    if not folder.is_dir():
        write_export(pretrained, format_name, folder)
    else:
        keep_quality(pretrained, folder)
    return folder


def _key(pretrained: Pretrained, format_name: FormatName) -> str:
    recipe = pretrained.recipe.model_dump(mode="json")
    made_by = [KEPT, format_name, version("torch"), version("mlffm-segdiff"), recipe]
    digest = hashlib.sha256(json.dumps(made_by, sort_keys=True).encode())
    for name, value in sorted(pretrained.segmenter.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]
