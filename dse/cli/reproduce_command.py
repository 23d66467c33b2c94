"""dse reproduce."""

from __future__ import annotations

import json
from collections import Counter

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
    from dse.references.figures import as_printed
    from dse.references.networks import KINDS, reproduce

    rows = list(reproduce(names))
    if as_json:
        click.echo(json.dumps([row.to_dict() for row in rows], indent=2))
        return
    from rich.markup import escape
    from rich.table import Table

    from dse.cli.tables import print_table

    table = Table("network", "source", "quantity")
    for name in ("published", "ours"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict")
    for row in rows:
        ours = "" if row.ours is None else as_printed(row.ours, row.published)
        cells = (row.network, row.source, row.quantity, row.published, ours, row.verdict)
        table.add_row(*map(escape, cells))
    print_table(table, 160)
    counts = Counter(row.kind for row in rows)
    click.echo(f"{len(rows)} figures: " + ", ".join(f"{counts[kind]} {kind}" for kind in KINDS if counts[kind]))
