"""Tables of the command line: for a person on the terminal, or as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

WIDTH_OFF_TERMINAL = 120


def echo_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str = "",
    texts: Sequence[str] = (),
    total: bool = False,
    width: int = WIDTH_OFF_TERMINAL,
) -> None:
    """Prints a table; the columns named in `texts` are flush left, the others right. `total`: the last row is one.

    `width` is that where there is no terminal.
    """
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title) or None, title_justify="left")
    for column in columns:
        table.add_column(column, justify="left" if column in texts else "right")
    for index, row in enumerate(rows):
        if total and index == len(rows) - 1:
            table.add_section()
        table.add_row(*map(escape, row))
    print_table(table, width)


def print_table(table: Table, width: int = WIDTH_OFF_TERMINAL) -> None:
    """Prints a table as wide as the terminal, or as `width` where there is none."""
    from rich.console import Console

    console = Console()
    (console if console.is_terminal else Console(width=width)).print(table)


def echo_markdown(columns: Sequence[str], rows: Sequence[Sequence[str]], texts: Sequence[str] = ()) -> None:
    """Prints the same as Markdown."""
    rule = ["---" if column in texts else "---:" for column in columns]
    for row in (columns, rule, *rows):
        click.echo(f"| {' | '.join(row)} |")
