"""The page of a server: its files without a browser, and what a person does with one."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

import lmos
from conftest import new_llama
from lmos.model.base import BaseModel
from lmos.reading.answers import Answer
from lmos.search.retriever import RetrievalConfig
from lmos.server.keys import add_key
from lmos.session import Session
from serving import PATIENCE_SECONDS, TEXT, Served, error_of, served, wait_until

FOLDER = Path(lmos.__file__).parent / "server" / "page"
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
with_browser = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="needs chromium and chromedriver"
)


@pytest.fixture(scope="module")
def roomy_llama(tokenizer_folder: Path) -> BaseModel:
    """With room for a few turns of a conversation."""
    return new_llama(tokenizer_folder, max_position_embeddings=2048)


@pytest.fixture
def server(roomy_llama: BaseModel, tmp_path: Path) -> Iterator[Served]:
    with Session.create(tmp_path / "life.lmos", roomy_llama) as session:
        session.add("diary <b>", TEXT, metadata={"author": "me"})
        session.add("notes", "The kettle is green.")
    with served(tmp_path, roomy_llama) as running:
        yield running


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    assert CHROMIUM is not None
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def browser(server: Served, chrome: webdriver.Chrome) -> webdriver.Chrome:
    look(chrome)
    complaints(chrome)
    chrome.get(server.url)
    wait_until(lambda: "token" in one(chrome, "#numbers").text)
    assert complaints(chrome) == []
    return chrome


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, RetrievalConfig, list[Any]]]:
    """What the server was asked; every answer counts as found."""
    questions: list[tuple[str, RetrievalConfig, list[Any]]] = []
    ask_really = Session.ask

    def spy(session: Session, question: str, config: Any = None, **options: Any) -> Answer:
        questions.append((question, config, list(options["turns"])))
        return ask_really(session, question, config, **options)

    monkeypatch.setattr(Session, "ask", spy)
    monkeypatch.setattr(Answer, "is_found", property(lambda _: True, lambda *_: None))
    return questions


def look(
    browser: webdriver.Chrome, *, scheme: str = "light", motion: str = "reduce", width: int = 1240
) -> None:
    """How the page is looked at."""
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = {"prefers-color-scheme": scheme, "prefers-reduced-motion": motion}
    media = {"features": [{"name": name, "value": value} for name, value in features.items()]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)


def complaints(browser: webdriver.Chrome) -> list[Any]:
    """What the console says."""
    return list(browser.get_log("browser"))  # type: ignore[no-untyped-call]


def one(browser: webdriver.Chrome, selector: str) -> WebElement:
    return browser.find_element(By.CSS_SELECTOR, selector)


def many(browser: webdriver.Chrome, selector: str) -> list[WebElement]:
    return browser.find_elements(By.CSS_SELECTOR, selector)


def press(browser: webdriver.Chrome, key: str) -> None:
    webdriver.ActionChains(browser).send_keys(key).perform()


def tab_to(browser: webdriver.Chrome, selector: str, key: str = Keys.TAB) -> WebElement:
    """Press Tab until an element that fits has the focus, and see that it shows."""
    for _ in range(60):
        press(browser, key)
        active = browser.switch_to.active_element
        assert browser.execute_script(SHOWS_FOCUS, active), active.get_attribute("outerHTML")
        if browser.execute_script("return arguments[0].matches(arguments[1])", active, selector):
            return active
    raise AssertionError(f"Tab does not reach {selector}")


SHOWS_FOCUS = """
const seen = (each) => each && getComputedStyle(each).outlineStyle !== "none";
const [active] = arguments, circle = active.querySelector("circle:not(.around)");
return active === document.body || seen(active) || seen(active.labels?.[0]) ||
  (circle !== null && getComputedStyle(circle).stroke !== "none");
"""


def ask(browser: webdriver.Chrome, question: str = "What opens the lock?") -> WebElement:
    """Ask; the turn, once it is answered and its walk is drawn."""
    number = len(many(browser, ".turn")) + 1
    one(browser, "#question").send_keys(question, Keys.ENTER)
    wait_until(lambda: "sure" in one(browser, "#told").text)
    wait_until(lambda: question in one(browser, "#walk-hint").text)
    turns = many(browser, ".turn")
    assert len(turns) == number
    return turns[-1]


def set_field(browser: webdriver.Chrome, name: str, value: str) -> None:
    """As typing does; dates are typed in another order in every country."""
    browser.execute_script(
        "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))",
        one(browser, f"#{name}"),
        value,
    )


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
    turn = ask(browser)
    assert turn.find_element(By.TAG_NAME, "h3").text == "What opens the lock?"
    assert "done in" in turn.find_element(By.CSS_SELECTOR, ".timing").text
    assert many(browser, ".node.path circle")
    assert many(browser, "#levels tbody tr")
    many(browser, ".citations button")[0].click()
    wait_until(lambda: many(browser, "#reading-text mark"))
    marked = one(browser, "#reading-text mark").text
    assert marked
    assert marked in TEXT + "The kettle is green."
    assert one(browser, "#why").text.startswith("Why ")
    assert many(browser, ".node.chosen")
    assert complaints(browser) == []


@with_browser
def test_a_question_follows_the_turns_before_it(
    browser: webdriver.Chrome, asked: list[tuple[str, RetrievalConfig, list[Any]]]
) -> None:
    first = ask(browser)
    said = first.find_element(By.CSS_SELECTOR, ".said").get_attribute("textContent")
    ask(browser, "And when?")
    assert [question for question, *_ in asked] == ["What opens the lock?", "And when?"]
    assert asked[0][2] == []
    assert asked[1][2] == [("What opens the lock?", said)]
    # The turn before is still there with its passages, folded, and so is its walk.
    evidence = first.find_element(By.CSS_SELECTOR, ".evidence")
    assert evidence.get_attribute("open") is None
    evidence.find_element(By.TAG_NAME, "summary").click()
    evidence.find_element(By.TAG_NAME, "button").click()
    wait_until(lambda: many(browser, "#reading-text mark"))
    assert "What opens the lock?" in one(browser, "#walk-hint").text
    one(browser, "#afresh").click()
    assert not many(browser, ".turn")
    assert not one(browser, "#reading").is_displayed()
    ask(browser, "What is green?")
    assert asked[2][2] == []


@with_browser
def test_options_say_how_to_search(
    browser: webdriver.Chrome, asked: list[tuple[str, RetrievalConfig, list[Any]]]
) -> None:
    ask(browser)
    assert asked[0][1] == RetrievalConfig()
    one(browser, "#options summary").click()
    for name, value in (
        ("strategy", "tree"),
        ("passages", "7"),
        ("since", "2020-05-01"),
        ("until", "2999-05-31"),
        ("labels", "author = me"),
    ):
        set_field(browser, name, value)
    one(browser, "#options summary").click()
    chosen = one(browser, "#chosen").text
    for told in ("the tree alone", "7 passages", "2020", "2999", "author=me"):
        assert told in chosen
    ask(browser, "What sleeps?")
    config = asked[1][1]
    assert config.strategy == "tree"
    assert config.max_texts == 7
    assert config.budget > RetrievalConfig().budget
    assert config.since == datetime(2020, 5, 1).timestamp()
    assert config.until == datetime(2999, 6, 1).timestamp()
    assert config.where == {"author": "me"}
    # A mistake is not sent, and not hidden.
    set_field(browser, "labels", "me")
    one(browser, "#question").send_keys("Who?", Keys.ENTER)
    wait_until(lambda: one(browser, "#labels").is_displayed())
    assert len(asked) == 2
    one(browser, "#usual").click()
    ask(browser, "Who?")
    assert asked[2][1] == RetrievalConfig()


@with_browser
def test_the_walk_is_shown_before_the_answer_is_whole(
    browser: webdriver.Chrome, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_seen = threading.Event()
    generate = Answer.__iter__

    def slowly(answer: Answer) -> Iterator[str]:
        for number, piece in enumerate(generate(answer)):
            yield piece
            if number == 1:
                assert is_seen.wait(PATIENCE_SECONDS)

    monkeypatch.setattr(Answer, "__iter__", slowly)
    one(browser, "#question").send_keys("What opens the lock?", Keys.ENTER)
    try:
        wait_until(lambda: many(browser, ".node.path circle"))
        assert many(browser, ".said[aria-busy]")
        assert many(browser, ".citations button")
        assert one(browser, "#told").text == ""
    finally:
        is_seen.set()
    wait_until(lambda: "sure" in one(browser, "#told").text)


@with_browser
def test_another_statement_is_shown_under_the_answer(browser: webdriver.Chrome) -> None:
    ask(browser)
    browser.execute_async_script(
        """
        const done = arguments[0];
        import("/page/turns.js").then(({ Turn }) => {
          const citation = { source: "notes", headings: ["May"], time: 86400 * 200, path: [],
            start_byte: 0, end_byte: 10, parts: null };
          const turn = new Turn("life", "Which?", () => {});
          turn.differ([{ answer: "4711", is_earlier: true, citation }]);
          document.getElementById("turns").append(turn.item);
          done();
        });
        """
    )
    button = one(browser, ".differing button")
    assert button.text.startswith("Said earlier: 4711")
    assert "notes › May" in button.text
    assert "1970" in button.text
    button.click()
    wait_until(lambda: many(browser, "#reading-text mark"))
    assert one(browser, "#reading-text mark").text == "The kettle"


@with_browser
def test_the_keyboard_alone_is_enough(browser: webdriver.Chrome, tmp_path: Path) -> None:
    tab_to(browser, "#question")
    press(browser, "What opens the lock?")
    press(browser, Keys.ENTER)
    wait_until(lambda: "sure" in one(browser, "#told").text)
    wait_until(lambda: many(browser, "#walk svg"))
    assert browser.switch_to.active_element.get_attribute("id") == "question"
    # Back to the passages, which stand above the question.
    citation = tab_to(browser, ".citations button", Keys.SHIFT + Keys.TAB)
    press(browser, Keys.ENTER)
    wait_until(lambda: browser.switch_to.active_element.get_attribute("id") == "reading")
    press(browser, Keys.ESCAPE)
    assert browser.switch_to.active_element == citation
    node = tab_to(browser, ".node")
    press(browser, Keys.ENTER)
    wait_until(lambda: many(browser, "#why p"))
    others = []
    for key in (Keys.ARROW_DOWN, Keys.ARROW_UP, Keys.ARROW_RIGHT, Keys.ARROW_LEFT):
        press(browser, key)
        others += [browser.switch_to.active_element]
    other = next(each for each in others if each != node)
    assert other.get_attribute("role") == "button"
    tab_to(browser, "#levels-part summary")
    press(browser, Keys.ENTER)
    assert one(browser, "#levels").is_displayed()
    added = tab_to(browser, "#files")
    path = tmp_path / "garage.txt"
    path.write_text("The garage opens with 5830.", encoding="utf-8")
    added.send_keys(str(path))
    wait_until(lambda: "3 sources" in one(browser, "#numbers").text)
    tab_to(browser, "#sources .act")
    press(browser, Keys.ENTER)
    assert browser.switch_to.active_element.text == "Undo"
    press(browser, Keys.ENTER)
    assert browser.switch_to.active_element.text == "Forget"
    assert "stays" in one(browser, "#news").text
    assert complaints(browser) == []


@with_browser
@pytest.mark.parametrize("width", [1240, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(browser: webdriver.Chrome, scheme: str, width: int) -> None:
    look(browser, scheme=scheme, width=width)
    axe = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    browser.execute_script(axe)
    states = [violations(browser)]
    ask(browser)
    ask(browser, "And when?")
    one(browser, "#options summary").click()
    one(browser, "#levels-part summary").click()
    many(browser, ".turn:last-child .citations button")[0].click()
    wait_until(lambda: many(browser, "#reading-text mark"))
    states.append(violations(browser))
    one(browser, "#sources .act").click()
    set_field(browser, "filter", "nothing like it")
    states.append(violations(browser))
    assert states == [[], [], []]
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert len(many(browser, ".node")) < 120


def violations(browser: webdriver.Chrome) -> list[str]:
    """Rules that the page breaks as it is, with what breaks them."""
    result = browser.execute_async_script(
        "const done = arguments[0]; axe.run().then(done, (error) => done({error: `${error}`}))"
    )
    assert result["passes"]
    return [
        f"{found['id']}: {node['html']}"
        for found in result["violations"]
        for node in found["nodes"]
    ]


@with_browser
def test_nothing_moves_for_those_who_want_it_still(browser: webdriver.Chrome) -> None:
    moves = "return getComputedStyle(document.querySelector('.edge.path')).animationName"
    ask(browser)
    assert browser.execute_script(moves) == "none"
    assert browser.execute_script("return document.getAnimations().length") == 0
    look(browser, motion="no-preference")
    assert browser.execute_script(moves) == "light"


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
def test_a_key_is_asked_for_where_one_is_needed(
    browser: webdriver.Chrome, roomy_llama: BaseModel, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.json"
    key = add_key(keys, "life", can_write=False)[0]
    with served(tmp_path, roomy_llama, keys=keys) as guarded:
        browser.get(guarded.url)
        wait_until(lambda: one(browser, "#key").is_displayed())
        one(browser, "#key").send_keys(key, Keys.ENTER)
        wait_until(lambda: "token" in one(browser, "#numbers").text)
        assert not one(browser, "#key").is_displayed()
        ask(browser)
