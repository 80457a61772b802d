"""`python -m benchmarks NAME`: run one benchmark."""

from __future__ import annotations

import click

from benchmarks.ablation import ablation
from benchmarks.answers import answers
from benchmarks.babilong import babilong
from benchmarks.cases import cases
from benchmarks.cold import cold
from benchmarks.documents import documents
from benchmarks.edits import edits
from benchmarks.encryption import encryption
from benchmarks.facts import facts
from benchmarks.icl import icl
from benchmarks.isolation import isolation
from benchmarks.lifelong import lifelong
from benchmarks.plot import plot
from benchmarks.recall import recall
from benchmarks.retention import retention
from benchmarks.scale_out import scale_out
from benchmarks.serving import serving_benchmark
from benchmarks.soak_serving import soak_serving
from benchmarks.speed import speed
from benchmarks.stall import stall
from benchmarks.strategies import strategies
from benchmarks.unknown import unknown
from benchmarks.walk import walk
from benchmarks.when import when_benchmark
from lmos.cli.failures import FailingGroup


@click.group(cls=FailingGroup)
def main() -> None:
    """Measure a model on data that it has never seen, controls in the same table."""


_COMMANDS = (
    *(facts, babilong, icl, recall, answers, cases, unknown, retention, lifelong),
    *(speed, cold, walk, edits, documents, encryption, strategies, scale_out),
    *(serving_benchmark, stall, when_benchmark, soak_serving, isolation, ablation, plot),
)

for command in _COMMANDS:
    main.add_command(command)

if __name__ == "__main__":
    main()
