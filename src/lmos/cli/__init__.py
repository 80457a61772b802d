"""The `lmos` command: one file a command, put together here.

Commands import the model and the store inside their function, so that `lmos --help` and wrong
options answer at once. Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import click

from lmos import __version__
from lmos.cli.commands.add import add
from lmos.cli.commands.ask import ask
from lmos.cli.commands.calibrate import calibrate
from lmos.cli.commands.chat import chat
from lmos.cli.commands.compact import compact
from lmos.cli.commands.export import export
from lmos.cli.commands.forget import forget
from lmos.cli.commands.importing import import_archive
from lmos.cli.commands.keys import keys
from lmos.cli.commands.mcp import mcp
from lmos.cli.commands.new import new
from lmos.cli.commands.quota import quota
from lmos.cli.commands.reencode import reencode
from lmos.cli.commands.rekey import rekey
from lmos.cli.commands.repair import repair
from lmos.cli.commands.retrieve import retrieve
from lmos.cli.commands.serve import serve
from lmos.cli.commands.sources import sources
from lmos.cli.commands.status import status
from lmos.cli.commands.sync import sync
from lmos.cli.commands.train import train
from lmos.cli.commands.verify import verify
from lmos.cli.commands.watch import watch
from lmos.cli.failures import FailingGroup

_COMMANDS = (
    *(new, add, sync, watch, ask, chat, retrieve, sources, status, forget, verify, repair),
    *(export, import_archive, reencode, rekey, compact, quota),
    *(serve, keys, mcp),
    *(train, calibrate),
)


_HELP = """Give a language model a life-long context, kept in one file.

\b
Example:
  lmos new life.lmos
  lmos add life.lmos diary/ notes.md
  lmos ask life.lmos "What is the code of the blue bicycle?"

Every command has its own --help.

\b
Exit status:
    0  The command did what it was asked for.
    1  It failed or had to skip a file, or ask found no answer.
    2  It was called in a wrong way; the message says what was expected.
  130  It was interrupted with Ctrl-C; nothing is half-written.
"""


@click.group(
    "lmos",
    cls=FailingGroup,
    help=_HELP,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="lmos")
def main() -> None:
    """The command `lmos`."""


for _command in _COMMANDS:
    main.add_command(_command)

__all__ = ["main"]
