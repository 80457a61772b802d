"""Lives of a store: changes one after another, each known from its number alone.

Whoever knows how many changes a store has acknowledged knows what it must hold.
"""

from __future__ import annotations

import random

from lmos.store import AbstractStore
from lmos.store.memory import MemoryStore
from trees import MANIFEST, observe, put_text

# What was seen of this many changes is kept, for those who look at one state again and again.
MAX_OBSERVED = 8
NAMES = ("diary", "notes", "letters", "recipes")


class History:
    """Sources are added, appended to, edited and forgotten, as dice decide.

    Args:
        seed: Of the dice.
        max_bytes: About how long a text gets.
    """

    def __init__(self, seed: int, max_bytes: int = 600) -> None:
        self._dice = random.Random(seed)
        self._max_bytes = max_bytes
        self._states: list[dict[str, bytes]] = [{}]
        self._memory = MemoryStore(MANIFEST)
        self._observed: dict[int, dict[str, object]] = {}

    def texts(self, version: int) -> dict[str, bytes]:
        """Every source and its text after that many changes."""
        while len(self._states) <= version:
            self._states.append(self._changed(self._states[-1]))
        return self._states[version]

    def change(self, store: AbstractStore, version: int) -> None:
        """Take a store that has seen `version` changes through the next one."""
        old, new = self.texts(version), self.texts(version + 1)
        for name in old.keys() | new.keys():
            if name not in new:
                store.delete_source(name)
            elif old.get(name) != new[name]:
                put_text(store, name, old.get(name, b""), new[name])

    def observed(self, version: int) -> dict[str, object]:
        """What a store shows after that many changes."""
        if version not in self._observed:
            if self._memory.version > version:
                self._memory = MemoryStore(MANIFEST)
            while self._memory.version < version:
                self.change(self._memory, self._memory.version)
            self._observed[version] = observe(self._memory)
            if len(self._observed) > MAX_OBSERVED:
                del self._observed[min(self._observed)]
        return self._observed[version]

    def _changed(self, texts: dict[str, bytes]) -> dict[str, bytes]:
        dice, texts = self._dice, dict(texts)
        name = dice.choice(NAMES)
        text = texts.get(name, b"")
        what = dice.choice(["append", "append", "edit", "forget"])
        if not text:
            texts[name] = dice.randbytes(dice.randrange(1, self._max_bytes))
        elif what == "append" and len(text) < self._max_bytes:
            texts[name] = text + dice.randbytes(dice.randrange(1, 200))
        elif what == "edit":
            at = dice.randrange(len(text))
            texts[name] = text[:at] + dice.randbytes(5) + text[at + dice.randrange(10) :]
        else:
            del texts[name]
        return texts
