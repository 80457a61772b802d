"""Child processes of tests: forked, so that they start at once, and killed or waited for."""

from __future__ import annotations

import os
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Child:
    """A forked process and the reading end of what it says."""

    pid: int
    pipe: int

    def read(self) -> str:
        """Some of what it says, as soon as there is any; empty when it has ended."""
        return os.read(self.pipe, 1 << 20).decode()

    def read_all(self) -> str:
        """All that it says, once it has ended."""
        parts = []
        while part := self.read():
            parts.append(part)
        return "".join(parts)

    def kill(self) -> None:
        """End it at once, without a chance to tidy up."""
        os.kill(self.pid, signal.SIGKILL)


@contextmanager
def child_running(work: Callable[[Callable[[str], None]], None]) -> Iterator[Child]:
    """Run `work(say)` in a child process, which is gone when the block ends."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns of a fork beside threads; the child runs no other code than `work`.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        _run_and_exit(work, writing)
    os.close(writing)
    child = Child(pid, reading)
    try:
        yield child
    finally:
        child.kill()
        os.waitpid(pid, 0)
        os.close(reading)


def said_by_child(work: Callable[[Callable[[str], None]], None]) -> str:
    """All that `work(say)` says in a child process, or its traceback."""
    with child_running(work) as child:
        return child.read_all()


def _run_and_exit(work: Callable[[Callable[[str], None]], None], pipe: int) -> None:
    try:
        work(lambda text: (os.write(pipe, text.encode()), None)[1])
    except BaseException:
        os.write(pipe, traceback.format_exc().encode())
    finally:
        os._exit(0)
