"""Damaged images of every documented format, and images of other formats, through `predict`."""

from collections.abc import Callable
from pathlib import Path

from fuzz.campaign import Reader, accepts
from fuzz.drawn import foreign_files, image_files
from fuzz.predicting import Predicted, documented
from fuzz.sizes import sizes


class Images(Predicted):
    """Image files."""

    name = "images"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.seeds, self.others = image_files(), foreign_files()

    def read(self, path: Path) -> bool:
        """Read as `Predicted`; an image of another format must be refused."""
        accepted = super().read(path)
        assert not accepted or documented(path.read_bytes()), "a format is read that is not documented"
        return accepted


@sizes(0.26)
def test_damaged_images_never_break_predict(
    count: int, campaign: Callable[[Reader, int], None], tmp_path: Path
) -> None:
    campaign(Images(tmp_path), count)


def test_images_of_other_formats_are_refused(tmp_path: Path) -> None:
    reader = Images(tmp_path)
    assert [name for name, data in reader.others.items() if accepts(reader, name, data)] == []
