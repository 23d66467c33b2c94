"""The limits that a search and a screening may be given beside a board."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from dse.cost.metrics import LIMITED
from dse.errors import DseError

if TYPE_CHECKING:
    from dse.hardware.boards import Board

BUILD = click.option(
    "--build", help="What runs there: a YAML file or a shipped name (dse list builds). [default: the board's first]"
)
METRIC_OF = {metric.limit.option: metric for metric in LIMITED if metric.limit}


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options; the command gets them together as keywords, for `parse_limits`."""
    for metric in reversed(LIMITED):
        if limit := metric.limit:
            command = click.option(flag_of(limit.option), limit.option, help=limit.help)(command)
    return command


def parse_limits(given: dict[str, str | None], boards: Sequence[Board], needed: bool = True) -> dict[str, float | None]:
    """The limits by the names that a budget has.

    Raises DseError when there is neither a limit nor a board, if one is needed, and BoardError when a limit is on what
    is not known of one of the boards.
    """
    limits = {METRIC_OF[name].name: _amount(name, text) if text is not None else None for name, text in given.items()}
    if needed and not boards and not any(limits.values()):
        raise DseError("give a --board (dse list boards), or a limit such as --max-memory 128KiB")
    from dse.hardware.board_metrics import check_known

    for name, metric in METRIC_OF.items():
        if limits.get(metric.name):
            with _naming(name):
                check_known([metric.name], boards)
    return limits


def flag_of(parameter: str) -> str:
    """An option as it is typed.

    >>> flag_of("max_macs")
    '--max-macs'
    """
    return f"--{parameter.replace('_', '-')}"


def _amount(name: str, text: str) -> float:
    with _naming(name):
        return METRIC_OF[name].unit.parse(text)


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Puts the option before what is wrong with it."""
    try:
        yield
    except DseError as error:
        raise DseError(f"{flag_of(name)}: {error}") from None
