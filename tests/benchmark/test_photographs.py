"""The files that measurements read."""

from pathlib import Path

from PIL import Image

from mlffm_segdiff.benchmark.photographs import write_photographs
from mlffm_segdiff.inference.reading.case_image import find_images


def test_images_are_photographs_in_size_and_weight_and_all_differ(tmp_path: Path) -> None:
    paths = write_photographs(tmp_path / "new", 10)
    assert list(find_images(tmp_path / "new").images) == paths
    assert len({path.read_bytes() for path in paths}) == 10
    for path in paths:
        with Image.open(path) as image:
            assert (image.size, image.mode, image.format) == ((1024, 768), "RGB", "JPEG")
        assert path.stat().st_size > 100_000, "noise keeps it from decoding quicker than a photograph"


def test_a_folder_gets_more_images_of_another_size(tmp_path: Path) -> None:
    paths = [*write_photographs(tmp_path, 2, 64, 48), *write_photographs(tmp_path, 1, 96, 64, first=2)]
    assert [path.name for path in paths] == [f"image_0000{number}.jpg" for number in range(3)]
    sizes = []
    for path in paths:
        with Image.open(path) as image:
            sizes.append(image.size)
    assert sizes == [(64, 48), (64, 48), (96, 64)]
