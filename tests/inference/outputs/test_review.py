import csv
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.estimates import ContourBand
from mlffm_segdiff.inference.measures.lesion_measures import LesionMeasures
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.inference.outputs.predictions import Intervals, Row
from mlffm_segdiff.inference.outputs.review import THUMBNAIL_SIDE, ReviewWriter, by_uncertainty, thumbnail
from mlffm_segdiff.inference.outputs.writers import Output
from mlffm_segdiff.inference.predict import predict_files

MakeModel = Callable[..., Model]
Save = Callable[..., Path]
Photo = Callable[..., npt.NDArray[np.uint8]]


class Reader(HTMLParser):
    """Collects the values of cases, and every address."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if "data-image" in found:
            self.names.append(found["data-image"] or "")
        self.addresses += [found[key] or "" for key in ("src", "href") if key in found]


def test_a_run_writes_the_page_with_a_thumbnail_for_each_image(
    tmp_path: Path, photo: Photo, save: Save, red_model: MakeModel
) -> None:
    images = [save(tmp_path / f"p{seed}.png", photo(seed, 400, 700)) for seed in range(3)]
    images.append(tmp_path / "broken.png")
    images[-1].write_bytes(b"no saved")
    output = Output(tmp_path / "out", ("review",))
    rows = list(predict_files(images, red_model(), output))
    page = Reader((output.folder / "review.html").read_text())
    assert page.names == [row.image for row in sorted(rows, key=by_uncertainty)]
    assert page.names[0] == "broken.png"
    for seed in range(3):
        assert {f"review/p{seed}.jpg", f"masks/p{seed}.png"} <= set(page.addresses)
        with Image.open(output.folder / "review" / f"p{seed}.jpg") as saved:
            assert saved.size == (THUMBNAIL_SIDE, round(THUMBNAIL_SIDE * 400 / 700))
    with output.table_path.open() as file:
        assert [line["image"] for line in csv.DictReader(file)] == [path.name for path in images]


def test_a_thumbnail_opens_the_overlay_where_there_is_one(
    tmp_path: Path, photo: Photo, save: Save, red_model: MakeModel
) -> None:
    image = save(tmp_path / "a.png", photo(0))
    output = Output(tmp_path / "out", ("review", "overlay"))
    list(predict_files([image], red_model(), output))
    assert "overlays/a.jpg" in Reader((output.folder / "review.html").read_text()).addresses


def test_the_page_is_written_only_on_request(
    tmp_path: Path, photo: Photo, save: Save, red_model: MakeModel
) -> None:
    list(predict_files([save(tmp_path / "a.png", photo(0))], red_model(), Output(tmp_path / "out")))
    assert not (tmp_path / "out" / "review.html").exists()


def test_failed_files_come_first_then_the_least_certain() -> None:
    rows = [
        Row("b", certainty=0.9),
        Row("a", certainty=0.9),
        Row("c", certainty=0.1),
        Row("z", status="failed"),
    ]
    assert [row.image for row in sorted(rows, key=by_uncertainty)] == ["z", "c", "a", "b"]


def test_no_address_leads_outside(page_file: Path) -> None:
    addresses = Reader(page_file.read_text()).addresses
    assert all(address.startswith(("review/", "masks/", "#")) for address in addresses)
    assert "http:" not in page_file.read_text()
    assert "https:" not in page_file.read_text()


def test_a_name_in_another_encoding_is_shown_and_found(tmp_path: Path) -> None:
    stem = b"caf\xe9".decode(errors="surrogateescape")
    writer = ReviewWriter(Output(tmp_path))
    writer.add_row(Row(f"{stem}.png", certainty=0.5, stem=stem), None)
    writer.close()
    text = (tmp_path / "review.html").read_text(encoding="utf-8")
    assert '<h2 id="case-1">caf\\udce9.png</h2>' in text
    assert 'src="review/caf%E9.jpg"' in text


def test_an_incomplete_case_names_what_is_missing(tmp_path: Path) -> None:
    writer = ReviewWriter(Output(tmp_path))
    writer.add_row(Row("a.png", certainty=0.5, stem="a").with_fault("coco: <full>"), None)
    writer.close()
    text = (tmp_path / "review.html").read_text(encoding="utf-8")
    assert '<p class="failure">coco: &lt;full&gt;</p>' in text
    assert 'data-flags="incomplete"' in text


def test_a_page_of_no_cases_is_a_page(tmp_path: Path) -> None:
    ReviewWriter(Output(tmp_path)).close()
    assert "Review of 0 cases" in (tmp_path / "review.html").read_text()


def test_a_run_that_breaks_leaves_no_page(tmp_path: Path) -> None:
    writer = ReviewWriter(Output(tmp_path))
    writer.add_row(Row("a.png"), None)
    del writer
    assert not any(tmp_path.iterdir())


def test_a_page_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(UserError, match=r"review\.html cannot be written"):
        ReviewWriter(Output(tmp_path / "out")).close()


def test_a_card_gives_intervals_in_words_and_the_page_their_level_and_cases(tmp_path: Path) -> None:
    measures = LesionMeasures(1200, 0.3, 1, None, 130.0, 39.0)
    intervals = Intervals(
        0.9, 0.78, 0.966, area_low=1000.4, area_high=1500.0, calibration_cases="ham10000=1800 ph2=20"
    )
    writer = ReviewWriter(Output(tmp_path))
    writer.add_row(Row("a.png", 8, 6, 0.91, 0.9, "", measures, intervals, stem="a"), None)
    writer.add_row(Row("b.png", 8, 6, None, 0.8, "", measures, stem="b"), None)
    writer.close()
    text = (tmp_path / "review.html").read_text(encoding="utf-8")
    assert "expected Dice <strong>0.91 (0.78 to 0.97)</strong>" in text
    assert "area 1200 (1000 to 1500), components 1" in text
    assert "certainty <strong>0.80</strong>" in text
    assert "area 1200, components 1" in text
    assert "holds for 90 % of images like those of the calibration (cases: ham10000 1800, ph2 20)" in text


def test_a_thumbnail_shows_the_band() -> None:
    view, mask = np.full((40, 60, 3), 128, np.uint8), np.zeros((400, 600), bool)
    inner, outer = mask.copy(), mask.copy()
    mask[100:300, 200:400], inner[150:250, 250:350], outer[50:350, 150:450] = True, True, True
    found = np.asarray(thumbnail(view, mask, ContourBand(inner, outer, 0.9))).astype(int)
    yellow = found[..., 0] - found[..., 2] > 40
    assert (yellow[6, 30], yellow[12, 30], yellow[20, 30], yellow[2, 30]) == (True, True, False, False)


def test_the_outline_is_where_the_mask_ends() -> None:
    view = np.full((200, 300, 3), 128, np.uint8)
    mask = np.zeros((400, 600), bool)
    mask[100:300, 200:400] = True
    found = np.asarray(thumbnail(view, mask)).astype(int)
    assert found.shape == (200, 300, 3)
    drawn = np.abs(found - 128).sum(axis=2) > 60
    places = np.argwhere(drawn)
    assert (np.abs(places.min(axis=0) - (50, 100)) <= 3).all()
    assert (np.abs(places.max(axis=0) - (149, 199)) <= 3).all()
    assert not drawn[70:130, 120:180].any()
