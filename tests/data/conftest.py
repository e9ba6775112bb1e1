"""Tiny archives and folders in the official layouts, made of random images."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.table import find_pairs

Array = npt.NDArray[np.generic]

ISIC_IDS = ("ISIC_0000001", "ISIC_0000002", "ISIC_0000010")
HAM_LESIONS = {
    "ISIC_0024306": "HAM_0000001",
    "ISIC_0024307": "HAM_0000001",
    "ISIC_0024308": "HAM_0000002",
    "ISIC_0029306": "HAM_0000003",
}
PH2_IDS = ("IMD002", "IMD437")


def encode(array: Array, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind, **options)
    return stream.getvalue()


def skin(seed: int, height: int = 12, width: int = 16) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def lesion(seed: int, height: int = 12, width: int = 16) -> npt.NDArray[np.uint8]:
    mask = np.zeros((height, width), np.uint8)
    top, left = np.random.default_rng(seed).integers(0, 4, 2)
    mask[top : top + 6, left : left + 8] = 255
    return mask


def write_files(root: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def isic_parts() -> dict[str, dict[str, bytes]]:
    images, masks = "ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth"
    papers = {f"{images}/ATTRIBUTION.txt": b"thanks", f"{images}/LICENSE.txt": b"CC-0"}
    for seed, key in enumerate(ISIC_IDS):
        papers[f"{images}/{key}.jpg"] = encode(skin(seed), "JPEG")
        papers[f"{images}/{key}_superpixels.png"] = encode(skin(seed + 50))
    truth = {f"{masks}/{key}_segmentation.png": encode(lesion(seed)) for seed, key in enumerate(ISIC_IDS)}
    return {images: papers, masks: {f"{masks}/LICENSE.txt": b"CC-0", **truth}}


def ham_parts() -> dict[str, dict[str, bytes]]:
    masks = "HAM10000_segmentations_lesion_tschandl"
    images = {f"{key}.jpg": encode(skin(seed), "JPEG") for seed, key in enumerate(HAM_LESIONS)}
    truth = {f"{masks}/{key}_segmentation.png": encode(lesion(i)) for i, key in enumerate(HAM_LESIONS)}
    return {
        "HAM10000_images_part_1": {name: images[name] for name in list(images)[:3]},
        "HAM10000_images_part_2": {name: images[name] for name in list(images)[3:]},
        masks: {**truth, f"__MACOSX/{masks}/._ISIC_0024306_segmentation.png": b"junk"},
    }


def ham_metadata(separator: str = ",", quote: str = "") -> bytes:
    def line(*fields: str) -> str:
        return separator.join(f"{quote}{field}{quote}" for field in fields)

    rows = [line(group, key, "nv") for key, group in reversed(HAM_LESIONS.items())]
    return "\n".join([line("lesion_id", "image_id", "dx"), *rows]).encode()


def ph2_files() -> dict[str, bytes]:
    files = {"PH2Dataset/PH2_dataset.txt": b"|| Name || IMD002 ||", "PH2Dataset/PH2_dataset.xlsx": b"sheet"}
    for seed, key in enumerate(PH2_IDS):
        folder = f"PH2Dataset/PH2 Dataset images/{key}"
        files[f"{folder}/{key}_Dermoscopic_Image/{key}.bmp"] = encode(skin(seed), "BMP")
        files[f"{folder}/{key}_lesion/{key}_lesion.bmp"] = encode(lesion(seed) > 0, "BMP")
        files[f"{folder}/{key}_roi/{key}_R1_Label3.bmp"] = encode(lesion(seed + 9), "BMP")
    return files


@pytest.fixture
def encoded() -> Callable[..., bytes]:
    """An array as the bytes of an image file: encoded(array, kind="PNG", **Pillow's options)."""
    return encode


@pytest.fixture
def write() -> Callable[[Path, Mapping[str, bytes]], None]:
    """Write files below a folder: write(root, {relative name: bytes})."""
    return write_files


@pytest.fixture
def grouped() -> Callable[[str, Path], None]:
    """A check that groups.csv is read in a data set: grouped(kind, root)."""

    def check(kind: str, root: Path) -> None:
        plain = find_pairs(kind, root)
        first, second, *_ = sorted(plain.images)
        write_files(root, {"tables/groups.csv": f"id,group\n{first},anna\n{second},anna\n".encode()})
        found = find_pairs(kind, root)
        assert found.groups == {first: "anna", second: "anna"}
        assert (found.ignored, len(found.cases())) == (plain.ignored, len(plain.cases()))
        write_files(root, {"tables/groups.csv": b"id,group\nunknown,anna\n"})
        with pytest.raises(UserError, match=r"groups\.csv, line 2: no image has the id 'unknown'"):
            find_pairs(kind, root)

    return check


@pytest.fixture
def pack() -> Callable[[Path, Mapping[str, bytes]], None]:
    """Write a zip archive: pack(path, {member: bytes})."""
    return write_zip


@pytest.fixture(params=["packed", "unpacked"])
def isic2018(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """ISIC 2018 Task 1 as downloaded, with three pairs."""
    root = tmp_path / "isic"
    for name, files in isic_parts().items():
        if request.param == "packed":
            write_zip(root / f"{name}.zip", files)
        else:
            write_files(root, files)
    return root


@pytest.fixture(
    params=["packed", "unpacked, a folder each", "unpacked into one folder", "packed and unpacked"]
)
def ham10000(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """HAM10000 as downloaded from Dataverse, with four images of three lesions."""
    root = tmp_path / "ham"
    write_files(root, {"HAM10000_metadata.tab": ham_metadata("\t", '"')})
    for name, files in ham_parts().items():
        if "packed" in request.param.split():
            write_zip(root / f"{name}.zip", files)
        if "unpacked" in request.param:
            own = "each" in request.param and "images" in name
            write_files(root / name if own else root, files)
    return root


@pytest.fixture
def ham_sheet() -> Callable[..., bytes]:
    """The metadata's bytes: ham_sheet(separator, quote)."""
    return ham_metadata


@pytest.fixture(params=["packed", "unpacked"])
def ph2(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """PH2 as unpacked from its .rar, or that folder in a zip archive, with two pairs."""
    root = tmp_path / "my data"
    if request.param == "packed":
        write_zip(root / "PH2Dataset.zip", ph2_files())
    else:
        write_files(root, ph2_files())
    return root


@pytest.fixture
def own_folder(tmp_path: Path) -> Path:
    """A user's folder with images/ and masks/ of three pairs, each mask named in another way."""
    root = tmp_path / "own"
    write_files(root / "images", {f"{key}.png": encode(skin(i)) for i, key in enumerate("abc")})
    names = ("a.png", "b_mask.png", "c_segmentation.png")
    write_files(root / "masks", {name: encode(lesion(i)) for i, name in enumerate(names)})
    return root


def nnunet_files() -> dict[str, bytes]:
    dataset = {"labels": {"background": 0, "lesion": 1}, "file_ending": ".png", "numTraining": 6}
    files = {
        "dataset.json": json.dumps({**dataset, "channel_names": {"0": "R", "1": "G", "2": "B"}}).encode()
    }
    for seed in range(6):
        files[f"imagesTr/case_{seed}_0000.png"] = encode(skin(seed))
        files[f"labelsTr/case_{seed}.png"] = encode(lesion(seed) // 255)
    for seed, key in enumerate(("test_1", "test_2", "unlabelled"), 6):
        files[f"imagesTs/{key}_0000.png"] = encode(skin(seed))
        if key != "unlabelled":
            files[f"labelsTs/{key}.png"] = encode(lesion(seed) // 255)
    return files


@pytest.fixture
def nnunet_raw(tmp_path: Path) -> Path:
    """A raw data set of nnU-Net: six cases to train, two to test, and a test image without a label."""
    root = tmp_path / "nnUNet_raw" / "Dataset123_Skin"
    write_files(root, nnunet_files())
    return root
