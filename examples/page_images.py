"""Makes docs/images/page*.png: the page of `lmos serve` in a headless Chromium.

`python examples/page_images.py` puts the texts of the demo into a store, which takes minutes, and
asks two questions; with a STORE that holds them it is quicker. A second argument names another
folder. Needs chromium, chromedriver and selenium.
"""

from __future__ import annotations

import base64
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import uvicorn
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from lmos import Session
from lmos.server.app import make_app
from lmos.server.running import address_of, listen
from lmos.server.settings import ServerConfig

IMAGES = Path(__file__).parents[1] / "docs" / "images"
TEXTS = Path(__file__).parent / "texts"
QUESTIONS = ("Where does the key hang now?", "What is the code of the garage door?")
# Name, colour scheme, width, least height, whether it is a phone.
PICTURES = (
    ("page.png", "light", 1240, 700, False),
    ("page-dark.png", "dark", 1240, 700, False),
    ("page-phone.png", "light", 390, 844, True),
)
_PATIENCE_SECONDS = 120.0


def main() -> None:
    """Make the images."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "life.lmos"
        if len(sys.argv) > 1:
            shutil.copy(sys.argv[1], store)
        else:
            with Session.create(store) as session:
                for path in sorted(TEXTS.iterdir()):
                    session.add(path.name, path.read_text(encoding="utf-8"))
        server = uvicorn.Server(
            uvicorn.Config(make_app(ServerConfig(Path(folder))), log_level="warning", ws="none")
        )
        with listen("127.0.0.1", 0) as listener:
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
            thread.start()
            try:
                for picture in PICTURES:
                    take(address_of(listener), *picture)
            finally:
                server.should_exit = True
                thread.join()


def take(url: str, name: str, scheme: str, width: int, height: int, is_phone: bool) -> None:
    """One image of the page after the questions, with the first passage open."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for option in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(option)
    browser = webdriver.Chrome(options, Service(shutil.which("chromedriver")))

    def find(selector: str) -> bool:
        return bool(browser.find_elements(By.CSS_SELECTOR, selector))

    try:
        size = {"width": width, "height": height, "deviceScaleFactor": 2 if is_phone else 1}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {**size, "mobile": is_phone})
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.get(url)
        wait_until(lambda: find("#sources .name"))
        for number, question in enumerate(QUESTIONS, 1):
            browser.find_element(By.ID, "question").send_keys(question, Keys.ENTER)
            answered = f".turn:nth-child({number}) .said:not([aria-busy])"
            wait_until(partial(find, answered))
            wait_until(lambda: find("#walk svg") and not find("#walking[aria-busy]"))
        browser.find_element(By.CSS_SELECTOR, ".turn:last-child .citations button").click()
        wait_until(lambda: find("#reading-text mark"))
        browser.execute_script("document.activeElement.blur()")
        image = browser.execute_cdp_cmd(
            "Page.captureScreenshot", {"captureBeyondViewport": True, "format": "png"}
        )
        path = (Path(sys.argv[2]) if len(sys.argv) > 2 else IMAGES) / name
        path.write_bytes(base64.b64decode(image["data"]))
    finally:
        browser.quit()


def wait_until(is_so: Callable[[], bool]) -> None:
    """Return once it is so."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < end, "the page does not come to rest"
        time.sleep(0.05)


if __name__ == "__main__":
    main()
