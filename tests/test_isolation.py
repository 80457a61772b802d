"""Tenants of one server who try to read each other's stores: no reply holds another's word."""

from __future__ import annotations

from pathlib import Path

from benchmarks.isolation import measure
from lmos.model.base import BaseModel


def test_no_reply_holds_anything_of_another_tenant(tiny_llama: BaseModel, tmp_path: Path) -> None:
    found = measure(tmp_path, tiny_llama, 8, 250)
    assert sum(found["requests"].values()) == 250
    assert {kind: count for kind, count in found["leaks"].items() if count} == {}
    assert found["own"] > 20
    assert (found["failures"], found["changed"]) == (0, 0)


def test_leaks_would_be_found(tiny_llama: BaseModel, tmp_path: Path) -> None:
    found = measure(tmp_path, tiny_llama, 4, 150, opens_all=True)
    assert {kind for kind, count in found["leaks"].items() if count} >= {
        *("stores of others", "OpenAI's API", "agents"),
    }
