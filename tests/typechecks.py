"""The type checker of the import hook: beartype, to which an `int` is a `float`, as to mypy."""

from __future__ import annotations

from beartype import BeartypeConf, beartype

typechecked = beartype(conf=BeartypeConf(is_pep484_tower=True))
