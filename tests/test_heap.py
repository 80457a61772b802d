"""Memory that is free goes back to the system."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lmos.model import heap

_PIECE, _NUM_PIECES = 100_000, 1500


def resident_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_free_memory_in_the_midst_of_the_heap_is_given_back() -> None:
    if heap._malloc_trim() is None:
        pytest.skip("not glibc")
    # Every second one stays, so that nothing at the end of the heap is free.
    pieces: list[bytearray | None] = [bytearray(b"x") * _PIECE for _ in range(2 * _NUM_PIECES)]
    pieces[::2] = [None] * _NUM_PIECES
    before = resident_bytes()
    heap.trim()
    assert before - resident_bytes() > 0.8 * _PIECE * _NUM_PIECES
    assert sum(piece is not None for piece in pieces) == _NUM_PIECES


def test_where_there_is_no_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmos.model.heap.ctypes.CDLL", lambda _: object())
    heap._malloc_trim.cache_clear()
    try:
        heap.trim()
        assert heap._malloc_trim() is None
    finally:
        heap._malloc_trim.cache_clear()
