"""Copying: the words of an answer as they stand in what was read.

A small model misspells rare names: it begins a word of the text and ends it as another. Where it is
in two minds, the word that the text has is taken. Knows tokens and texts; knows no model.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Sequence

from jaxtyping import Float
from torch import Tensor

from lmos.text.content import is_polar

_LEAST_RATIO = 0.1
"""A token is taken in place of the likeliest one if it is at least so likely beside it."""
_LEAST_RATIO_LATE = 0.01
"""The same where so many letters of a word stand already that it can hardly be another."""
_LATE = 3
_NUM_CANDIDATES = 64
_WORD = re.compile(r"\w+")
_OPEN_WORD = re.compile(r"\w+$")
_START = re.compile(r"\w*")


class CopiedWords:
    """Chooses the next token of an answer, such that its words are rather those of some texts."""

    def __init__(
        self,
        decode: Callable[[Sequence[int]], str],
        stop_ids: Collection[int],
        texts: Iterable[str],
    ) -> None:
        """Take in the words.

        Args:
            decode: The text of token ids.
            stop_ids: Those that end an answer.
            texts: Where the words of an answer may come from.
        """
        self._decode = decode
        self._stop_ids = frozenset(stop_ids)
        words = {word for text in texts for word in _WORD.findall(text.casefold())}
        self._words = sorted(words)

    def __call__(self, ids: Sequence[int], logits_V: Float[Tensor, " V"]) -> int:
        """The likeliest token, or one that goes on as the texts do if it is almost as likely.

        Only inside a word of which the texts have a longer one, and at the beginning of a name. A
        mere yes or no is whole: "no" shall not become the "note" of a text.

        Args:
            ids: The answer so far.
            logits_V: Scores of the next token.
        """
        best = int(logits_V.argmax())
        said = self._decode(ids)
        found = _OPEN_WORD.search(said)
        begun = "" if found is None else found[0]
        if begun and (is_polar(said) or not self._begins_longer(begun.casefold())):
            return best
        if not begun and not _is_name(self._decode([*ids, best])[len(said) :]):
            return best
        probabilities_V = logits_V.float().softmax(-1)
        likely = probabilities_V.topk(min(_NUM_CANDIDATES, len(probabilities_V)))
        ratio = _LEAST_RATIO if len(begun) < _LATE else _LEAST_RATIO_LATE
        least = ratio * float(likely.values[0])
        for probability, token_id in zip(
            likely.values.tolist(), likely.indices.tolist(), strict=True
        ):
            if probability < least:
                break
            if self._is_copied(ids, said, begun, token_id):
                return int(token_id)
        return best

    def _is_copied(self, ids: Sequence[int], said: str, begun: str, token_id: int) -> bool:
        """Whether the word that was begun is, or may still become, one of the texts."""
        if token_id in self._stop_ids:
            return self._is_word(begun.casefold())
        text = self._decode([*ids, token_id])
        if not text.startswith(said):
            return False
        more = text[len(said) :] if begun else text[len(said) :].lstrip()
        goes_on = _START.match(more)
        rest = "" if goes_on is None else goes_on[0]
        word = (begun + rest).casefold()
        return self._begins(word) if rest == more else self._is_word(word)

    def _is_word(self, word: str) -> bool:
        place = bisect_left(self._words, word)
        return place < len(self._words) and self._words[place] == word

    def _begins(self, start: str) -> bool:
        place = bisect_left(self._words, start)
        return place < len(self._words) and self._words[place].startswith(start)

    def _begins_longer(self, start: str) -> bool:
        place = bisect_left(self._words, start)
        return any(
            word.startswith(start) and word != start for word in self._words[place : place + 2]
        )


def _is_name(text: str) -> bool:
    start = text.lstrip()[:1]
    return start.isupper() or start.isdigit()
