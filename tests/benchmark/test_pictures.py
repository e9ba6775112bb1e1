from pathlib import Path

from PIL import Image

from mlffm_segdiff.benchmark.pictures import write_pictures
from mlffm_segdiff.inference.reading.case_image import find_images


def test_pictures_are_photographs_in_size_and_weight_and_all_differ(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path / "new", 10)
    assert list(find_images(tmp_path / "new").images) == paths
    assert len({path.read_bytes() for path in paths}) == 10
    for path in paths:
        with Image.open(path) as image:
            assert (image.size, image.mode, image.format) == ((1024, 768), "RGB", "JPEG")
        assert path.stat().st_size > 100_000, "noise keeps it from decoding quicker than a photograph"
