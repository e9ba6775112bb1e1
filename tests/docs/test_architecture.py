"""ARCHITECTURE.md names files and packages that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "mlffm_segdiff"
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def test_files_and_folders_exist() -> None:
    named = {name for name in re.findall(r"`([\w/]+(?:/|\.py|\.yaml))`", TEXT) if "/" in name}
    assert len(named) > 20
    assert not [name for name in sorted(named) if not any((top / name).exists() for top in (PACKAGE, ROOT))]


def test_every_package_is_in_the_layers() -> None:
    layers = re.search(r"^    cli .*?^    config", TEXT, re.MULTILINE | re.DOTALL)
    assert layers is not None
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages <= set(re.findall(r"\w+", layers[0]))
