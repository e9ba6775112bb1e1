"""Work is kept in the browser: over a reload, a restart of the server, and until it is removed."""

import io
import re
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect
from serve.page.conftest import PATIENCE_MS
from serve.page.user import BOTH, OpenPage, Read, Saved, choose, drag, put
from waiting import wait_until

SIZE = 64, 48
Blobs = Callable[[int], list[Path]]


@BOTH
def test_a_reload_loses_nothing(open_page: OpenPage, blobs: Blobs, saved: Saved, pixels: Read) -> None:
    page = open_page()
    put(page, *blobs(2))
    expect(page.locator("#progress-box")).to_be_hidden()
    page.keyboard.press("a")
    expect(page.locator("#case-name")).to_have_text("img_2.png")
    expect(page.locator("#of-mask")).to_be_visible()
    before = pixels(saved(page, "Mask (PNG)"))
    choose(page, "Brush")
    drag(page, SIZE, [(4, 43), (25, 43)])
    page.get_by_label("Threshold").fill("0.7")
    expect(page.locator("#measures")).not_to_have_class("stale")
    corrected = pixels(saved(page, "Mask (PNG)"))
    assert (corrected != before).any()

    page.reload()
    expect(page.locator("#case-name")).to_have_text("img_2.png")
    expect(page.locator("#of-mask")).to_be_visible()
    expect(page.locator("#threshold-value")).to_have_text("0.70")
    assert page.locator("#list .status").all_inner_texts() == ["accepted", "corrected"]
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), corrected)
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), before)
    page.keyboard.press("Control+Shift+z")
    page.keyboard.press("Control+Shift+z")
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), corrected)


def test_a_restart_of_the_server_loses_nothing(
    live, start_live, open_page: OpenPage, blobs: Blobs, saved: Saved, pixels: Read
) -> None:
    page = open_page()
    first, second = blobs(2)
    put(page, first)
    choose(page, "Brush")
    drag(page, SIZE, [(4, 43), (25, 43)])
    expect(page.locator("#measures-state")).to_have_text("of the corrected mask")
    corrected = pixels(saved(page, "Mask (PNG)"))
    live.stop()
    start_live(port=live.address[1])
    page.reload()
    expect(page.locator("#samples img")).to_have_count(8)
    expect(page.locator("#of-mask")).to_be_visible()
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), corrected)
    put(page, second)


def test_images_that_wait_are_sent_after_a_reload(open_page: OpenPage, red, blobs: Blobs) -> None:
    page = open_page()
    red.gate.clear()
    page.get_by_label("Choose images").set_input_files(blobs(2))
    assert red.started.wait(60)
    until_kept(page, 2)
    page.reload()
    expect(page.locator("#busy-text")).to_contain_text("Segmenting img_1.png")
    red.gate.set()
    expect(page.locator("#of-mask")).to_be_visible()
    expect(page.locator("#progress-box")).to_be_hidden()
    assert page.locator("#list .status").all_inner_texts() == ["seen", "new"]


@pytest.mark.parametrize("reload", [False, True])
def test_a_restart_of_the_server_in_a_batch_sends_what_is_missing(
    live, start_live, open_page: OpenPage, red, blobs: Blobs, reload: bool
) -> None:
    page = open_page(viewport={"width": 1280, "height": 1200})
    first, *others = blobs(6)
    put(page, first)
    red.gate.clear()
    red.started.clear()
    page.locator("#add input").set_input_files(others)
    assert red.started.wait(60)
    until_kept(page, 6)
    live.when_stopping = red.gate.set
    live.stop()
    expect(page.locator("#progress-text")).to_have_text("1 of 6, the server does not answer")
    red.calls.clear()
    start_live(port=live.address[1])
    if reload:
        page.reload()
    expect(page.locator("#progress-box")).to_be_hidden(timeout=60_000)
    statuses = page.locator("#list .status").all_inner_texts()
    assert (len(statuses), set(statuses)) == (6, {"seen", "new"})
    assert sum(count for count, _ in red.calls) == 5


def test_sending_stops_and_continues(open_page: OpenPage, live, red, blobs: Blobs) -> None:
    page = open_page()
    red.gate.clear()
    page.get_by_label("Choose images").set_input_files(blobs(4))
    assert red.started.wait(60)
    until_kept(page, 4)
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#progress-text")).to_have_text("0 of 4, stopped")
    red.gate.set()
    until_no_job(live.url)
    assert page.locator("#list .status").all_inner_texts() == ["waiting …"] * 4
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("#progress-box")).to_be_hidden()
    assert page.locator("#list .status").all_inner_texts() == ["seen", "new", "new", "new"]


def test_stop_ends_the_wait_for_a_busy_server(open_page: OpenPage, blobs: Blobs) -> None:
    page = open_page()
    refused = []

    def refuse(route: Route) -> None:
        refused.append(route)
        route.fulfill(status=503, headers={"Retry-After": "3600"}, json={"detail": "busy", "hint": "wait"})

    page.route("**/api/v1/batches", refuse)
    page.get_by_label("Choose images").set_input_files(blobs(2))
    end = time.monotonic() + PATIENCE_MS / 1000
    while len(refused) < 2:
        assert time.monotonic() < end
        page.wait_for_timeout(10)
    page.unroute_all(behavior="wait")
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("#progress-box")).to_be_hidden()
    assert page.locator("#list .status").all_inner_texts() == ["seen", "new"]


def test_an_image_removed_while_others_are_sent_does_not_shift_their_masks(
    open_page: OpenPage, blob: Path
) -> None:
    """Images of different widths; the second is removed while the third is read for the same job."""
    images = []
    for number in range(5):
        file = io.BytesIO()
        with Image.open(blob) as image:
            image.resize((40 + number, 30)).save(file, "PNG")
        images.append(list(file.getvalue()))
    script = """async (images) => {
        const { Case } = await import("./case.js");
        const { Sender } = await import("./sending.js");
        const files = images.map((bytes) => new Blob([Uint8Array.from(bytes)], { type: "image/png" }));
        const cases = files.map((_, number) => new Case(String(number), `${number}.png`, {}));
        const widths = {};
        const store = {
            get: async (_, id) => {
                if (id === "2") sender.drop([cases[1]]);
                return files[id];
            },
            put: async (_, id, answer) => { widths[id] = answer.width; },
        };
        let answered = () => {};
        const all = new Promise((done) => { answered = () => sender.left || done(); });
        const sender = new Sender(store, answered, () => {});
        sender.send(cases);
        await all;
        return [widths, cases.map(({ problem }) => problem && problem.message)];
    }"""
    widths, problems = open_page().evaluate(script, images)
    assert problems == [None] * 5
    assert widths == {"0": 40, "2": 42, "3": 43, "4": 44}


def test_the_server_keeps_nothing_of_an_answered_image_or_a_closed_page(
    open_page: OpenPage, live, red, blobs: Blobs
) -> None:
    page = open_page()
    put(page, *blobs(3))
    expect(page.locator("#progress-box")).to_be_hidden()
    until_no_job(live.url)
    red.gate.clear()
    with page.expect_request(re.compile("/events$")):  # from then on, the page knows the job
        page.locator("#add input").set_input_files(blobs(1))
    until_kept(page, 4)
    page.goto("about:blank")
    red.gate.set()
    until_no_job(live.url)


def until_no_job(url: str) -> None:
    """Wait until the server has no job and no file of one."""

    def has_none() -> bool:
        text = httpx2.get(f"{url}metrics", timeout=60).text
        found = dict(re.findall(r"^(segdiff_job\S+) (\S+)$", text, re.M))
        jobs = [value for name, value in found.items() if name.startswith("segdiff_jobs{")]
        return set(jobs) == {"0.0"} and found["segdiff_job_bytes"] == "0.0"

    wait_until(has_none)


def test_removed_images_stay_removed(open_page: OpenPage, blobs: Blobs) -> None:
    page = open_page()
    put(page, *blobs(2))
    expect(page.locator("#progress-box")).to_be_hidden()
    page.get_by_role("button", name="Remove everything").click()
    page.locator("#confirm-box").get_by_role("button", name="Remove").click()
    expect(page.locator("#drop")).to_be_visible()
    assert kept(page) == {"cases": 0, "files": 0, "answers": 0}
    page.reload()
    expect(page.locator("#samples img")).to_have_count(8)
    expect(page.locator("#drop")).to_be_visible()


def test_what_another_tab_removed_is_said_and_does_not_come_back(
    open_page: OpenPage, live, blobs: Blobs
) -> None:
    page = open_page()
    put(page, *blobs(2))
    expect(page.locator("#progress-box")).to_be_hidden()
    other = page.context.new_page()
    other.goto(live.url)
    other.get_by_role("button", name="Remove everything").click()
    other.locator("#confirm-box").get_by_role("button", name="Remove").click()
    expect(other.locator("#drop")).to_be_visible()
    page.keyboard.press("a")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("img_2.png could not be shown")
    expect(alert).to_contain_text("removed in another tab")
    expect(alert.get_by_role("button")).to_have_count(0)
    page.keyboard.press("a")
    assert page.locator("#list .status").all_inner_texts() == ["accepted", "failed"]
    assert kept(page)["cases"] > 0
    page.reload()
    expect(page.locator("#samples img")).to_have_count(8)
    expect(page.locator("#drop")).to_be_visible()
    assert kept(page) == {"cases": 0, "files": 0, "answers": 0}


def test_an_image_whose_answer_was_not_kept_is_sent_again(open_page: OpenPage, blobs: Blobs) -> None:
    """As on a full disk. What was drawn on its mask is lost with it."""
    page = open_page()
    put(page, *blobs(2))
    expect(page.locator("#progress-box")).to_be_hidden()
    page.get_by_role("button", name="Fill holes").click()
    expect(page.locator("#list .status").first).to_have_text("corrected")
    page.evaluate("""async () => {
        const { Store } = await import("./store.js");
        const { transaction } = (await Store.open()).database.transaction("answers", "readwrite")
            .objectStore("answers").delete(IDBKeyRange.lowerBound("")).source;
        await new Promise((done) => { transaction.oncomplete = done; });
    }""")
    page.reload()
    expect(page.locator("#of-mask")).to_be_visible()
    expect(page.locator("#progress-box")).to_be_hidden()
    assert page.locator("#list .status").all_inner_texts() == ["seen", "new"]
    assert kept(page)["answers"] == 2


def until_kept(page: Page, cases: int) -> None:
    """Wait until the browser has a number of images."""
    wait_until(lambda: kept(page)["cases"] >= cases)


def kept(page: Page) -> dict[str, int]:
    """The number of entries of each kind in the browser."""
    return page.evaluate("""async () => {
        const { Store } = await import("./store.js");
        const store = await Store.open();
        const counts = ["cases", "files", "answers"].map((kind) => new Promise((done) => {
            const request = store.database.transaction(kind).objectStore(kind).count();
            request.onsuccess = () => done([kind, request.result]);
        }));
        return Object.fromEntries(await Promise.all(counts));
    }""")


def leaves_with_a_question(page: Page) -> bool:
    questions = []
    page.on("dialog", lambda dialog: (questions.append(dialog.type), dialog.accept()))
    with page.expect_event("close"):
        page.close(run_before_unload=True)
    return questions == ["beforeunload"]


def test_leaving_asks_only_if_work_would_be_lost(open_page: OpenPage, blob: Path) -> None:
    for broken in (False, True):
        page = open_page()
        if broken:
            page.add_init_script("IDBFactory.prototype.open = () => { throw new Error('nothing is kept'); };")
            page.reload()
            expect(page.locator("#samples img")).to_have_count(8)
        put(page, blob)
        choose(page, "Brush")
        drag(page, SIZE, [(4, 43), (25, 43)])
        expect(page.locator("#measures-state")).to_have_text("of the corrected mask")
        assert leaves_with_a_question(page) == broken


def test_a_full_disk_keeps_the_work_in_memory(open_page: OpenPage, blob: Path) -> None:
    page = open_page()
    page.add_init_script(
        "IDBObjectStore.prototype.put = () => { throw new DOMException('full', 'QuotaExceededError'); };"
    )
    page.reload()
    expect(page.locator("#samples img")).to_have_count(8)
    put(page, blob)
    page.get_by_role("button", name="Fill holes").click()
    assert leaves_with_a_question(page)
