"""Failures as a user sees them: one message on standard error and an exit status, no traceback.

Knows the tree of errors. Does not know the commands.
"""

from __future__ import annotations

from typing import Any

import click

from lmos.cli.show.output import speak_any_encoding
from lmos.errors import LmosError

FAILED = 1
INTERRUPTED = 130


class FailingGroup(click.Group):
    """A group of commands that end well or with one clear message, in the order of the help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they were added, not of the alphabet."""
        return list(self.commands)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run as a program, whatever the encoding of its output."""
        speak_any_encoding()
        return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors that lmos raises on purpose become a message."""
        try:
            return super().invoke(ctx)
        except LmosError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(FAILED)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)
