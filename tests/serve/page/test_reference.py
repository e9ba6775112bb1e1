"""The page of the REST API, in Chromium: it is served from the package and works under the policy."""

from playwright.sync_api import expect


def test_the_reference_shows_the_routes_and_sends_requests(browser, live) -> None:
    page = browser.new_page()
    complaints: list[str] = []
    requested: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on(
        "request", lambda request: None if request.url.startswith(live.url) else requested.append(request.url)
    )
    page.goto(f"{live.url}reference/")
    expect(page.locator(".opblock")).to_have_count(11)
    about = page.locator("[id$='metadata_api_v1_about_get']")
    about.locator("button.opblock-summary-control").click()
    about.get_by_role("button", name="Execute").click()
    expect(about.locator(".live-responses-table tbody .response-col_status").first).to_contain_text("200")
    assert all(url.startswith((live.url, "data:")) for url in requested)
    assert complaints == []
