"""Damaged CSV files: splits, groups, metadata."""

from collections.abc import Callable
from pathlib import Path
from random import Random

from fuzz.campaign import Reader
from fuzz.drawn import encoded, mask, photo
from fuzz.mutators import damage_text
from fuzz.sizes import sizes

from mlffm_segdiff.data.splits import load_split
from mlffm_segdiff.data.table import read_cases

IDS = [f"ISIC_002430{number}" for number in range(6)]
PARTS = ("train", "train", "train", "val", "val", "test")


class Tables(Reader):
    """CSV files: a split, the groups of a folder of images, the metadata of HAM10000."""

    name = "tables"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        groups = [f"lesion_{number // 2}" for number in range(6)]
        metadata = list(zip(groups, IDS, strict=True))
        self.seeds = {
            "split.csv": _table("id,part", zip(IDS, PARTS, strict=True)),
            "groups.csv": _table("id,group", zip(IDS, groups, strict=True)),
            "HAM10000_metadata.csv": _table("lesion_id,image_id", metadata),
            "HAM10000_metadata.tab": _table("lesion_id,image_id", metadata).replace(b",", b"\t"),
        }
        self.image, self.mask = encoded(photo(), "JPEG"), encoded(mask())

    def damage(self, rng: Random, data: bytes, other: bytes) -> bytes:
        """Damage the text."""
        return damage_text(rng, data, other)

    def place(self, name: str, data: bytes) -> Path:
        """Write the table, and the images and masks that it is about."""
        for key in IDS:
            super().place(f"images/{key}.jpg", self.image)
            super().place(f"masks/{key}_segmentation.png", self.mask)
        return super().place(name, data)

    def read(self, path: Path) -> bool:
        """Return whether there are cases; those of an accepted split and of groups have known names."""
        if path.name == "split.csv":
            split = load_split(path)
            return bool({*split.train, *split.val, *split.test})
        cases = read_cases("folder" if path.name == "groups.csv" else "ham10000", path.parent)
        assert {case.id for case in cases} <= set(IDS), "a case without an image"
        return all(case.group and case.mask for case in cases)


def _table(header: str, rows: object) -> bytes:
    return "\n".join([header, *(",".join(row) for row in rows), ""]).encode()


@sizes(0.09)
def test_damaged_tables_are_refused(
    count: int, campaign: Callable[[Reader, int], None], tmp_path: Path
) -> None:
    campaign(Tables(tmp_path), count)
