"""Every help text as it is rendered."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from commands import run
from lmos.cli import main
from lmos.cli.turns import is_question

COMMANDS = sorted(main.commands)
SCREEN_LINES = 48


def documented_examples(command: click.Command) -> list[str]:
    """The lines of a docstring that show how the command is called."""
    callback = command.callback
    assert callback is not None
    lines = (line.strip() for line in (callback.__doc__ or "").splitlines())
    return [line for line in lines if re.match(r"lmos |\w+ .*\| lmos ", line)]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_stands_on_a_line_of_its_own(name: str) -> None:
    shown = run(name, "--help").stdout
    lines = [line.strip() for line in shown.splitlines()]
    examples = documented_examples(main.commands[name])
    assert examples
    assert set(examples) <= set(lines)
    assert "\\b" not in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_stands_in_the_list_of_commands(name: str) -> None:
    listed = Path(__file__).parent.parent / "docs" / "commands.md"
    assert re.search(rf"^lmos {name} ", listed.read_text(encoding="utf-8"), flags=re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_a_screen_and_help_all_shows_every_option(name: str) -> None:
    command = main.commands[name]
    assert len(run(name, "--help").stdout.splitlines()) <= SCREEN_LINES
    has_more = any("--help-all" in parameter.opts for parameter in command.params)
    everything = run(name, "--help-all" if has_more else "--help").stdout
    options = [each for each in command.params if isinstance(each, click.Option)]
    for option in options:
        if not option.hidden:
            assert option.opts[-1] in everything


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Where is the key?", True),
        ("where is the key", True),
        ("tell me about Eva", True),
        ("¿Dónde está la llave", True),
        ("鍵はどこですか？", True),
        ("أين المفتاح؟", True),
        ("The key is under the mat.", False),
        ("When I was young, I lived in Bern.", False),
        ("What a day!", False),
        ("Is it? I think so.", False),
    ],
)
def test_a_question_is_told_from_a_statement(line: str, expected: bool) -> None:
    assert is_question(line) is expected
