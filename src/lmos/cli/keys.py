"""Keys as the user gives them: a file, an environment variable, or a passphrase that is typed.

Knows options, variables and the terminal. Does not know what a key becomes.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lmos.cli.show.helping import option
from lmos.cli.show.output import is_interactive
from lmos.errors import ConfigError, StoreEncrypted

if TYPE_CHECKING:
    from lmos.store.keys import Key

KEY_FILE_VARIABLE = "LMOS_KEY_FILE"
PASSPHRASE_VARIABLE = "LMOS_PASSPHRASE"


@dataclass(frozen=True)
class KeyChoice:
    """The key of an existing store, if the user named one.

    Attributes:
        file: The key file; `None` to look further if the store is encrypted.
    """

    file: Path | None

    def key_of(self, store: Path) -> Key | None:
        """The key of a store: from the file, a variable, or typed; `None` if it needs none.

        Raises:
            StoreEncrypted: It needs one, and there is none and nobody to ask.
            ConfigError: The key file cannot be used.
        """
        from lmos.store.files import require_store
        from lmos.store.keys import Key, is_encrypted

        if self.file is not None:
            return Key.from_file(self.file)
        require_store(store)
        if not is_encrypted(store):
            return None
        name = click.format_filename(store)
        key = _key_of_environment()
        if key is None and is_interactive():
            key = Key.from_passphrase(_ask(f"Passphrase of {name}"))
        if key is None:
            raise StoreEncrypted(
                f"{name} is encrypted, and there is no terminal to ask for its passphrase on; give "
                f"--key-file, or set {KEY_FILE_VARIABLE} or {PASSPHRASE_VARIABLE}"
            )
        return key

    def key_of_one_among(self, store: Path) -> Key | None:
        """The same where other stores may have no key: `None` if this one needs none.

        Raises:
            StoreEncrypted: It needs one, and there is none and nobody to ask.
            ConfigError: The key file cannot be used.
        """
        from lmos.store.files import require_store
        from lmos.store.keys import is_encrypted

        require_store(store)
        return self.key_of(store) if is_encrypted(store) else None

    def given(self) -> Key | None:
        """The key in the file or in a variable, whatever it opens; nobody is asked.

        Raises:
            ConfigError: The key file cannot be used.
        """
        from lmos.store.keys import Key

        return _key_of_environment() if self.file is None else Key.from_file(self.file)


@dataclass(frozen=True)
class NewKeyChoice:
    """How the user wants a store to be encrypted that is made now.

    Attributes:
        is_wanted: Whether to encrypt it.
        file: The key file; `None` for a variable or a passphrase that is typed.
    """

    is_wanted: bool
    file: Path | None

    def new_key(self, store: Path) -> Key | None:
        """The key for a new store; `None` if it shall not be encrypted.

        Raises:
            ConfigError: There is no key and nobody to ask, or the key file cannot be used.
        """
        from lmos.store.keys import Key

        if self.file is not None:
            return Key.from_file(self.file)
        if not self.is_wanted:
            _warn_of_unused_variables(store)
            return None
        return _key_of_environment() or ask_new_key(store)


def key_option(command: Callable[..., None]) -> Callable[..., None]:
    """What opens the store if it is encrypted; passed on as one `KeyChoice`, `key`."""

    @option(
        "--key-file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Open what is encrypted with this key file.",
    )
    @functools.wraps(command)
    def with_key(*args: Any, key_file: Path | None, **options: Any) -> None:
        command(*args, key=KeyChoice(key_file), **options)

    return with_key


def new_key_options(command: Callable[..., None]) -> Callable[..., None]:
    """Whether a new store is encrypted; passed on as one `NewKeyChoice`, `key`."""

    @option(
        "--encrypt",
        is_flag=True,
        help=f"Encrypt STORE. Asks for a passphrase, if none is in {PASSPHRASE_VARIABLE}.",
    )
    @option(
        "--key-file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help=f"Encrypt STORE with what is in FILE, 32 random bytes or more.  "
        f"[default with --encrypt: {KEY_FILE_VARIABLE}]",
    )
    @functools.wraps(command)
    def with_new_key(*args: Any, encrypt: bool, key_file: Path | None, **options: Any) -> None:
        command(*args, key=NewKeyChoice(encrypt, key_file), **options)

    return with_new_key


def ask_new_key(store: Path) -> Key:
    """A key from a passphrase that is typed twice.

    Raises:
        ConfigError: There is nobody to ask.
    """
    from lmos.store.keys import Key

    if not is_interactive():
        raise ConfigError(
            "expected a key file, or a terminal to ask for a new passphrase on; nothing was changed"
        )
    asked = f"New passphrase of {click.format_filename(store)}, which nobody can restore"
    return Key.from_passphrase(_ask(asked, again="Once more"))


def _key_of_environment() -> Key | None:
    """The key that a variable gives; the file before the passphrase."""
    from lmos.store.keys import Key

    if file := os.environ.get(KEY_FILE_VARIABLE):
        return Key.from_file(file)
    if passphrase := os.environ.get(PASSPHRASE_VARIABLE):
        return Key.from_passphrase(passphrase)
    return None


def _ask(text: str, again: str | None = None) -> str:
    passphrase: str = click.prompt(
        text, hide_input=True, confirmation_prompt=again or False, err=True
    )
    return passphrase


def _warn_of_unused_variables(store: Path) -> None:
    for name in (KEY_FILE_VARIABLE, PASSPHRASE_VARIABLE):
        if os.environ.get(name):
            click.echo(
                f"warning: {name} is set, but {click.format_filename(store)} is not encrypted; "
                "that takes --encrypt",
                err=True,
            )
