"""`lmos mcp`: stores as the memory of an agent, by the Model Context Protocol."""

from __future__ import annotations

import importlib.util
import ipaddress
from pathlib import Path

import click

from lmos.cli.keys import KeyChoice, key_option
from lmos.cli.options import ModelChoice, model_options, wait_option
from lmos.cli.show.helping import HelpfulCommand
from lmos.cli.show.output import note
from lmos.cli.stores import require_store
from lmos.errors import ConfigError


@click.command(cls=HelpfulCommand, short_help="Be the memory of an agent (MCP).")
@click.argument(
    "stores", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="STORE..."
)
@click.option("--read-only", is_flag=True, help="Offer no tools that change a store.")
@click.option("--http", is_flag=True, help="Speak streamable HTTP instead of standard input.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="With --http, listen at this address.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8765,
    show_default=True,
    metavar="PORT",
    help="With --http, listen at this port; 0 takes one that is free.",
)
@key_option
@wait_option
@model_options
def mcp(
    stores: tuple[Path, ...],
    read_only: bool,
    http: bool,
    host: str,
    port: int,
    wait: float,
    key: KeyChoice,
    model: ModelChoice,
) -> None:
    r"""Let an agent search, ask and change each STORE, by the Model Context Protocol (MCP).

    \b
    Example:
      lmos mcp life.lmos
      lmos mcp life.lmos work.lmos --read-only
      lmos mcp life.lmos --http --port 8765

    A client such as Claude, VS Code or Cursor starts this command and speaks with it over standard
    input and output; docs/mcp.md has its settings. The agent gets the tools search, fetch, ask and
    sources, and remember, update and forget unless --read-only is given. A store is named after its
    file, without the ending. Other programs may write to it meanwhile: it is locked only during a
    change.
    """
    for store in stores:
        require_store(store)
    if importlib.util.find_spec("mcp") is None:
        raise ConfigError("lmos mcp needs the SDK of MCP; install it with: pip install 'lmos[mcp]'")

    from lmos.cli.opening import open_sessions
    from lmos.mcp.running import run_http, run_stdio
    from lmos.mcp.server import make_server
    from lmos.mcp.sessions import OpenSessions, names_of

    named = names_of(stores)
    key_of = key.key_of if len(named) == 1 else key.key_of_one_among
    keys = {name: key_of(path) for name, path in named.items()}
    with open_sessions(named, model, keys, read_only=read_only, wait=wait) as opened:
        only = next(iter(named)) if len(named) == 1 else None
        server = make_server(OpenSessions(opened), may_write=not read_only, only=only)
        if not http:
            run_stdio(server)
            return
        if not _is_this_machine(host):
            may = "read" if read_only else "read and change"
            click.echo(f"warning: whoever reaches this port may {may} the memory", err=True)
        run_http(server, host, port, lambda url: note(f"listening at {url}; Ctrl-C ends it"))


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
