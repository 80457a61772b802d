"""`lmos status`: what a store holds, in numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from lmos.cli.keys import KeyChoice, key_option
from lmos.cli.options import json_option, store_argument
from lmos.cli.show.helping import HelpfulCommand
from lmos.cli.show.output import count, print_json, printable, results, size
from lmos.cli.stores import require_store


@click.command(cls=HelpfulCommand, short_help="Show sizes, levels and the model.")
@store_argument
@key_option
@json_option
def status(store: Path, key: KeyChoice, as_json: bool) -> None:
    r"""Show what STORE holds: sources, tokens, nodes, size, and the model that it is bound to.

    \b
    Example:
      lmos status life.lmos
      lmos status life.lmos --json | jq .bytes_per_token
    """
    require_store(store)
    values = _measure(store, key)
    if as_json:
        print_json(values)
    else:
        results().print(_table(values))


def _measure(path: Path, key: KeyChoice) -> dict[str, Any]:
    from lmos.store.sqlite import SQLiteStore

    with SQLiteStore.open(path, read_only=True, key=key.key_of(path)) as store:
        manifest, sources = store.manifest, store.sources()
        is_encrypted = store.key is not None
        num_roots = len(store.root_ids())
    files = (path, path.with_name(path.name + "-wal"))
    file_bytes = sum(file.stat().st_size for file in files if file.exists())
    num_tokens = sum(source.num_tokens for source in sources)
    return {
        "store": str(path),
        "model": manifest.base_model,
        "model_hash": manifest.base_hash,
        "adapter": manifest.adapter,
        "adapter_hash": manifest.adapter_hash,
        "ratios": manifest.ratios,
        "windows": manifest.windows,
        "mask": manifest.mask_mode,
        "output": manifest.output_mode,
        "segmenter": manifest.segmenter,
        "sources": len(sources),
        "tokens": num_tokens,
        "text_bytes": sum(source.num_bytes for source in sources),
        "nodes": [
            sum(source.level_counts[level] for source in sources)
            for level in range(manifest.num_levels)
        ],
        "roots": num_roots,
        "file_bytes": file_bytes,
        "encrypted": is_encrypted,
        "max_bytes": manifest.max_bytes,
        "bytes_per_token": file_bytes / num_tokens if num_tokens else None,
    }


def _table(values: dict[str, Any]) -> Table:
    levels = enumerate(zip(values["nodes"], values["ratios"], strict=True), 1)
    rows = {
        "sources": f"{values['sources']:,}",
        "text": f"{count(values['tokens'], 'token')}, {size(values['text_bytes'])}",
        "nodes": "\n".join(
            f"level {level}: {number:,}, one for about {ratio} "
            + ("tokens" if level == 1 else f"of level {level - 1}")
            for level, (number, ratio) in levels
        ),
        "roots": f"{values['roots']:,}",
        "file": size(values["file_bytes"])
        + (f", {values['bytes_per_token']:.0f} bytes a token" if values["tokens"] else "")
        + (f", at most {size(values['max_bytes'])}" if values["max_bytes"] is not None else "")
        + (", encrypted" if values["encrypted"] else ""),
        "model": printable(values["model"]),
        "weights": values["model_hash"][:12],
        "adapter": " ".join([values["adapter_hash"][:12], printable(values["adapter"] or "")]),
        "modes": f"mask {values['mask']}, output {values['output']}, "
        f"segmenter {values['segmenter']}, windows of {values['windows'][0]} tokens",
    }
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, value)
    return table
