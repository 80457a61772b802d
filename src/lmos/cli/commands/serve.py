"""`lmos serve`: the stores of a folder over HTTP."""

from __future__ import annotations

import signal
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from lmos.cli import parameters
from lmos.cli.keys import KeyChoice, key_option
from lmos.cli.options import ModelChoice, model_options
from lmos.cli.show.helping import HelpfulCommand, option
from lmos.cli.show.output import count, note, waiting
from lmos.errors import ConfigError
from lmos.model.released import DEFAULT_MODEL
from lmos.settings import WHEN

_LIBRARIES = ("fastapi", "uvicorn", "multipart", "prometheus_client")
_MEGABYTE = 1_000_000


@click.command(cls=HelpfulCommand, short_help="Serve the stores of a folder over HTTP.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Listen at this address; one that other machines reach needs --keys.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    metavar="PORT",
    help="Listen at this port; 0 takes one that is free.",
)
@click.option(
    "--keys",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Serve only who sends an API key of this file, which lmos keys makes. Without it, "
    "everybody on this machine may do everything, and no other machine is served.",
)
@key_option
@option(
    "--origin",
    "origins",
    is_rare=True,
    multiple=True,
    metavar="URL",
    help="Let web pages of this address call the server; may be given several times.",
)
@option(
    "--max-open",
    group="Limits",
    is_rare=True,
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    metavar="N",
    help="Keep so many stores open at once.",
)
@option(
    "--readers",
    group="Limits",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    metavar="N",
    help="Answer so many questions at once.",
)
@option(
    "--when",
    group="Limits",
    is_rare=True,
    type=click.Choice(WHEN),
    default=WHEN[0],
    show_default=True,
    help="In talks over OpenAI's API, look up every question, none, or those that the model is "
    "sure it cannot answer without.",
)
@option(
    "--max-waiting",
    group="Limits",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    metavar="N",
    help="Let so many requests wait for their turn; others are told when to come again.",
)
@option(
    "--max-mb",
    group="Limits",
    type=click.FloatRange(min=0, min_open=True),
    default=16,
    show_default=True,
    metavar="N",
    help="Take requests of at most so many megabytes.",
)
@option(
    "--timeout",
    group="Limits",
    type=parameters.duration,
    default="120",
    show_default=True,
    metavar="SECONDS",
    help="Give up an answer that takes longer.",
)
@option(
    "--wait",
    group="Limits",
    is_rare=True,
    type=parameters.duration,
    default="30",
    show_default=True,
    metavar="SECONDS",
    help="Wait at most this long with a change while another process writes to the store.",
)
@model_options
def serve(
    folder: Path,
    host: str,
    port: int,
    keys: Path | None,
    origins: tuple[str, ...],
    max_open: int,
    readers: int,
    when: str,
    max_waiting: int,
    max_mb: float,
    timeout: float,
    wait: float,
    key: KeyChoice,
    model: ModelChoice,
) -> None:
    r"""Serve the stores of FOLDER, the files NAME.lmos in it, to people and programs over HTTP.

    \b
    Example:
      lmos serve stores/
      lmos keys add keys.json --store life --write
      lmos serve stores/ --host 0.0.0.0 --port 80 --keys keys.json
      curl localhost:8000/stores

    The address itself is a page for the browser. Programs make, fill and ask stores under /stores,
    which /openapi.json describes. OpenAI's clients take http://HOST:PORT/v1 as their base_url, and
    name a store as `model` or as `user`; agents find their tools at /mcp. Adding keeps nobody from
    asking. Ctrl-C or SIGTERM stops the server; what was acknowledged is kept. The key file opens
    the stores that are encrypted, and stores that are made over HTTP are encrypted with it.
    """
    _require_libraries()

    from lmos import session
    from lmos.server.app import make_app
    from lmos.server.running import LOCAL_HOSTS, address_of, listen, require_private, run
    from lmos.server.settings import ServerConfig

    def load(name: str, adapter: str | None) -> Any:
        return session.load_model(choice.name or name, choice.adapter or adapter, **choice.loading)

    choice = model
    config = ServerConfig(
        folder=folder,
        keys=keys,
        default_model=choice.name or DEFAULT_MODEL,
        load=load,
        max_open=max_open,
        readers=readers,
        when=when,
        max_waiting=max_waiting,
        max_body_bytes=int(max_mb * _MEGABYTE),
        answer_seconds=timeout,
        wait_seconds=wait,
        origins=origins,
        store_key=key.given(),
        hosts=LOCAL_HOSTS if keys is None else None,
    )
    require_private(config, host)
    app = make_app(config)
    with waiting(f"loading {config.default_model}"):
        # What cannot be loaded is told now, not to the first who asks.
        app.state.serving.models.default()
    with listen(host, port) as listener:
        num_stores = count(len(app.state.serving.pool.names()), "store")
        note(f"serving {num_stores} on {address_of(listener)}; Ctrl-C stops")
        # What uvicorn was told to stop by comes again when it has stopped; then it is an end, too.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        # Whether the interrupt comes out of the loop depends on who is first, so both are an end.
        with suppress(KeyboardInterrupt):
            run(app, listener)
        note("stopped")


def _require_libraries() -> None:
    missing = [name for name in _LIBRARIES if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"lmos serve needs {', '.join(missing)}, which is not installed: "
            'pip install "lmos[server]"'
        )
