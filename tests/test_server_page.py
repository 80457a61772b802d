"""The page of a server: its files without a browser, and what a person does with one."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

import lmos
from lmos.model.base import BaseModel
from lmos.server.keys import add_key
from lmos.session import Session
from serving import TEXT, Served, error_of, served, wait_until

FOLDER = Path(lmos.__file__).parent / "server" / "page"
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
with_browser = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="needs chromium and chromedriver"
)


@pytest.fixture
def server(tiny_llama: BaseModel, tmp_path: Path) -> Iterator[Served]:
    with Session.create(tmp_path / "life.lmos", tiny_llama) as session:
        session.add("diary <b>", TEXT, metadata={"author": "me"})
        session.add("notes", "The kettle is green.")
    with served(tmp_path, tiny_llama) as running:
        yield running


@pytest.fixture
def browser(server: Served, tmp_path: Path) -> Iterator[webdriver.Chrome]:
    assert CHROMIUM is not None
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in (*OPTIONS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        driver.get(server.url)
        wait_until(lambda: "token" in one(driver, "#numbers").text)
        yield driver
    finally:
        driver.quit()


def one(browser: webdriver.Chrome, selector: str) -> WebElement:
    return browser.find_element(By.CSS_SELECTOR, selector)


def many(browser: webdriver.Chrome, selector: str) -> list[WebElement]:
    return browser.find_elements(By.CSS_SELECTOR, selector)


def press(browser: webdriver.Chrome, key: str) -> None:
    webdriver.ActionChains(browser).send_keys(key).perform()


def ask(browser: webdriver.Chrome) -> None:
    one(browser, "#question").send_keys("What opens the lock?", Keys.ENTER)
    wait_until(lambda: "confidence" in one(browser, "#timing").text)
    wait_until(lambda: many(browser, "#walk svg"))


def test_every_file_that_the_page_names_is_served_with_its_type(
    tiny_llama: BaseModel, tmp_path: Path
) -> None:
    types = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
    with served(tmp_path, tiny_llama) as running, running.client() as client:
        page = client.get("/")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        named = re.findall(r'(?:href|src)="(page/[^"]+)"', page.text)
        scripts = [path.name for path in FOLDER.glob("*.js")]
        for name in scripts:
            text = (FOLDER / name).read_text(encoding="utf-8")
            named += [f"page/{each}" for each in re.findall(r'from "\./([^"]+)"', text)]
        assert {f"page/{name}" for name in scripts} <= set(named)
        for name in named:
            reply = client.get(name).raise_for_status()
            wanted = types.get(Path(name).suffix, "image/svg+xml")
            assert reply.headers["content-type"].split(";")[0] == wanted
            assert reply.headers["x-content-type-options"] == "nosniff"
            assert "default-src 'self'" in reply.headers["content-security-policy"]
        for name in ("missing.js", "..%2Fapp.py", "%2e%2e", "__init__.py"):
            error_of(client.get(f"/page/{name}"), 404)


def test_the_page_needs_no_key_and_loads_nothing_from_elsewhere() -> None:
    for path in FOLDER.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, path.name
        assert "https://" not in text, path.name
        assert "innerHTML" not in text, path.name
        assert " style=" not in text, path.name


@with_browser
def test_a_question_is_answered_with_citations_and_its_walk(browser: webdriver.Chrome) -> None:
    ask(browser)
    assert many(browser, "#citations button")
    assert many(browser, ".node.path circle")
    assert many(browser, "#levels tbody tr")
    many(browser, "#citations button")[0].click()
    wait_until(lambda: many(browser, "#reading-text mark"))
    marked = one(browser, "#reading-text mark").text
    assert marked
    assert marked in TEXT + "The kettle is green."
    assert one(browser, "#why").text.startswith("Why ")
    assert many(browser, ".node.chosen")
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]


@with_browser
def test_everything_is_reached_with_the_keyboard(browser: webdriver.Chrome) -> None:
    ask(browser)
    seen: list[str] = []
    for _ in range(40):
        press(browser, Keys.TAB)
        active = browser.switch_to.active_element
        if active.get_attribute("role") == "button":
            press(browser, Keys.ENTER)
            wait_until(lambda: many(browser, "#why p"))
            press(browser, Keys.ARROW_RIGHT)
            seen.append("node")
        elif active.get_attribute("class") == "act":
            seen.append("forget")
            break
        elif active.tag_name == "button":
            seen.append(active.text)
    assert {"Ask", "node", "forget"} <= set(seen)
    assert any("diary" in text or "notes" in text for text in seen)


@with_browser
def test_what_is_forgotten_can_be_kept_for_a_while(
    browser: webdriver.Chrome, server: Served
) -> None:
    assert not many(browser, "#sources b")
    one(browser, "#filter").send_keys("author=me")
    wait_until(lambda: len(many(browser, "#sources li")) == 1)
    one(browser, "#sources .act").click()
    assert browser.switch_to.active_element.text == "Undo"
    browser.switch_to.active_element.click()
    one(browser, "#filter").clear()
    one(browser, "#filter").send_keys("notes")
    wait_until(lambda: one(browser, "#sources .name").text == "notes")
    one(browser, "#sources .act").click()
    with server.client() as client:
        wait_until(lambda: client.get("/stores/life/sources").json()["total"] == 1)
        left = client.get("/stores/life/sources").json()["sources"]
    assert [source["name"] for source in left] == ["diary <b>"]


@with_browser
def test_a_file_is_added(browser: webdriver.Chrome, tmp_path: Path) -> None:
    path = tmp_path / "garage.txt"
    path.write_text("The garage opens with 5830.", encoding="utf-8")
    one(browser, "#files").send_keys(str(path))
    wait_until(lambda: "3 sources" in one(browser, "#numbers").text)
    assert "Added garage.txt." in one(browser, "#news").text


@with_browser
def test_a_phone_does_not_scroll_sideways(browser: webdriver.Chrome) -> None:
    size = {"width": 360, "height": 720, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    ask(browser)
    many(browser, "#citations button")[0].click()
    wait_until(lambda: many(browser, "#reading-text mark"))
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
    assert len(many(browser, ".node")) < 120


@with_browser
def test_a_key_is_asked_for_where_one_is_needed(
    browser: webdriver.Chrome, tiny_llama: BaseModel, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.json"
    key = add_key(keys, "life", can_write=False)[0]
    with served(tmp_path, tiny_llama, keys=keys) as guarded:
        browser.get(guarded.url)
        wait_until(lambda: one(browser, "#key").is_displayed())
        one(browser, "#key").send_keys(key, Keys.ENTER)
        wait_until(lambda: "token" in one(browser, "#numbers").text)
        assert not one(browser, "#key").is_displayed()
        ask(browser)
