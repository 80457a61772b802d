"""The same server as a Ray Serve deployment: replicas that share the stores of one folder.

Each replica is a process with the whole application; the lock of each file lets one of them write
at a time, and the others wait. What one replica keeps in memory alone, the talks of responses, is
not there in another. Knows Ray Serve; knows no route.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from lmos.errors import ConfigError
from lmos.model.base import BaseModel
from lmos.server.app import make_app
from lmos.server.keys import read_keys
from lmos.server.settings import ServerConfig
from lmos.session import load_model
from lmos.store.keys import Key

_NAMES = ("folder", "keys", "replicas", "model", "key_file")


def application(arguments: Mapping[str, str]) -> Any:
    """For `serve run lmos.server.replicas:application folder=stores keys=keys.json replicas=2`.

    Args:
        arguments: `folder` of the stores and the file of `keys` must be there; `replicas`, one by
            default; `model`, as `lmos serve --model`; `key_file`, which opens encrypted stores.

    Raises:
        ConfigError: One is missing, not known, or does not fit.
    """
    unknown = sorted(set(arguments) - set(_NAMES))
    if unknown or not {"folder", "keys"} <= set(arguments):
        raise ConfigError(
            "expected folder=FOLDER keys=FILE and, if wanted, replicas=N model=NAME key_file=FILE, "
            f"got {' '.join(f'{name}={value}' for name, value in arguments.items()) or 'nothing'}"
        )
    replicas = arguments.get("replicas", "1")
    if not replicas.isdecimal() or int(replicas) < 1:
        raise ConfigError(f"replicas: expected a number from 1 on, got {replicas!r}")
    # A replica may be started in another folder.
    config = ServerConfig(Path(arguments["folder"]).resolve(), Path(arguments["keys"]).resolve())
    if "model" in arguments:
        model = _placed(arguments["model"])
        config = replace(config, default_model=model, load=partial(_load, model))
    key_file = arguments.get("key_file")
    return deploy(config, int(replicas), None if key_file is None else Path(key_file).resolve())


def deploy(config: ServerConfig, num_replicas: int, key_file: Path | None = None) -> Any:
    """The application of `server.app.make_app` as an application of Ray Serve.

    Args:
        config: How each replica serves. Paths are whole, and lead to the same files on every
            machine; locks must hold there, as they do on one machine.
        num_replicas: Processes, each with its own models in memory.
        key_file: Opens encrypted stores; each replica reads it, and nobody sends what is in it.

    Raises:
        ConfigError: Ray Serve is not installed, or a file of keys is missing or cannot be read.

    Example:
        serve.run(deploy(ServerConfig(Path("/srv/stores"), Path("/srv/keys.json")), 2))
    """
    if config.keys is None:
        raise ConfigError(
            "expected a file of keys: Ray Serve may listen where others reach it; lmos keys add "
            "makes one"
        )
    read_keys(config.keys)
    if key_file is not None:
        Key.from_file(key_file)
    serve = _ray_serve()
    ingress = serve.ingress(lambda: _make_replica(config, key_file))
    return serve.deployment(name="lmos", num_replicas=num_replicas)(ingress()).bind()


def _make_replica(config: ServerConfig, key_file: Path | None) -> FastAPI:
    """In the process of a replica."""
    key = None if key_file is None else Key.from_file(key_file)
    return make_app(replace(config, store_key=key))


def _ray_serve() -> Any:
    try:
        from ray import serve
    except ImportError as error:
        raise ConfigError(
            "Ray Serve is not installed; install it with: pip install 'lmos[ray,server]'"
        ) from error
    return serve


def _load(chosen: str, _: str, adapter: str | None) -> BaseModel:
    """The model that was chosen, whatever a store is bound to; a store refuses one of others."""
    return load_model(chosen, adapter)


def _placed(model: str) -> str:
    """The whole path of a model that is a file or a folder; other names as they are."""
    return str(Path(model).resolve()) if Path(model).exists() else model
