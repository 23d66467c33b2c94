"""dse reproduce."""

from __future__ import annotations

import json

import click


@click.command("reproduce")
@click.argument("names", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="A list of objects instead of a table.")
def command(names: tuple[str, ...], as_json: bool) -> None:
    """Hold the published figures of reference networks against what dse counts. [default: all of them]

    A verdict is `exact`, `rounds to it`, `within x %`, or says why there is none: the document contradicts itself, no
    reading of it gives the figure, or it takes a training or a board to check.

    \b
    Example:
      dse reproduce mobilenet_v1 mobilenet_v2
    """
    from dse.references import load_reference, reproduce
    from dse.space import list_references

    chosen = dict.fromkeys(names or [path.stem for path in list_references()])
    rows = [row for name in chosen for row in reproduce(load_reference(name))]
    if as_json:
        click.echo(json.dumps([row.to_dict() for row in rows], indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("network", "source", "quantity")
    for name in ("published", "ours"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict")
    for row in rows:
        table.add_row(row.network, row.source, row.quantity, row.published, row.ours, row.verdict)
    console = Console()
    (console if console.is_terminal else Console(width=160)).print(table)
