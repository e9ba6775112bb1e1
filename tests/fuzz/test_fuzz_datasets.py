"""Damaged files of data sets: images, masks and JSON, through the check and into the cache of training."""

import json
from collections.abc import Mapping
from pathlib import Path
from random import Random

from fuzz.campaign import Reader
from fuzz.drawn import HEIGHT, WIDTH, encoded, mask, photo
from fuzz.mutators import damage_bytes, damage_values
from fuzz.sizes import sizes

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.cache import open_cache
from mlffm_segdiff.data.check import check_cases
from mlffm_segdiff.data.table import DATASETS, find_pairs, own_split

CASES = 4
SIDE = 16
Files = dict[str, bytes]


class DataSets(Reader):
    """Small data sets in their layouts, one file of which is damaged."""

    name = "datasets"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        layouts = {
            "folder": folder_files(),
            "nnunet": nnunet_files(),
            "ph2": ph2_files(),
            **annotated_files(),
        }
        self.layouts = {name: files for name, files in layouts.items() if name in DATASETS}
        self.seeds = {
            f"{layout}/{name}": data
            for layout, files in self.layouts.items()
            for name, data in files.items()
            if name.endswith(".json") or "0" in name
        }

    def damage(self, rng: Random, data: bytes, other: bytes) -> bytes:
        """Change values of JSON, bytes of images."""
        return (damage_values if data[:1] in (b"{", b"[") else damage_bytes)(rng, data, other)

    def place(self, name: str, data: bytes) -> Path:
        """Write the data set around the damaged file, and return its folder."""
        layout = name.partition("/")[0]
        for inner, good in self.layouts[layout].items():
            super().place(f"{layout}/{inner}", good)
        super().place(name, data)
        return self.inputs / layout

    def read(self, path: Path) -> bool:
        """Return whether all cases can be used; the check must not raise for those that cannot."""
        pairing = find_pairs(path.name, path)
        cases = pairing.cases()
        split = own_split(path.name, path) if path.name == "nnunet" else None
        report = check_cases(cases, pairing.masks_without_image(), split)
        assert all(len(finding.ids) == len(finding.details) for finding in report.findings)
        try:
            pairs = open_cache(cases, SIDE, self.outputs)
        except UserError:
            assert report.affects_training, "the check passes what training refuses"
            raise
        assert pairs.images.shape == (len(cases), SIDE, SIDE, 3)
        assert pairs.masks.max() <= 1
        return len(cases) == CASES


def folder_files() -> Files:
    """Return a folder of images and masks."""
    images = {f"images/{key}.png": encoded(photo(key)) for key in range(CASES)}
    return images | {f"masks/{key}_mask.png": encoded(mask(key)) for key in range(CASES)}


def ph2_files() -> Files:
    """Return PH2's layout, with bitmaps of one bit as masks."""
    files: Files = {}
    for key in range(CASES):
        root = f"PH2 Dataset images/IMD00{key}"
        files[f"{root}/IMD00{key}_Dermoscopic_Image/IMD00{key}.bmp"] = encoded(photo(key), "BMP")
        files[f"{root}/IMD00{key}_lesion/IMD00{key}_lesion.bmp"] = encoded(mask(key) > 0, "BMP")
    return files


def nnunet_files() -> Files:
    """Return a raw data set of nnU-Net: three cases to train and validate, one to test."""
    names = {"0": "R", "1": "G", "2": "B"}
    labels = {"background": 0, "lesion": 1}
    dataset = {"channel_names": names, "labels": labels, "file_ending": ".png", "numTraining": CASES - 1}
    files = {
        "dataset.json": json.dumps(dataset).encode(),
        "splits_final.json": json.dumps([{"train": ["c_0", "c_1"], "val": ["c_2"]}]).encode(),
    }
    for key in range(CASES):
        part = "Tr" if key < CASES - 1 else "Ts"
        files[f"images{part}/c_{key}_0000.png"] = encoded(photo(key))
        files[f"labels{part}/c_{key}.png"] = encoded(mask(key) // 255)
    return files


def annotated_files() -> Mapping[str, Files]:
    """Return data sets whose masks are polygons in JSON: COCO and LabelMe."""
    box = [4, 4, 20, 4, 20, 16, 4, 16]
    images = {f"images/{key}.png": encoded(photo(key)) for key in range(CASES)}
    listed = [
        {"id": key, "file_name": f"{key}.png", "height": HEIGHT, "width": WIDTH} for key in range(CASES)
    ]
    outlines = [
        {
            "id": key,
            "image_id": key,
            "category_id": 1,
            "segmentation": [box],
            "bbox": [4, 4, 16, 12],
            "area": 192,
        }
        | {"iscrowd": 0}
        for key in range(CASES)
    ]
    coco = {"images": listed, "annotations": outlines, "categories": [{"id": 1, "name": "lesion"}]}
    corners = [box[at : at + 2] for at in range(0, len(box), 2)]
    shape = {"label": "lesion", "points": corners, "shape_type": "polygon", "group_id": None, "flags": {}}
    labelme = {
        f"images/{key}.json": json.dumps(
            {"version": "5.0.0", "flags": {}, "shapes": [shape], "imagePath": f"{key}.png", "imageData": None}
            | {"imageHeight": HEIGHT, "imageWidth": WIDTH}
        ).encode()
        for key in range(CASES)
    }
    return {"coco": images | {"annotations.json": json.dumps(coco).encode()}, "labelme": images | labelme}


@sizes(0.12)
def test_damaged_data_sets_are_refused_or_reported(count: int, campaign, tmp_path: Path) -> None:
    campaign(DataSets(tmp_path), count)
