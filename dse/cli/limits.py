"""The four limits that a search and a screening may be given beside a board."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from dse.errors import DseError

OPTIONS = (
    ("max_params", "Most parameters, such as 200k."),
    ("max_macs", "Most multiply-accumulates, such as 10M."),
    ("max_memory", "Largest arena, such as 128KiB; on a board without one, most memory."),
    ("max_flash", "Largest model file, such as 500kB."),
)
NAMES = dict(zip((name for name, _ in OPTIONS), ("params", "macs", "arena_bytes", "flash_bytes"), strict=True))


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options; the command gets them together as keywords, for `parse_limits`."""
    for name, text in reversed(OPTIONS):
        command = click.option(f"--{name.replace('_', '-')}", name, help=text)(command)
    return command


def parse_limits(given: dict[str, str | None], has_board: bool) -> dict[str, int | None]:
    """The limits by the names that a budget has. Raises DseError when there is neither a limit nor a board."""
    limits = {NAMES[name]: _amount(name, text) if text else None for name, text in given.items()}
    if not has_board and not any(limits.values()):
        raise DseError("give a --board (dse list boards), or a limit such as --max-memory 128KiB")
    return limits


def _amount(name: str, text: str) -> int:
    from dse._util.units import parse_limit

    try:
        return parse_limit(NAMES[name], text)
    except DseError as error:
        raise DseError(f"--{name.replace('_', '-')}: {error}") from None
