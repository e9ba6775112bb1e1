"""Damaged files of data sets: images, masks and JSON, through the check and into the cache of training."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

import pytest
from fuzz.campaign import Reader
from fuzz.command_line import run_command
from fuzz.drawn import HEIGHT, WIDTH, encoded, mask, photo
from fuzz.mutators import damage_bytes, damage_text, damage_values
from fuzz.sizes import sizes

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import DataConfig
from mlffm_segdiff.data.sources import load_split_cases, open_split
from mlffm_segdiff.data.table import DATASETS

CASES = 4
SIDE = 16
SPLIT = "split.csv"
Files = dict[str, bytes]


class DataSets(Reader):
    """Small data sets in their layouts, one file of which is damaged."""

    name = "datasets"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        layouts = {"folder": folder_files(), "nnunet": nnunet_files(), "ph2": ph2_files()}
        layouts |= annotated_files()
        self.layouts = {name: files for name, files in layouts.items() if name in DATASETS}
        self.seeds = {
            f"{layout}/{name}": data
            for layout, files in self.layouts.items()
            for name, data in files.items()
            if name.endswith((".json", ".xml", ".yaml")) or "0" in name
        }

    def damage(self, rng: Random, data: bytes, other: bytes) -> bytes:
        """Change values of JSON and YAML, text of XML and of YOLO's files, bytes of images."""
        if data[:1] in (b"{", b"[") or data.startswith(b"names"):
            return damage_values(rng, data, other)
        return (damage_text if data[:1] in (b"<", b"0") else damage_bytes)(rng, data, other)

    def place(self, name: str, data: bytes) -> Path:
        """Write the data set around the damaged file, and return its folder."""
        layout = name.partition("/")[0]
        for inner, good in self.layouts[layout].items():
            super().place(f"{layout}/{inner}", good)
        super().place(name, data)
        return self.inputs / layout

    def read(self, path: Path) -> bool:
        """Return whether training can use the data; the check must not pass what training refuses."""
        split = path / SPLIT if (path / SPLIT).exists() else None
        options = () if split is None else ("--split", str(split))
        status, _ = run_command("data", "check", path.name, str(path), *options)
        try:
            return self._trains(path, split)
        except UserError:
            assert status != 0, "the check passes what training refuses"
            raise

    def _trains(self, path: Path, split: Path | None) -> bool:
        """Cache the training images, as training does."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFFM_SEGDIFF_CACHE", str(self.outputs))
            data = {"sources": {path.name: str(path)}, "split": split}
            parts = load_split_cases(DataConfig.model_validate(data))
            pairs = open_split(parts, "train", SIDE)
        assert pairs.images.shape == (len(pairs.ids), SIDE, SIDE, 3)
        assert pairs.masks.max() <= 1
        return True


def folder_files() -> Files:
    """Return a folder of images and masks."""
    images = {f"images/{key}.png": encoded(photo(key)) for key in range(CASES)}
    return images | {f"masks/{key}_mask.png": encoded(mask(key)) for key in range(CASES)}


def ph2_files() -> Files:
    """Return PH2's layout, with bitmaps of one bit as masks, and a split of its own."""
    parts = ("train", "train", "val", "test")
    rows = [f"IMD00{key},{part}\n" for key, part in enumerate(parts)]
    files: Files = {SPLIT: "".join(["id,part\n", *rows]).encode()}
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
    """Return data sets whose masks are shapes in text: COCO, CVAT, LabelMe and YOLO."""
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
    return {
        "coco": images | {"annotations.json": json.dumps(coco).encode()},
        "cvat": images | {"annotations.xml": cvat_xml()},
        "labelme": images | labelme,
        "yolo": images | yolo_files(),
    }


def cvat_xml() -> bytes:
    """Return an XML file of CVAT with a shape of each kind."""
    shapes = (
        '<polygon label="lesion" points="4.0,4.0;20.0,4.0;20.0,16.0;4.0,16.0"/>',
        '<box label="lesion" xtl="4.0" ytl="4.0" xbr="20.0" ybr="16.0" rotation="10.0"/>',
        '<ellipse label="lesion" cx="12.0" cy="10.0" rx="8.0" ry="6.0" rotation="20.0"/>',
        '<mask label="lesion" rle="2, 8, 5, 5" left="4" top="4" width="5" height="4"/>',
    )
    drawn = "".join(
        f'<image id="{key}" name="{key}.png" width="{WIDTH}" height="{HEIGHT}">\n{shape}\n</image>\n'
        for key, shape in enumerate(shapes)
    )
    return f"<annotations>\n<version>1.1</version>\n{drawn}</annotations>\n".encode()


def yolo_files() -> Files:
    """Return YOLO's polygons, and the names of their classes."""
    polygon = b"0 0.125 0.25 0.75 0.25 0.75 0.75 0.125 0.75\n"
    return {f"labels/{key}.txt": polygon for key in range(CASES)} | {"data.yaml": b"names:\n  0: lesion\n"}


@sizes(0.12)
def test_damaged_data_sets_are_refused_or_reported(
    count: int, campaign: Callable[[Reader, int], None], tmp_path: Path
) -> None:
    campaign(DataSets(tmp_path), count)
