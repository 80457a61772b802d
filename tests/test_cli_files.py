"""Files of many formats through the commands: added, cited, synced, watched, or skipped."""

from __future__ import annotations

import functools
import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from commands import failure, output, run, texts_in, values
from lmos.model.base import BaseModel
from lmos.store.sqlite import SQLiteStore
from originals import (
    PAGES,
    message,
    openai_export,
    write_mailbox,
    write_pdf,
    write_sheets,
    write_word,
)
from test_cli_processes import PATIENCE_SECONDS, start


@pytest.fixture(scope="module")
def empty(tiny_llama: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny_llama.save_pretrained(folder / "model")
    output("new", folder / "life.lmos", "--model", folder / "model", "--ratio", "8,3")
    return folder / "life.lmos"


@pytest.fixture
def store(empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store; `papers` in the current folder has files of several formats."""
    monkeypatch.chdir(tmp_path)
    papers = Path("papers")
    papers.mkdir()
    write_pdf(papers / "report.pdf", PAGES)
    write_sheets(papers / "costs.xlsx")
    write_word(papers / "garden.docx")
    write_mailbox(papers / "in.mbox", message("Lunch", "At noon."), message("Tea", "At five."))
    (papers / "conversations.json").write_text(openai_export())
    (papers / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n\0")
    return Path(shutil.copy(empty, tmp_path / "life.lmos"))


NAMES = {
    "papers/conversations.json#The fox",
    "papers/conversations.json#The fox (2)",
    "papers/costs.xlsx",
    "papers/garden.docx",
    "papers/in.mbox#Lunch",
    "papers/in.mbox#Tea",
    "papers/report.pdf",
}


def test_a_folder_is_added_and_cited_by_place(store: Path) -> None:
    result = run("add", store, "papers")
    assert result.exit_code == 0, result.output
    assert "7 added, 1 skipped (of no known format): " in result.stderr
    assert set(texts_in(store)) == NAMES
    found = values("retrieve", store, "Greta sold the piano to Hugo", "--where", "from=Eva")
    assert found["citations"] == []
    found = values("retrieve", store, "Greta sold the piano to Hugo", "--max-texts", 20)
    places = {(each["source"], each["place"]) for each in found["citations"]}
    assert any(name == "papers/report.pdf" and "page 2" in place for name, place in places)
    assert "papers/report.pdf, page " in output(
        "retrieve", store, "Greta sold the piano to Hugo", "--max-texts", 20
    )
    result = run(
        "ask", store, "Who has the piano?", "--budget", "100", "--max-new-tokens", "4", "--json"
    )
    assert result.stdout, result.stderr
    assert {"place"} <= json.loads(result.stdout)["citations"][0].keys()
    sources = {each["name"]: each for each in values("sources", store)}
    lunch = sources["papers/in.mbox#Lunch"]
    assert lunch["time"] == 1714552200.0
    assert lunch["labels"]["subject"] == "Lunch"


def test_what_did_not_change_is_not_added_again_and_labels_of_the_user_stay(store: Path) -> None:
    output("add", store, "papers/in.mbox", "--label", "box=old")
    assert "2 unchanged" in run("add", store, "papers/in.mbox").stderr
    write_mailbox(Path("papers/in.mbox"), message("More", "Later."))
    assert "1 added, 2 unchanged" in run("add", store, "papers/in.mbox").stderr
    sources = {each["name"]: each for each in values("sources", store)}
    assert sources["papers/in.mbox#Tea"]["labels"]["box"] == "old"


def test_pages_that_moved_are_an_update(store: Path) -> None:
    output("sync", store, "papers")
    write_pdf(Path("papers/report.pdf"), ["", *PAGES])
    assert output("sync", store, "papers").splitlines() == ["updated papers/report.pdf"]
    with SQLiteStore.open(store, read_only=True) as opened:
        report = opened.source("papers/report.pdf")
        assert opened.places(report.source_id)[0].label == "page 2"
    assert output("sync", store, "papers") == ""


def test_a_folder_is_synced_with_the_texts_in_its_files(store: Path) -> None:
    assert len(output("sync", store, "papers").splitlines()) == 7
    assert set(texts_in(store)) == NAMES
    assert "7 unchanged" in run("sync", store, "papers").stderr
    Path("papers/in.mbox").unlink()
    write_mailbox(Path("papers/in.mbox"), message("Tea", "At five."))
    Path("papers/report.pdf").rename("papers/old.pdf")
    assert output("sync", store, "papers").splitlines() == [
        "renamed papers/report.pdf to papers/old.pdf",
        "updated papers/in.mbox#Tea",
        "forgot papers/in.mbox#Lunch",
    ]


def test_bad_files_are_skipped_named_and_counted_and_their_sources_stay(store: Path) -> None:
    output("sync", store, "papers")
    write_pdf(Path("papers/report.pdf"), [""])
    Path("papers/costs.xlsx").write_bytes(b"PK\x03\x04 broken")
    Path("papers/in.mbox").write_text("no mail")
    result = run("sync", store, "papers")
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    for name, what in (
        ("costs.xlsx", "got a broken archive"),
        ("in.mbox", "expected a mailbox"),
        ("report.pdf", "no text on its page"),
    ):
        assert any(line.startswith(f"skipped papers/{name}: ") and what in line for line in lines)
    assert "0 forgotten, 3 unchanged, 3 skipped" in lines[-1]
    assert set(texts_in(store)) == NAMES


def test_encodings_are_taken_and_told(store: Path) -> None:
    Path("a.txt").write_bytes("Le café de Clara ferme à midi.".encode("latin-1"))
    Path("b.txt").write_text("Le café.", encoding="utf-8")
    assert "add --encoding cp1252" in failure("add", store, "a.txt")
    for name, told in (("latin-1", "latin-1"), ("detect", "cp1252")):
        result = run("add", store, "a.txt", "b.txt", "--encoding", name)
        assert f"a.txt: read as {told}" in result.stderr
        assert "b.txt: read" not in result.stderr
    assert texts_in(store)["a.txt"] == "Le café de Clara ferme à midi."
    assert "expected a name such as latin-1" in failure(
        "add", store, "a.txt", "--encoding", "none", code=2
    )
    result = run("add", store, "-", "--source", "s", "--encoding", "latin-1", stdin=b"caf\xe9")
    assert result.exit_code == 0
    assert texts_in(store)["s"] == "café"


def test_a_missing_library_skips_its_files_alone(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pypdf", None)
    result = run("add", store, "papers")
    assert result.exit_code == 1
    assert 'pip install "lmos[files]"' in result.stderr
    assert set(texts_in(store)) == NAMES - {"papers/report.pdf"}


# Pages of the web


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """The address of a server of this machine, for the folder `site`."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "index.html").write_text("<title>Shop</title><h2 id='tea'>Tea</h2><p>Costs 3 é.")
    write_pdf(folder / "report.pdf", PAGES)
    handler = functools.partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_pages_of_the_web_are_added_by_their_address(store: Path, site: str) -> None:
    output("add", store, f"{site}/", f"{site}/report.pdf#page=2")
    texts = texts_in(store)
    assert texts[f"{site}/"] == "# Shop\n\n## Tea\n\nCosts 3 é.\n"
    assert PAGES[1] in texts[f"{site}/report.pdf#page=2"]
    result = run("add", store, f"{site}/none", "papers/garden.docx")
    assert result.exit_code == 1
    assert f"skipped {site}/none: the server says 404" in result.stderr
    assert "papers/garden.docx" in texts_in(store)
    assert "got more; raise --max-mb" in failure("add", store, f"{site}/", "--max-mb", "0.00001")


def test_where_no_network_is_that_is_said(store: Path) -> None:
    error = failure("add", store, "http://127.0.0.1:9/page")
    assert error.startswith("error: http://127.0.0.1:9/page: cannot be reached (")
    assert "is there a network?" in error


# Watching


def read_until(watching: subprocess.Popen[str], line: str) -> list[str]:
    """What is printed, up to a line."""
    assert watching.stdout is not None
    found: list[str] = []
    while line not in found:
        told = watching.stdout.readline()
        assert told, f"ended: {found} {watching.communicate()}"
        found.append(told.rstrip("\n"))
    return found


def test_watch_makes_a_store_equal_and_keeps_it_so_until_it_is_ended(store: Path) -> None:
    notes = Path("notes")
    notes.mkdir()
    (notes / "a.md").write_text("Note a.")
    output("sync", store, "notes")
    (notes / "a.md").rename(notes / "c.md")
    with start("watch", store, "notes") as watching:
        read_until(watching, "renamed notes/a.md to notes/c.md")
        output("add", store, "papers/garden.docx", "--wait", 60)
        (notes / "b.csv").write_text("Item,Price\nTea,3\n")
        read_until(watching, "added notes/b.csv")
        (notes / "c.md").write_text("Note c, changed.")
        read_until(watching, "updated notes/c.md")
        watching.send_signal(signal.SIGINT)
        _, told = watching.communicate(timeout=PATIENCE_SECONDS)
    assert watching.returncode == 0, told
    assert "Traceback" not in told
    assert told.splitlines()[-1] == "ended; nothing half-written"
    assert set(texts_in(store)) == {"notes/b.csv", "notes/c.md", "papers/garden.docx"}


def test_watch_refuses_what_is_no_folder(store: Path) -> None:
    assert "expected a folder" in failure("watch", store, "papers/report.pdf")
    assert "expected a folder" in failure("watch", store, "nowhere")
