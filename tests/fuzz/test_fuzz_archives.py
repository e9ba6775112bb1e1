"""Damaged zip archives of images through `predict`."""

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

from fuzz.campaign import Reader
from fuzz.drawn import dicom_files, encoded, photo
from fuzz.mutators import damage_names
from fuzz.predicting import Predicted
from fuzz.sizes import sizes


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def archives() -> dict[str, bytes]:
    """Return archives of three images: stored, deflated, with bzip2 and LZMA, nested in folders."""
    images = {f"{number}.png": encoded(photo(number)) for number in range(3)}
    mixed = {
        "a/läsion.jpg": encoded(photo(), "JPEG"),
        "b/IM1": dicom_files()["rle.dcm"],
        "b/notes.txt": b"none",
    }
    hidden = {"__MACOSX/._0.png": b"junk", ".DS_Store": b"junk", **images}
    methods = {
        "stored": 0,
        "deflated": zipfile.ZIP_DEFLATED,
        "bzip2": zipfile.ZIP_BZIP2,
        "lzma": zipfile.ZIP_LZMA,
    }
    files = {f"{name}.zip": zipped(images, method) for name, method in methods.items()}
    return files | {"mixed.zip": zipped(mixed), "hidden.zip": zipped(hidden)}


class Archives(Predicted):
    """Zip archives of images."""

    name = "archives"
    write = ()

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.seeds = archives()
        self.others = {"nested.zip": zipped(self.seeds), "no images.zip": zipped({"notes.txt": b""})}

    def damage(self, rng: Random, data: bytes, other: bytes) -> bytes:
        """Damage names of members, or bytes."""
        return damage_names(rng, data, other)


@sizes(0.09)
def test_damaged_archives_never_break_predict(
    count: int, campaign: Callable[[Reader, int], None], tmp_path: Path
) -> None:
    campaign(Archives(tmp_path), count)
