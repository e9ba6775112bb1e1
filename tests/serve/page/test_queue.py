"""The list of images: status, order, filter, keys, many images."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, expect
from serve.page.user import OpenPage, Saved, choose, drag, put

SIZE = 64, 48
Blobs = Callable[[int], list[Path]]


def names(page: Page) -> list[str]:
    return page.locator("#list li .name").all_inner_texts()


def statuses(page: Page) -> list[str]:
    return page.locator("#list li .status").all_inner_texts()


def segmented(page: Page) -> None:
    expect(page.locator("#progress-box")).to_be_hidden()


def test_decisions_by_key_move_on_and_are_listed(open_page: OpenPage, blobs: Blobs) -> None:
    page = open_page()
    put(page, *blobs(4))
    segmented(page)
    assert statuses(page) == ["seen", "new", "new", "new"]
    page.keyboard.press("a")
    expect(page.locator("#case-name")).to_have_text("img_2.png")
    page.keyboard.press("r")
    expect(page.locator("#case-name")).to_have_text("img_3.png")
    choose(page, "Brush")
    drag(page, SIZE, [(4, 43), (25, 43)])
    page.keyboard.press("j")
    expect(page.locator("#case-name")).to_have_text("img_4.png")
    expect(page.locator("#of-mask")).to_be_visible()
    assert statuses(page) == ["accepted", "rejected", "corrected", "seen"]
    page.keyboard.press("k")
    expect(page.locator("#case-name")).to_have_text("img_3.png")
    expect(page.locator("#position")).to_have_text("3 of 4")

    page.get_by_label("Filter").select_option("open")
    expect(page.locator("#list li")).to_have_count(2)
    page.get_by_role("button", name="Accept listed").click()
    page.locator("#confirm-box").get_by_role("button", name="Accept").click()
    expect(page.locator("#list li")).to_have_count(0)
    page.get_by_label("Filter").select_option("all")
    assert statuses(page) == ["accepted", "rejected", "accepted", "accepted"]
    page.keyboard.press("a")
    page.get_by_role("listbox").focus()
    page.keyboard.press("Home")
    expect(page.locator("#case-name")).to_have_text("img_1.png")
    page.get_by_role("button", name="Accept", exact=True).click()
    assert statuses(page)[0] == "seen"


def test_images_are_removed(open_page: OpenPage, blobs: Blobs) -> None:
    page = open_page()
    put(page, *blobs(3))
    segmented(page)
    page.keyboard.press("Delete")
    page.locator("#confirm-box").get_by_role("button", name="Cancel").click()
    assert len(names(page)) == 3
    page.keyboard.press("Delete")
    page.locator("#confirm-box").get_by_role("button", name="Remove").click()
    expect(page.locator("#case-name")).to_have_text("img_2.png")
    assert names(page) == ["img_2.png", "img_3.png"]
    page.get_by_role("button", name="Remove everything").click()
    page.locator("#confirm-box").get_by_role("button", name="Remove").click()
    expect(page.locator("#drop")).to_be_visible()


def test_the_most_doubtful_come_first(open_page: OpenPage, live, blobs: Blobs) -> None:
    """Flagged images, then a low end of the interval of the expected Dice."""
    quality = {
        "img_1.png": {"expected_dice": 0.9, "flags": []},
        "img_2.png": {"expected_dice": 0.8, "flags": []},
        "img_3.png": {"expected_dice": 0.95, "flags": ["blurred"]},
        "img_4.png": {"expected_dice": None, "certainty": 0.6, "flags": []},
    }
    intervals = {"img_1.png": [0.5, 0.95], "img_2.png": [0.7, 0.85]}
    page = open_page()

    def answer(route: object) -> None:
        found = route.fetch()
        body = found.json()
        body["quality"] |= {"flags": [], **quality[body["name"]]}
        if body["name"] in intervals:
            body["intervals"] = {"level": 0.9, "expected_dice": intervals[body["name"]]}
        route.fulfill(response=found, json=body)

    page.route("**/results/response/*", answer)
    put(page, *blobs(4))
    segmented(page)
    expect(page.locator("#expected-value")).to_have_text("0.90 (0.50\u20130.95)")
    page.get_by_label("Order").select_option("doubt")
    assert names(page) == ["img_3.png", "img_1.png", "img_4.png", "img_2.png"]
    assert "Dice 0.95" in page.locator("#list li").first.inner_text()
    expect(page.get_by_role("img", name="The image is blurred")).to_be_visible()
    page.get_by_label("Filter").select_option("flagged")
    assert names(page) == ["img_3.png"]
    page.get_by_label("Filter").select_option("all")
    page.get_by_label("Search names").fill("_2")
    assert names(page) == ["img_2.png"]
    page.unroute_all(behavior="wait")


def test_a_correction_keeps_that_the_image_is_an_outlier(
    open_page: OpenPage, blob: Path, saved: Saved
) -> None:
    """The image stays what it is; the other flags are those of the corrected mask."""
    page = open_page()

    def answer(route: object) -> None:
        found = route.fetch()
        body = found.json()
        body["quality"] |= {"outlier_score": 1.5, "flags": ["not_dermoscopy", "touches_frame"]}
        route.fulfill(response=found, json=body)

    page.route("**/results/response/*", answer)
    put(page, blob)
    segmented(page)
    page.unroute_all(behavior="wait")
    page.get_by_label("Threshold").fill("0.8")
    expect(page.locator("#measures")).not_to_have_class("stale")
    page.get_by_role("button", name="Download all").click()
    (row,) = csv.DictReader(io.StringIO(saved(page, "Measures only (CSV)").read_text()))
    assert (row["threshold"], row["outlier_score"]) == ("0.8", "1.5")
    assert "not_dermoscopy" in row["flags"].split()
    assert "touches_frame" not in row["flags"].split()


def test_an_undone_correction_has_the_numbers_of_the_network_again(
    open_page: OpenPage, blob: Path, saved: Saved
) -> None:
    """The server measures a corrected mask without its expected Dice and intervals."""
    page = open_page()
    doubts = {"expected_dice": 0.9, "certainty": 0.7, "expected_human_agreement": 0.8}

    def answer(route: object) -> None:
        found = route.fetch()
        body = found.json()
        body["quality"] |= doubts
        body["intervals"] = {"level": 0.9, "expected_dice": [0.5, 0.95]}
        route.fulfill(response=found, json=body)

    def row() -> dict[str, str]:
        page.get_by_role("button", name="Download all").click()
        (found,) = csv.DictReader(io.StringIO(saved(page, "Measures only (CSV)").read_text()))
        page.keyboard.press("Escape")
        return found

    page.route("**/results/response/*", answer)
    put(page, blob)
    segmented(page)
    page.unroute_all(behavior="wait")
    first = row()
    assert {name: float(first[name]) for name in doubts} == doubts
    page.get_by_label("Threshold").fill("0.8")
    expect(page.locator("#expected")).to_be_hidden()
    assert row()["expected_dice"] == ""
    page.reload()
    expect(page.locator("#threshold-value")).to_have_text("0.80")
    page.keyboard.press("Control+z")
    expect(page.locator("#expected-value")).to_have_text("0.90 (0.50\u20130.95)")
    assert row() == first


def test_inner_and_outer_contour_are_drawn_if_the_server_sends_them(
    open_page: OpenPage, blobs: Blobs
) -> None:
    page = open_page()

    def answer(route: object) -> None:
        found = route.fetch()
        body = found.json()
        body["band"] = {"inner": body["contours"], "outer": body["contours"]}
        route.fulfill(response=found, json=body)

    paths = blobs(2)
    put(page, paths[0])
    switch = page.get_by_role("switch", name="Inner and outer contour")
    expect(switch).to_be_hidden()
    page.route("**/results/response/*", answer)
    put(page, paths[1])
    expect(switch).to_be_checked()
    page.unroute_all(behavior="wait")


def test_many_images_are_few_rows(open_page: OpenPage, tmp_path: Path) -> None:
    paths = [tmp_path / f"many_{number:03}.png" for number in range(60)]
    image = np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8)
    for path in paths:
        Image.fromarray(image).save(path)
    page = open_page(viewport={"width": 1280, "height": 720})
    put(page, *paths)
    expect(page.locator("#progress-text")).to_contain_text(" of 60")
    expect(page.locator("#progress-box")).to_be_hidden(timeout=60_000)
    assert page.locator("#list li").count() < 20
    page.get_by_role("listbox").focus()
    page.keyboard.press("End")
    expect(page.locator("#case-name")).to_have_text("many_059.png")
    expect(page.locator("#list li[aria-selected=true]")).to_be_in_viewport()
    assert page.locator("#list li").count() < 20
