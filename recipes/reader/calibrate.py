"""Fit the confidence of answers: `python -m recipes.reader.calibrate --help` says how.

Questions about development articles and notes that training never saw: some whose passage is
there, some whose passage was taken away. Resumable; every answer is kept in `answers.jsonl`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import torch

from lmos.model.confidence import Evidence
from lmos.session import Session, load_model, make_manifest
from lmos.store.memory import MemoryStore
from lmos.text.content import f1, is_exact, is_same
from lmos.training.calibration import ALL_EVIDENCE, Judged, fit_calibration
from lmos.training.corpus import is_held_out
from lmos.training.questions import group_by_title, read_squad

_SCORES = ("best_score", "runner_up_gap", "median_gap", "score_entropy")
"""What the search says has been noise beside what the reader says: without it the area under the
curve was 0.845, with it 0.839, on 422 questions about articles and notes."""
_GROUP = 4
"""Articles, or lines of notes, that share a store."""


@dataclass(frozen=True)
class Task:
    """A store's texts and what is asked of them."""

    kind: str
    sources: tuple[tuple[str, str, float | None], ...]
    asked: tuple[tuple[str, tuple[str, ...] | None], ...]


def article_tasks(path: Path, per_group: int, rng: random.Random) -> Iterator[Task]:
    """The last 20 articles of training, a quarter of their paragraphs taken away."""
    articles = group_by_title(read_squad(path, held_out=False))[-20:]
    for start in range(0, len(articles), _GROUP):
        sources, kept, lost = [], [], []
        for article in articles[start : start + _GROUP]:
            numbers = set(rng.sample(range(len(article)), len(article) // 4))
            text = "\n\n".join(p.passage for n, p in enumerate(article) if n not in numbers)
            sources.append((article[0].title.replace("_", " "), text, None))
            kept += [pair for n, p in enumerate(article) if n not in numbers for pair in p.pairs]
            lost += [pair for n, p in enumerate(article) if n in numbers for pair in p.pairs]
        whole = "\n".join(text for _, text, _ in sources).casefold()
        lost = [pair for pair in lost if pair[1].casefold() not in whole]
        asked: list[tuple[str, tuple[str, ...] | None]] = [
            (question, (answer,)) for question, answer in rng.sample(kept, per_group // 2)
        ]
        asked += [(q, None) for q, _ in rng.sample(lost, min(len(lost), per_group // 2))]
        yield Task("squad", tuple(sources), tuple(asked))


def note_tasks(folder: Path, limit: int, rng: random.Random) -> Iterator[Task]:
    """Notes that were held out, several in a store."""
    rows = []
    for path in sorted(folder.glob("*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
            if line.strip() and is_held_out(f"{path.stem}:{number}", 0.12):
                rows.append(json.loads(line))
    rng.shuffle(rows)
    rows = rows[:limit]
    for start in range(0, len(rows), _GROUP):
        sources, asked = [], []
        for number, row in enumerate(rows[start : start + _GROUP]):
            for source in row["sources"]:
                time = source.get("time")
                day = None if time is None else datetime.fromisoformat(time).replace(tzinfo=UTC)
                seconds = None if day is None else day.timestamp()
                sources.append((f"{number}/{source['name']}", source["text"], seconds))
            for each in row["questions"]:
                answers = each["answers"]
                asked.append((each["question"], None if answers is None else tuple(answers)))
        yield Task("notes", tuple(sources), tuple(asked))


@click.command()
@click.option("--model", required=True, help="Name or folder of the model.")
@click.option("--adapter", help="Folder of the memory adapter.")
@click.option("--reader", help="Folder of the reader adapter; receives the calibration.")
@click.option("--data", type=Path, required=True, help="Folder with squad.")
@click.option("--notes", type=Path, required=True, help="Folder of notes written by hand.")
@click.option("--out", type=Path, required=True, help="Receives answers.jsonl.")
@click.option("--per-group", default=40, help="Questions of a group of articles.")
@click.option("--note-limit", default=16, help="Collections of notes that are asked, at most.")
@click.option("--false-share", default=0.08, help="Most unanswerable questions that may pass.")
@click.option("--threads", default=2, help="Threads of the processor.")
def main(
    model: str,
    adapter: str | None,
    reader: str | None,
    data: Path,
    notes: Path,
    out: Path,
    per_group: int,
    note_limit: int,
    false_share: float,
    threads: int,
) -> None:
    """Fit the confidence of answers."""
    torch.set_num_threads(threads)
    rng = random.Random(0)
    squad = next((data / "squad").glob("*train*.json"))
    tasks = [*article_tasks(squad, per_group, rng), *note_tasks(notes, note_limit, rng)]
    out.mkdir(parents=True, exist_ok=True)
    path = out / "answers.jsonl"
    done = path.read_text().splitlines() if path.is_file() else []
    asked_model = load_model(model, adapter, reader=reader)
    for number in range(len(done), len(tasks)):
        task = tasks[number]
        rows = []
        with Session(asked_model, MemoryStore(make_manifest(asked_model))) as session:
            for name, text, time in task.sources:
                session.add(name, text, time=time)
            for question, answers in task.asked:
                answer = session.ask(question).complete()
                assert answer.evidence is not None
                best = max(answers or ("",), key=lambda each: f1(answer.text, each))
                rows.append(
                    {
                        "question": question,
                        "wanted": answers,
                        "said": answer.text,
                        "is_given": answer.is_given,
                        "is_right": any(is_same(answer.text, each) for each in answers or ()),
                        "is_exact": any(is_exact(answer.text, each) for each in answers or ()),
                        "f1": f1(answer.text, best) if answers and answer.is_given else 0.0,
                        "evidence": asdict(answer.evidence),
                    }
                )
        with path.open("a") as file:
            file.write(json.dumps({"kind": task.kind, "rows": rows}) + "\n")
        click.echo(f"{number + 1} of {len(tasks)}: {_summary(rows)}")
    judged = []
    groups = [json.loads(line) for line in path.read_text().splitlines()]
    for number, group in enumerate(groups):
        for row in group["rows"]:
            evidence = Evidence(**row["evidence"])
            is_right = row["is_right"] and row["is_given"]
            has_answer = row["wanted"] is not None
            judged.append(Judged(evidence, number, has_answer, row["is_given"], is_right))
    names = [name for name in ALL_EVIDENCE if name not in _SCORES]
    calibration, report = fit_calibration(judged, false_share, asked_model.answering_hash, names)
    for kind in ("squad", "notes"):
        rows = [row for group in groups if group["kind"] == kind for row in group["rows"]]
        click.echo(f"{kind}: {_summary(rows)}")
    click.echo(str(report))
    calibration.save(Path(reader) if reader else out)


def _summary(rows: list[dict[str, Any]]) -> str:
    have = [row for row in rows if row["wanted"] is not None]
    lack = [row for row in rows if row["wanted"] is None]
    shares = {
        "right": sum(row["is_right"] and row["is_given"] for row in have) / max(1, len(have)),
        "exact": sum(row["is_exact"] and row["is_given"] for row in have) / max(1, len(have)),
        "f1": sum(row["f1"] for row in have) / max(1, len(have)),
        "answered without an answer": sum(row["is_given"] for row in lack) / max(1, len(lack)),
    }
    listed = ", ".join(f"{name} {share:.2f}" for name, share in shares.items())
    return f"{len(have)} + {len(lack)} questions, {listed}"


if __name__ == "__main__":
    main()
