"""Commands that succeed: what they print, and what the store holds afterwards."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
from dataclasses import fields, replace
from pathlib import Path

import click
import pytest

import lmos
from commands import TEXTS, answered, failure, output, run, texts_in, values, write_notes
from conftest import new_llama
from lmos.cli import main
from lmos.cli.show.output import printable
from lmos.model.base import BaseModel
from lmos.reading.answers import Answer
from lmos.reading.citations import cite
from lmos.search import strategies
from lmos.search.retriever import RetrievalConfig
from lmos.session import Session
from lmos.settings import (
    DEFAULT_RATIOS,
    DEFAULT_WINDOW,
    SEGMENTERS,
    STRATEGIES,
)
from lmos.store import files
from lmos.store.sqlite import SQLiteStore

QUESTION = "What opens the blue bicycle?"
_ANSWER_KEYS = (
    *("answer", "is_found", "confidence", "is_calibrated", "reason"),
    *("citations", "differing", "timing"),
)
STORE_COMMANDS = [
    name
    for name, command in main.commands.items()
    if command.params and command.params[0].name == "store"
]


@pytest.fixture(scope="module")
def model_folder(tiny_llama: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny_llama.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def filled(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled")
    write_notes(folder / "notes")
    output("new", folder / "life.lmos", "--model", model_folder, "--ratio", "8,3,2")
    output("add", folder / "life.lmos", folder / "notes")
    return folder / "life.lmos"


@pytest.fixture
def empty(model_folder: Path, tmp_path: Path) -> Path:
    output("new", tmp_path / "life.lmos", "--model", model_folder, "--ratio", "8,3,2")
    return tmp_path / "life.lmos"


@pytest.fixture
def store(filled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(filled, tmp_path / "life.lmos"))


# Help


def test_help_names_every_command() -> None:
    text = output("--help")
    for name, command in main.commands.items():
        assert f"  {name} " in text
        assert command.short_help
        assert command.short_help in text


@pytest.mark.parametrize("name", STORE_COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    text = output(name, "--help")
    assert "Example:" in text
    assert f"lmos {name} life.lmos" in text
    for parameter in main.commands[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


@pytest.mark.parametrize("name", [name for name in STORE_COMMANDS if name != "new"])
def test_every_command_that_prints_speaks_json(name: str) -> None:
    assert "--json" in output(name, "--help")


def test_options_say_what_the_library_does() -> None:
    config = RetrievalConfig()
    options = {
        option.name: option for name in ("new", "ask") for option in main.commands[name].params
    }
    for each in fields(config):
        if each.metadata["help"] and each.name != "where":
            assert options[each.name].default == getattr(config, each.name), each.name
    expected = {"strategy": STRATEGIES, "segmenter": SEGMENTERS}
    for name, choices in expected.items():
        kind = options[name].type
        assert isinstance(kind, click.Choice)
        assert tuple(kind.choices) == choices
        assert options[name].default == choices[0]
    assert options["window"].default == DEFAULT_WINDOW
    assert options["ratios"].default == ",".join(map(str, DEFAULT_RATIOS))


def test_every_choice_is_there() -> None:
    assert set(strategies.STRATEGIES) == set(STRATEGIES)


def test_version() -> None:
    assert output("--version") == f"lmos, version {lmos.__version__}\n"


# new


def test_new_keeps_its_settings(model_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "life.lmos"
    modes = ("--window", 64, "--segmenter", "fixed")
    result = run("new", path, "--model", model_folder, "--ratio", "4, 2", *modes)
    assert result.exit_code == 0
    assert result.stdout == ""
    with SQLiteStore.open(path) as store:
        manifest = store.manifest
    assert manifest.ratios == (4, 2)
    assert manifest.windows == (64, 16)
    assert (manifest.mask_mode, manifest.output_mode) == ("window", "residual")
    assert manifest.segmenter == "fixed"
    assert manifest.base_model == str(model_folder)


def test_an_untrained_model_is_a_warning_of_one_line(model_folder: Path, tmp_path: Path) -> None:
    error = run("new", tmp_path / "life.lmos", "--model", model_folder).stderr
    warning, made = error.splitlines()
    assert warning.startswith(f"warning: {model_folder} was not trained")
    assert "finds passages by the words that they share with a question" in warning
    assert made.startswith("made ")


def test_a_store_with_untrained_attention_keys_is_used_and_told_of(
    model_folder: Path, tmp_path: Path
) -> None:
    old, new = tmp_path / "old.lmos", tmp_path / "new.lmos"
    model = BaseModel.from_pretrained(model_folder)
    model.name = str(model_folder)
    with Session.create(old, model.with_attention_keys()) as session:
        session.add("diary", "Eva will come on Monday.")
    output("new", new, "--model", model_folder)
    told = f"lmos reencode STORE --model {model_folder}"
    found = run("retrieve", old, "Eva")
    assert found.exit_code == 0
    assert "come on Monday" in found.stdout
    warnings = [line for line in found.stderr.splitlines() if line.startswith("warning: ")]
    assert [told in warning for warning in warnings] == [False, True]
    output("reencode", old, "--model", model_folder)
    again = run("retrieve", old, "Eva")
    assert "come on Monday" in again.stdout
    assert told not in again.stderr


# add


def test_add_takes_the_text_of_a_folder(empty: Path, tmp_path: Path) -> None:
    notes = write_notes(tmp_path / "notes")
    result = run("add", empty, notes)
    assert result.exit_code == 0
    assert texts_in(empty) == {str(notes / name): text for name, text in TEXTS.items()}
    lines = result.stdout.splitlines()
    assert len(lines) == len(TEXTS)
    assert all(line.startswith("added ") and line.endswith(" tokens)") for line in lines)
    assert "3 added, 1 skipped (of no known format), 1 skipped (empty)" in result.stderr


def test_add_names_a_source_the_same_however_its_path_is_typed(
    empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_notes(tmp_path / "notes")
    monkeypatch.chdir(tmp_path)
    for typed in ("./notes/", "notes", tmp_path / "notes", "notes/piano.md"):
        output("add", empty, typed)
    assert set(texts_in(empty)) == {f"notes/{name}" for name in TEXTS}


def test_add_takes_the_time_of_a_file(empty: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("One.")
    os.utime(path, (5, 1_600_000_000))
    output("add", empty, path)
    assert values("sources", empty)[0]["time"] == 1_600_000_000
    path.write_text("Two.")
    os.utime(path, (5, 1_700_000_000))
    output("add", empty, path)
    assert values("sources", empty)[0]["time"] == 1_700_000_000
    output("add", empty, path, "--time", "@7")
    output("add", empty, path, "--append", "--source", str(path))
    assert values("sources", empty)[0]["time"] == 7


def test_add_takes_and_leaves_out_what_is_like_a_pattern(empty: Path, tmp_path: Path) -> None:
    notes = write_notes(tmp_path / "notes")
    (notes / "list.org").write_text("An org file.")
    output("add", empty, notes, "--include", "*.org", "--include", "*.md", "--exclude", "empty.*")
    assert set(texts_in(empty)) == {str(notes / "list.org"), str(notes / "piano.md")}
    assert "no files like *.tex" in failure("add", empty, notes, "--include", "*.tex")


def test_add_takes_any_suffix_that_is_named(empty: Path, tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("Dear Eva, come on Monday.")
    output("add", empty, tmp_path / "letter", "--source", "letter")
    assert texts_in(empty) == {"letter": "Dear Eva, come on Monday."}


def test_add_keeps_every_byte(empty: Path, tmp_path: Path) -> None:
    text = "\ufeffOne.\r\nTwo.\tThree\x0c \u2028 end  \r\n"
    (tmp_path / "a.txt").write_bytes(text.encode())
    output("add", empty, tmp_path / "a.txt", "--source", "a")
    assert texts_in(empty) == {"a": text}


def test_adding_the_same_again_changes_nothing(store: Path, filled: Path) -> None:
    before = store.read_bytes()
    result = values("add", store, filled.parent / "notes")
    assert {source["action"] for source in result["sources"]} == {"unchanged"}
    assert result["skipped"] == 1
    assert result["empty"] == 1
    assert store.read_bytes() == before


def test_add_gives_a_source_its_new_text(store: Path, tmp_path: Path) -> None:
    (name,) = (name for name in texts_in(store) if name.endswith("piano.md"))
    (tmp_path / "new.md").write_text("Sold.")
    (source,) = values("add", store, tmp_path / "new.md", "--source", name)["sources"]
    assert source == {"source": name, "action": "updated", "num_tokens": 5, "num_bytes": 5}
    assert texts_in(store)[name] == "Sold."


def test_add_from_standard_input_with_labels_and_time(empty: Path) -> None:
    labels = ("--label", "author=me", "--label", "kind=a=b")
    output("add", empty, "-", "--source", "diary", *labels, "--time", "@1715900000", stdin="Rain.")
    (source,) = values("sources", empty)
    assert source["name"] == "diary"
    assert source["labels"] == {"author": "me", "kind": "a=b"}
    assert source["time"] == 1715900000
    assert texts_in(empty) == {"diary": "Rain."}


def test_append_extends_and_keeps_labels(empty: Path) -> None:
    output("add", empty, "-", "--source", "diary", "--append", "--label", "a=b", stdin="One.\n")
    result = values("add", empty, "-", "--source", "diary", "--append", stdin="Two.")
    assert [source["action"] for source in result["sources"]] == ["appended"]
    assert texts_in(empty) == {"diary": "One.\nTwo."}
    assert values("sources", empty)[0]["labels"] == {"a": "b"}


def test_append_joins_files_under_one_name(empty: Path, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text(f"Part {name}.\n")
    output("add", empty, tmp_path / "a.txt", tmp_path / "b.txt", "--source", "all", "--append")
    assert texts_in(empty) == {"all": "Part a.\nPart b.\n"}


def write_adapter(folder: Path, model_folder: Path) -> Path:
    """An adapter for a model, in a folder of its own."""
    model = BaseModel.from_pretrained(model_folder)
    model.is_trained = True
    model.save_adapter(folder)
    return folder


def test_a_store_remembers_its_adapter(model_folder: Path, tmp_path: Path) -> None:
    adapter, store = write_adapter(tmp_path / "adapter", model_folder), tmp_path / "life.lmos"
    made = run("new", store, "--model", model_folder, "--adapter", adapter)
    assert made.exit_code == 0
    assert "not trained" not in made.stderr
    output("add", store, "-", "--source", "diary", stdin="Greta has a bicycle.")
    asked = run("ask", store, QUESTION, "--max-new-tokens", 1)
    assert (asked.exit_code, "not trained" in asked.stderr) == (0, False)
    assert values("status", store)["adapter"] == str(adapter)
    moved = adapter.rename(tmp_path / "moved")
    assert "--adapter" in failure("ask", store, QUESTION)
    output("ask", store, QUESTION, "--max-new-tokens", 1, "--adapter", moved)
    with Session.open(store, BaseModel.from_pretrained(model_folder, adapter=moved)) as session:
        assert session.sources()[0].name == "diary"


# status, sources


def test_status_counts(store: Path) -> None:
    status = values("status", store)
    sources = values("sources", store)
    assert status["sources"] == len(sources) == 3
    assert status["text_bytes"] == sum(len(text.encode()) for text in TEXTS.values())
    assert status["tokens"] == sum(source["tokens"] for source in sources)
    assert status["nodes"] == [sum(s["nodes"][level] for s in sources) for level in range(3)]
    assert status["ratios"] == [8, 3, 2]
    assert status["file_bytes"] == store.stat().st_size
    assert status["bytes_per_token"] == status["file_bytes"] / status["tokens"]
    with SQLiteStore.open(store) as opened:
        assert status["roots"] == len(opened.root_ids())


def test_status_and_sources_for_people(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    status = output("status", store)
    assert f"{values('status', store)['tokens']:,} tokens" in status
    assert "level 3: " in status
    lines = output("sources", store).splitlines()
    assert len(lines) == 1 + 3
    assert lines[0].split() == ["source", "time", "tokens", "text"]


def test_an_empty_store_has_a_status(empty: Path) -> None:
    assert values("status", empty)["bytes_per_token"] is None
    assert values("sources", empty) == []
    assert "0 tokens" in output("status", empty)
    assert "lmos add" in run("sources", empty).stderr


# retrieve, ask


@pytest.mark.parametrize(
    "how",
    [(), ("--strategy", "flat"), ("--strategy", "hybrid"), ("--level", 2)],
)
def test_retrieve_cites_what_the_store_holds(store: Path, how: tuple[object, ...]) -> None:
    before, texts = store.read_bytes(), texts_in(store)
    result = values("retrieve", store, QUESTION, *how)
    citations = result["citations"]
    assert citations
    for citation in citations:
        data = texts[citation["source"]].encode()
        covered = data[citation["start_byte"] : citation["end_byte"]]
        assert citation["text"] == covered.decode(errors="replace")
        assert citation["path"][-1]["score"] == citation["score"]
        levels = [step["level"] for step in citation["path"]]
        assert levels == sorted(levels, reverse=True)
    scores = [citation["score"] for citation in citations]
    assert scores == sorted(scores, reverse=True)
    assert sum(citation["weight"] for citation in citations) == pytest.approx(1)
    assert result["timing"]["retrieve"] > 0
    assert store.read_bytes() == before


def test_retrieve_obeys_its_options(store: Path) -> None:
    flags = ("--budget", 3, "--level", 1, "--top-c", 1, "--beam", 2)
    result = values("retrieve", store, QUESTION, *flags, "--explain")
    assert {citation["level"] for citation in result["citations"]} == {1}
    assert len(result["citations"]) <= 3
    assert [level["level"] for level in result["walk"]] == [2, 1]
    for level in result["walk"]:
        assert 1 <= len(level["kept"]) <= min(level["candidates"], 2)
        places = {"source", "index", "start_byte", "end_byte"}
        assert set(level["kept"][0]) == {*places, "score", "lexical"}


def test_hybrid_says_what_each_score_comes_from(store: Path) -> None:
    hybrid = ("retrieve", store, QUESTION, "--strategy", "hybrid", "--explain")
    result = values(*hybrid)
    best = result["citations"][0]
    assert best["lexical"] > 0
    assert best["score"] > best["attention"]
    assert all("lexical" in kept for level in result["walk"] for kept in level["kept"])
    drawn = output(*hybrid)
    assert f"attention {best['attention']:.2f}, words {best['lexical']:.2f}" in drawn
    assert "with words of the question" in drawn
    alone = values("retrieve", store, QUESTION, "--strategy", "tree")
    assert "lexical" not in alone["citations"][0]


def test_retrieve_draws_the_walk_and_the_passages(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    result = values("retrieve", store, QUESTION, "--explain")
    lines = output("retrieve", store, QUESTION, "--explain").splitlines()
    for level in result["walk"]:
        title = f"level {level['level']}: {level['candidates']} candidate"
        assert any(title in line and f"{len(level['kept'])} kept" in line for line in lines)
    assert any("→" in line for line in lines)
    assert max(map(len, lines)) <= 120
    numbers = [line.split()[0] for line in lines if " score " in line]
    assert numbers == [str(number) for number in range(1, len(result["citations"]) + 1)]


def test_ask_prints_exactly_the_documented_json(store: Path) -> None:
    answer = answered(store, QUESTION, "--max-new-tokens", 5)
    assert set(answer) == {*_ANSWER_KEYS}
    assert 0 <= answer["confidence"] <= 1
    assert set(answer["timing"]) >= {"retrieve", "total"}
    for citation in answer["citations"]:
        assert set(citation) == {
            *(
                "source",
                "time",
                "start_byte",
                "end_byte",
                "place",
                "text",
                "level",
                "score",
                "attention",
                "lexical",
                "weight",
                "path",
                "has_answer",
                "headings",
                "columns",
            )
        }
        assert all(set(step) == {"level", "index", "score"} for step in citation["path"])
    assert "walk" in answered(store, QUESTION, "--max-new-tokens", 1, "--explain")


def test_answers_are_sampled_by_their_seed(store: Path) -> None:
    def said(*options: object) -> str:
        answer = answered(store, QUESTION, "--max-new-tokens", 8, *options)["answer"]
        assert isinstance(answer, str)
        return answer

    once, again = (said("--temperature", 2.0, "--seed", 5) for _ in range(2))
    assert once == again
    assert len({said("--temperature", 2.0, "--seed", seed) for seed in range(3)}) > 1
    assert said("--seed", 1) == said("--seed", 2)


def test_ask_answers_then_cites(store: Path) -> None:
    before = store.read_bytes()
    answer = answered(store, QUESTION, "--max-new-tokens", 5)
    shown = output("ask", store, QUESTION, "--max-new-tokens", 5, "--explain")
    printable = "".join(c if c.isprintable() or c == "\t" else "�" for c in answer["answer"])
    assert shown.startswith(printable + "\n")
    assert shown.index("walk\n") < shown.index(" 1  ")
    best = answer["citations"][0]
    name = best["source"].rpartition("/")[2]
    assert f"{name} {best['start_byte']}–{best['end_byte']}" in shown.replace("\n", "")
    assert store.read_bytes() == before


def test_only_the_sources_that_were_asked_for_answer(empty: Path) -> None:
    for name, time, owner in (
        ("a", "2024-05-01", "me"),
        ("b", "2024-06-01", "me"),
        ("c", "@5", "x"),
    ):
        labels = ("--time", time, "--label", f"owner={owner}", "--label", "kind=note")
        output("add", empty, "-", "--source", name, *labels, stdin=f"Note {name}. " * 30)
    for flags, expected in (
        (("--since", "2024-05-01"), "ab"),
        (("--until", "2024-06-01"), "ac"),
        (("--since", "2024-05-01", "--until", "2024-05-02"), "a"),
        (("--where", "owner=me", "--where", "kind=note"), "ab"),
        (("--where", "owner=nobody"), ""),
    ):
        for command in ("retrieve", "ask"):
            result = run(command, empty, QUESTION, *flags, "--max-embeddings", 99, "--json")
            citations = json.loads(result.stdout)["citations"]
            assert {citation["source"] for citation in citations} == set(expected)
    (citation, *_) = values("retrieve", empty, QUESTION, "--until", "@6")["citations"]
    assert citation["time"] == 5
    assert " 2024-06-01 00:00 " in output("retrieve", empty, QUESTION, "--since", "2024-05-09")


def test_ask_of_an_empty_store_generates_nothing_and_says_why(empty: Path) -> None:
    result = run("ask", empty, QUESTION, "--max-new-tokens", 2, "--json")
    answer = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (answer["answer"], answer["citations"]) == ("", [])
    assert (answer["is_found"], answer["confidence"]) == (False, 0)
    assert answer["reason"].startswith("the store is empty")
    said = failure("ask", empty, QUESTION, "--max-new-tokens", 2, "--explain")
    assert "nothing found: the store is empty: add text with lmos add" in said


def test_a_filter_that_matches_no_source_is_named(empty: Path) -> None:
    output("add", empty, "-", "--source", "a", "--label", "owner=me", stdin="The owl is white.")
    said = failure("ask", empty, "What is white?", "--where", "owner=nobody")
    assert "nothing found: no source matches --where owner=nobody" in said
    said = failure("ask", empty, "What is white?", "--since", "2099-01-01")
    assert "no source matches --since 2099-01-01" in said


def test_a_guess_is_no_result(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = (store, QUESTION, "--max-new-tokens", 5)
    guess = answered(*asked)["answer"]
    # Whatever the model says stands in the passages, and it is not sure of it.
    monkeypatch.setattr("lmos.reading.answers.confidence_of", lambda *_: -1.0)
    monkeypatch.setattr(
        "lmos.reading.answers.cite",
        lambda passages, _: tuple(replace(each, has_answer=True) for each in cite(passages)),
    )
    assert answered(*asked)["answer"] == guess
    said = failure("ask", *asked)
    assert "nothing found that answers this" in said
    assert "a guess: " in said
    assert " score " in said
    assert "← the answer" not in said


def test_a_confidence_that_was_not_fitted_is_labelled(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = (store, QUESTION, "--max-new-tokens", 2)
    assert answered(*asked)["is_calibrated"] is False
    assert re.search(r"confidence \d+%, not calibrated", run("ask", *asked).stderr)
    talk = run("chat", store, "--max-new-tokens", 2, stdin=f"{QUESTION}\n")
    assert "not calibrated" in talk.stderr
    monkeypatch.setattr(Answer, "is_calibrated", True)
    told = run("ask", *asked).stderr
    assert re.search(r"confidence \d+%", told)
    assert "not calibrated" not in told


def test_a_question_need_not_be_quoted(store: Path) -> None:
    quoted = answered(store, "who keeps the bicycle", "--max-new-tokens", 3)
    spread = answered(store, *"who keeps the bicycle".split(), "--max-new-tokens", 3)
    assert spread["answer"] == quoted["answer"]
    assert spread["citations"] == quoted["citations"]


def test_a_stored_text_does_not_steer_the_terminal(empty: Path) -> None:
    name = "bad\x1b]0;title"
    output("add", empty, "-", "--source", name, stdin="[b]A\x1b[1m\x9b\r\n")
    for arguments in (("retrieve", empty, "A", "--explain"), ("sources", empty)):
        shown = output(*arguments)
        assert "bad�]0;title" in shown
        assert not any(c != "\n" and not c.isprintable() for c in shown)
    assert "[b]A�[1m�\n" in output("retrieve", empty, "A")
    assert values("retrieve", empty, "A")["citations"][0]["source"] == name


# chat


def test_chat_remembers_what_it_is_told_and_not_what_it_is_asked(empty: Path) -> None:
    length = ("--max-new-tokens", 3)
    first = run("chat", empty, *length, stdin="Greta has a bicycle.\n\n/quit\nunheard\n")
    assert (first.exit_code, first.stdout) == (0, "")
    assert "noted" in first.stderr
    again = run("chat", empty, *length, "--json", stdin="  Who has it?  \n/tell Is it? Yes.\n")
    assert again.exit_code == 0
    asked, told = map(json.loads, again.stdout.splitlines())
    assert set(asked) == {"question", "is_own", *_ANSWER_KEYS}
    assert asked["question"] == "Who has it?"
    assert {citation["source"] for citation in asked["citations"]} == {"chat"}
    assert told == {"told": "Is it? Yes.", "source": "chat"}
    assert texts_in(empty)["chat"] == "Greta has a bicycle.\nIs it? Yes.\n"


def test_chat_answers_in_the_models_own_words_where_it_may(empty: Path) -> None:
    length = ("--max-new-tokens", 6)
    for when, is_own in (("never", True), ("always", False)):
        told = run("chat", empty, *length, "--when", when, "--json", stdin="/tell A fox.\nWho?\n")
        _, answer = map(json.loads, told.stdout.splitlines())
        assert answer["is_own"] == is_own
        assert bool(answer["citations"]) != is_own
    said = run("chat", empty, *length, "--when", "never", stdin="Who?\n")
    never = run("chat", empty, *length, "--when", "never", "--json", stdin="Who?\n")
    assert said.stdout.strip() == printable(json.loads(never.stdout)["answer"]).strip() != ""
    assert "nothing found" not in said.stderr


def test_chat_goes_on_after_a_question_that_cannot_be_asked(empty: Path) -> None:
    stdin = b"good\n" + b"long " * 2000 + b"?\nb\xffd\nalso good\n/fly\n"
    result = run("chat", empty, "--source", "talk", "--max-new-tokens", 1, stdin=stdin)
    assert result.exit_code == 0
    assert "error: expected a question of at most" in result.stderr
    assert "this turn is not answered" in result.stderr
    assert "error: line 3: expected UTF-8" in result.stderr
    assert "there is no command /fly" in result.stderr
    assert texts_in(empty)["talk"] == "good\nalso good\n"


# forget, verify


def test_forget_removes_a_source_and_nothing_else(store: Path) -> None:
    before = texts_in(store)
    name = next(name for name in before if name.endswith("piano.md"))
    result = values("forget", store, name, "--yes")
    assert result["forgot"] == [name]
    assert texts_in(store) == {key: text for key, text in before.items() if key != name}
    assert b"out of tune" not in store.read_bytes()


def test_forget_says_what_may_still_hold_the_text(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "BUSY_MILLISECONDS", 50)
    draft = store.with_name("life.lmos-draft")
    draft.touch()
    name = next(name for name in texts_in(store) if name.endswith("piano.md"))
    with SQLiteStore.open(store, read_only=True) as reader, reader.snapshot():
        told = " ".join(run("forget", store, name, "--yes").stderr.split())
        assert "life.lmos-wal may hold it until that closes the store" in told
        assert "an unfinished reencode, may hold it still" in told
        assert len(reader.sources()) == 3
    draft.unlink()
    assert [path.name for path in store.parent.iterdir()] == [store.name]
    assert b"out of tune" not in store.read_bytes()
    other = next(iter(texts_in(store)))
    assert "may hold it" not in run("forget", store, other, "--yes").stderr


@pytest.mark.parametrize(("reply", "code", "num_left"), [("y\n", 0, 2), ("n\n", 1, 3), ("", 1, 3)])
def test_forget_asks_on_a_terminal(
    store: Path, monkeypatch: pytest.MonkeyPatch, reply: str, code: int, num_left: int
) -> None:
    command = importlib.import_module("lmos.cli.commands.forget")
    monkeypatch.setattr(command, "is_interactive", lambda: True)
    name = next(iter(texts_in(store)))
    result = run("forget", store, name, stdin=reply)
    assert result.exit_code == code
    assert "for good? [y/N]" in result.stderr
    assert len(texts_in(store)) == num_left


def test_verify_finds_nothing_wrong(store: Path) -> None:
    assert output("verify", store) == "all is well\n"
    assert values("verify", store) == {"ok": True, "faults": []}


def test_a_store_may_be_written_and_read_with_different_dtypes(empty: Path, tmp_path: Path) -> None:
    notes = write_notes(tmp_path / "notes")
    output("add", empty, notes, "--dtype", "bfloat16", "--device", "cpu")
    found = [values("retrieve", empty, QUESTION, "--dtype", name) for name in ("auto", "float32")]
    assert found[0]["citations"] == found[1]["citations"] != []
    assert output("verify", empty, "--deep", "--sample", 6) == "all is well\n"


def test_a_deep_verify_finds_nothing_wrong(store: Path) -> None:
    assert output("verify", store, "--deep", "--sample", 6) == "all is well\n"


# export, import, reencode, compact, quota


def test_an_export_is_imported_again(store: Path, tmp_path: Path) -> None:
    wrote = values("export", store, tmp_path / "life.zip")
    assert wrote["bytes"] == (tmp_path / "life.zip").stat().st_size
    assert output("import", tmp_path / "life.zip", tmp_path / "b.lmos").endswith("3 sources\n")
    assert texts_in(tmp_path / "b.lmos") == texts_in(store)
    found = [
        values("retrieve", path, QUESTION)["citations"] for path in (store, tmp_path / "b.lmos")
    ]
    assert found[0] == found[1]


def test_reencode_takes_another_model(store: Path, tmp_path: Path, tokenizer_folder: Path) -> None:
    before = texts_in(store)
    new_llama(tokenizer_folder, seed=7).save_pretrained(tmp_path / "other")
    result = values("reencode", store, "--model", tmp_path / "other")
    assert result["sources"] == 3
    assert texts_in(store) == before
    assert values("status", store)["model"] == str(tmp_path / "other")
    assert values("retrieve", store, QUESTION)["citations"]


def test_compact_and_quota(store: Path, tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("A very long story. " * 3000)
    output("add", store, tmp_path / "long.txt", "--source", "long")
    output("forget", store, "long", "--yes")
    sizes = values("compact", store)
    assert store.stat().st_size == sizes["bytes_after"] < sizes["bytes_before"]
    assert output("quota", store, "0.2MB") == "at most 200.0 kB\n"
    assert values("status", store)["max_bytes"] == 200_000
    assert "at most 200.0 kB" in output("status", store)
    before = store.read_bytes()
    assert "its quota is 200,000" in failure("add", store, tmp_path / "long.txt")
    assert store.read_bytes() == before
    assert values("quota", store, "none") == {"max_bytes": None}
    output("add", store, tmp_path / "long.txt")
