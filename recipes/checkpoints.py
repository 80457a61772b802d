"""Where a training stands: its log, its checkpoint, and how far it has come.

Every file of a checkpoint is written beside the old one and then takes its place, the adapter
first: a training that is killed finds whole files, at worst an adapter one checkpoint ahead of the
rest. Knows peft models; does not know what is trained.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch


@dataclass
class Progress:
    """What was done so far, over all runs.

    Attributes:
        step: Steps of the optimizer.
        spent: Seconds of training.
        tokens: Read.
        asked: Answers trained on.
    """

    step: int = 0
    spent: float = 0.0
    tokens: int = 0
    asked: int = 0

    def of(self, hours: float) -> float:
        """Share of so many hours that is over; of none, all."""
        return self.spent / (hours * 3600) if hours > 0 else 1.0


class Checkpoints:
    """The folder of a training.

    Args:
        folder: Made if it is missing.

    Attributes:
        adapter: Folder of the adapter that was saved last.
        progress: Up to that, or to nothing.
        state: What else was saved with it; `None` before the first time.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._path = folder, folder / "state.pt"
        self.adapter = folder / "adapter"
        self.progress = Progress()
        self.state: dict[str, Any] | None = None
        if self._path.is_file():
            saved = torch.load(self._path, weights_only=False)
            self.progress = Progress(**{name: saved.pop(name) for name in vars(self.progress)})
            self.state = saved

    def note(self, **values: Any) -> None:
        """Add a line to the log, and print it."""
        begun = {"step": self.progress.step, "hours": round(self.progress.spent / 3600, 3)}
        line = json.dumps({**begun, **values})
        with (self._folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        print(line, flush=True)

    def save(self, model: Any, **state: Any) -> None:
        """Replace the checkpoint.

        Args:
            model: From peft.
            **state: What it needs to go on, beside its weights and `progress`.
        """
        part = self._folder / "adapter.part"
        model.save_pretrained(part)
        self.adapter.mkdir(exist_ok=True)
        for path in part.iterdir():
            path.replace(self.adapter / path.name)
        state_part = self._folder / "state.part"
        torch.save({**state, **asdict(self.progress)}, state_part)
        state_part.replace(self._path)
