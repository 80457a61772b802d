"""Exports of chat services, OpenAI's and Anthropic's `conversations.json`: a document each.

Knows their shapes as JSON. Of a conversation that was edited, the branch that is shown is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lmos.documents.base import Composer, Document, iter_keys, one_line

_SPEAKERS = {"human": "User", "user": "User", "assistant": "Assistant", "tool": "Tool"}


@dataclass(frozen=True)
class _Turn:
    """Who said what and when."""

    speaker: str
    text: str
    time: float | None


def are_conversations(value: Any) -> bool:
    """Whether some JSON is such an export."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(each, dict) for each in value)
        and all("mapping" in each or "chat_messages" in each for each in value)
    )


def read(value: list[dict[str, Any]], max_bytes: int) -> list[Document]:
    """A document for each conversation in which something was said; each turn is a place."""
    found = []
    keys = iter_keys([str(each.get("title") or each.get("name") or "untitled") for each in value])
    for each, key in zip(value, keys, strict=True):
        turns = [turn for turn in _iter_turns(each) if turn.text.strip()]
        if not turns:
            continue
        composer = Composer(max_bytes)
        composer.add(f"# {one_line(str(each.get('title') or each.get('name') or 'Untitled'))}\n\n")
        for number, turn in enumerate(turns, 1):
            told = _told(turn.time)
            label = f"turn {number}, {told} UTC" if told else f"turn {number}"
            at = f" ({told})" if told else ""
            composer.add(f"{turn.speaker}{at}: {turn.text.strip()}\n\n", label)
        begun = _seconds(each.get("create_time") or each.get("created_at"))
        found.append(composer.document(key, turns[0].time if begun is None else begun))
    return found


def _iter_turns(conversation: dict[str, Any]) -> Iterator[_Turn]:
    if "mapping" not in conversation:
        for message in conversation["chat_messages"]:
            parts = [part.get("text") for part in message.get("content") or []]
            text = message.get("text") or "\n".join(part for part in parts if part)
            yield _Turn(_speaker(message["sender"]), text, _seconds(message.get("created_at")))
        return
    for message in _shown_messages(conversation):
        content = message.get("content") or {}
        parts = content.get("parts") or [content.get("text")]
        text = "\n".join(part for part in parts if isinstance(part, str))
        role = message["author"]["role"]
        # What the system says is hidden from the user, and so is what tools are told.
        if role != "system" and message.get("recipient", "all") == "all":
            yield _Turn(_speaker(role), text, _seconds(message.get("create_time")))


def _shown_messages(conversation: dict[str, Any]) -> list[dict[str, Any]]:
    """From the first to the last that is shown."""
    nodes = conversation["mapping"]
    place = conversation.get("current_node") or next(reversed(nodes), None)
    messages: list[dict[str, Any]] = []
    while place in nodes and len(messages) <= len(nodes):
        messages.insert(0, nodes[place].get("message") or {})
        place = nodes[place].get("parent")
    return [message for message in messages if message.get("author")]


def _speaker(role: str) -> str:
    return _SPEAKERS.get(role, role.capitalize())


def _seconds(time: Any) -> float | None:
    try:
        return (
            float(time) if not isinstance(time, str) else datetime.fromisoformat(time).timestamp()
        )
    except (TypeError, ValueError):
        return None


def _told(time: float | None) -> str:
    return "" if time is None else f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M}"
