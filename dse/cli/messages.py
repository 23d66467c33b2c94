"""Messages of the library as the command line shows them: with options in place of parameters."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from functools import cache

import click

from dse.cli.limits import flag_of
from dse.errors import PARAMETER


def with_options(text: str) -> str:
    """A message in which every parameter that is an option stands as that option.

    >>> with_options("`trial_timeout` 0 leaves no time; the argument `shape` is not ours")
    '--trial-timeout 0 leaves no time; the argument `shape` is not ours'
    """

    def shown(option: str, before: str) -> str:
        return option if option in all_options() else before

    return PARAMETER.sub(lambda found: shown(flag_of(found[1]), found[0]), text)


def note(text: str) -> None:
    """Print a line of progress, or what is worth a remark, beside the results."""
    click.echo(with_options(text), err=True)


@cache
def all_options() -> frozenset[str]:
    """The options of all commands, such as `--trial-timeout`."""
    from dse.cli import COMMANDS

    commands = (importlib.import_module(f"dse.cli.{name}_command").command for name in COMMANDS)
    return frozenset(option for command in commands for option in _options(command))


def _options(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        yield from parameter.opts
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        yield from _options(inner)
