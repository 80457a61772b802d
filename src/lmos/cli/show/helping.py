"""Help as it is rendered: examples line by line, options in groups, rare ones on demand.

Knows click's parameters. Does not know what any option does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

_Decorated = TypeVar("_Decorated", bound=Callable[..., None])
_OTHER = "Options"
_OUTPUT = "Output"
_HELP = "Help"
_GROUPS = (_OTHER, "Files", "Answer", "Search", "Limits", "Model", _OUTPUT, _HELP)
_SHOWS_ALL = "lmos.shows_all_options"


class GroupedOption(click.Option):
    """An option with its place in the help.

    Attributes:
        group: Heading that it stands under.
        is_rare: Whether it is listed by `--help-all` alone.
    """

    def __init__(
        self, *args: Any, group: str = _OTHER, is_rare: bool = False, **kwargs: Any
    ) -> None:
        """As `click.Option`, with group and rarity."""
        super().__init__(*args, **kwargs)
        self.group = group
        self.is_rare = is_rare


def option(*flags: str, **settings: Any) -> Callable[[_Decorated], _Decorated]:
    """`click.option` that also takes `group` and `is_rare`."""
    return click.option(*flags, cls=GroupedOption, **settings)


class HelpfulCommand(click.Command):
    """A command whose help fits a screen, with every example on a line of its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As `click.Command`; its help may come from a raw docstring."""
        super().__init__(*args, **kwargs)
        self.help = _unwrapped(self.help)
        if any(_is_rare(parameter) for parameter in self.params):
            self.params.append(_help_all_option())

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One section a group."""
        rows: dict[str, list[tuple[str, str]]] = {group: [] for group in _GROUPS}
        for parameter in self.get_params(ctx):
            if not isinstance(parameter, click.Option):
                continue
            record = parameter.get_help_record(ctx)
            if record is not None and (ctx.meta.get(_SHOWS_ALL) or not _is_rare(parameter)):
                rows[_group(parameter)].append(record)
        if rows[_OUTPUT]:
            rows[_OUTPUT] += rows.pop(_HELP)
        for group, records in rows.items():
            if records:
                with formatter.section(group):
                    formatter.write_dl(records)


class HelpfulGroup(HelpfulCommand, click.Group):
    """A command of commands, whose help lists them behind its options."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One section a group of options, and one of commands."""
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they were added, not of the alphabet."""
        return list(self.commands)


def _unwrapped(text: str | None) -> str | None:
    r"""Give click the character that keeps lines apart where a raw docstring spells it `\b`."""
    return None if text is None else text.replace("\\b\n", "\b\n")


def _group(parameter: click.Option) -> str:
    if isinstance(parameter, GroupedOption):
        return parameter.group
    return _HELP if "--help" in parameter.opts else _OTHER


def _is_rare(parameter: click.Parameter) -> bool:
    return isinstance(parameter, GroupedOption) and parameter.is_rare


def _help_all_option() -> click.Option:
    return GroupedOption(
        ["--help-all"],
        group=_HELP,
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show_all,
        help="Show all options, also the rarely needed, and exit.",
    )


def _show_all(ctx: click.Context, _: click.Parameter, is_wanted: bool) -> None:
    if is_wanted and not ctx.resilient_parsing:
        ctx.meta[_SHOWS_ALL] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()
