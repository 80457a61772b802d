"""Runs a function in a fresh Python process and says how much memory it took at most.

Used where a figure must not depend on what was measured before. Knows no task.
"""

from __future__ import annotations

import importlib
import json
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple


class Fresh(NamedTuple):
    """What a function returned, and the most memory that its process held at once."""

    result: Any
    peak_bytes: int


def run_fresh(target: str, **arguments: Any) -> Fresh:
    """Call `module:function` with these arguments, which must be JSON, in a new process.

    Raises:
        RuntimeError: It failed; its own message is on standard error.
    """
    words = [sys.executable, "-m", "benchmarks.fresh", target, json.dumps(arguments)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{target} ended with status {done.returncode}")
    return Fresh(*json.loads(done.stdout.splitlines()[-1]))


def peak_bytes() -> int:
    """The most memory that this process held at once.

    Linux counts `ru_maxrss` from before the program was loaded, with what the parent held; the high
    water mark in /proc does not.
    """
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(found[1]) * 1024
    factor = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * factor


if __name__ == "__main__":
    module, name = sys.argv[1].split(":")
    outcome = getattr(importlib.import_module(module), name)(**json.loads(sys.argv[2]))
    print(json.dumps([outcome, peak_bytes()]))
