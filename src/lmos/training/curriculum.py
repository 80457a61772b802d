"""The curriculum of a small base model: copying first, then more and more facts in a context.

Knows measured accuracies; knows neither the model nor what is drawn.
"""

from __future__ import annotations

from lmos.training.config import PretrainConfig


class Curriculum:
    """Advances on measured accuracy: copying first, then 1, 2, 4 ... facts in a context."""

    def __init__(self, config: PretrainConfig) -> None:
        self._config = config
        self.num_facts = 0
        self._accuracy = 0.0

    def update(self, copy_accuracy: float | None, fact_accuracy: float | None) -> None:
        """Take in the accuracies of one step; a running mean decides."""
        measured = copy_accuracy if self.num_facts == 0 else fact_accuracy
        if measured is None:
            return
        self._accuracy += 0.1 * (measured - self._accuracy)
        goal = self._config.facts_after if self.num_facts == 0 else self._config.advance_at
        if self._accuracy > goal and self.num_facts < self._config.max_facts:
            self.num_facts = max(1, 2 * self.num_facts)
            self._accuracy = 0.0

    def state_dict(self) -> dict[str, float]:
        """What a resumed run needs."""
        return {"num_facts": self.num_facts, "accuracy": self._accuracy}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Continue where `state_dict` was taken."""
        self.num_facts = int(state["num_facts"])
        self._accuracy = state["accuracy"]
