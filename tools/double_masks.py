"""Print how well masks agree on images that have two: double_masks.py DATA WEIGHTS...

DATA has the folders ham10000 and clinical. Two images of HAM10000 have two ids, each with its own mask; 13
photographs of `clinical` were outlined by two people. WEIGHTS are run folders, none of them trained on these
images; scores are means over them. The table is in Markdown.
"""

import io
import sys
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from PIL import Image

from mlffm_segdiff import Segmenter
from mlffm_segdiff.evaluation.report import markdown_table
from mlffm_segdiff.metrics.overlap import count_pixels, jaccard

SAME_IMAGE = (("ISIC_0024366", "ISIC_0029861"), ("ISIC_0024777", "ISIC_0029938"))
HEADER = ("image", "images", "the two masks with each other", "ours with the first", "ours with the second")
TwoMasks = tuple[np.ndarray, np.ndarray, np.ndarray]
"""An image and its two masks."""


def main(data: Path, *weights: str) -> None:
    """Print one row for each image of HAM10000 and one for the photographs."""
    segmenters = [Segmenter.from_pretrained(folder) for folder in weights]
    groups = {" = ".join(pair): [ham10000(data / "ham10000", *pair)] for pair in SAME_IMAGE}
    groups["clinical, two people"] = clinical(data / "clinical")
    rows = []
    for name, cases in groups.items():
        scores = [agreement(case, segmenters) for case in cases]
        rows.append([name, str(len(scores)), *(f"{mean:.3f}" for mean in np.mean(scores, axis=0))])
    print(markdown_table(HEADER, rows), end="")


def agreement(case: TwoMasks, segmenters: list[Segmenter]) -> list[float]:
    """Return the Jaccard index of the two masks, and of ours with each."""
    image, first, second = case
    ours = [segmenter.segment(image).mask for segmenter in segmenters]
    means = [float(np.mean([jaccard(count_pixels(one, mask)) for one in ours])) for mask in (first, second)]
    return [jaccard(count_pixels(first, second)), *means]


def ham10000(folder: Path, first: str, second: str) -> TwoMasks:
    """Return an image of HAM10000 and the masks of its two ids."""
    images = [ZipFile(path) for path in sorted(folder.glob("HAM10000_images_part_*.zip"))]
    masks = ZipFile(folder / "HAM10000_segmentations_lesion_tschandl.zip")
    found = [read(archive, first) for archive in images if names(archive, first)]
    return np.asarray(found[0].convert("RGB")), mask(read(masks, first)), mask(read(masks, second))


def names(archive: ZipFile, key: str) -> list[str]:
    """Return the files of an id."""
    return [name for name in archive.namelist() if Path(name).stem.startswith(key)]


def read(archive: ZipFile, key: str) -> Image.Image:
    """Return the image of an id."""
    return Image.open(io.BytesIO(archive.read(names(archive, key)[0])))


def clinical(folder: Path) -> list[TwoMasks]:
    """Return the photographs that two people outlined."""
    cases = []
    for second in sorted((folder / "masks_rater2").iterdir()):
        (image,) = (folder / "images").glob(f"{second.stem}.*")
        (first,) = (folder / "masks").glob(f"{second.stem}.*")
        rgb = np.asarray(Image.open(image).convert("RGB"))
        cases.append((rgb, mask(Image.open(first)), mask(Image.open(second))))
    return cases


def mask(image: Image.Image) -> np.ndarray:
    """Return the pixels of the lesion."""
    return np.asarray(image.convert("L")) > 127


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
