"""dse show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dse.network.candidate import Candidate
    from dse.references.figures import Figure

TEXTS = ("input", "operator", "NL")


@click.command("show")
@click.argument("what")
@click.option("--width", type=float, help="Another width multiplier.")
@click.option("--resolution", type=int, help="Another size of the image.")
@click.option("--markdown", is_flag=True, help="Markdown instead of a table for the terminal.")
@click.option("--json", "as_json", is_flag=True, help="One object instead of a table.")
def command(what: str, width: float | None, resolution: int | None, markdown: bool, as_json: bool) -> None:
    """Show the network WHAT as papers do: a reference network, a space of size one, or a candidate (.json).

    A row for every block: its input, operator, channels inside (e) and after it (c), squeeze-excite (SE), activation
    (NL), stride (s), parameters, MACs, bytes of weights in flash, and bytes of activations alive at its worst moment.
    Below stands what was published of it.

    \b
    Example:
      dse show cmv3 --width 1.0
    """
    from dse.errors import DseError

    if markdown and as_json:
        raise DseError("came both --markdown and --json, expected one of them")
    changes = {"width": width, "resolution": resolution}
    title, candidate, figures = _network(what, {key: value for key, value in changes.items() if value is not None})
    from dse.cost.table import COLUMNS, network_table

    rows = network_table(candidate)
    if as_json:
        body = {"id": candidate.id, "rows": [row.to_dict() for row in rows]}
        click.echo(json.dumps(body | {"published": [figure.model_dump() for figure in figures]}, indent=2))
        return
    from dse.cli.tables import echo_markdown, echo_table

    cells = [row.cells() for row in rows]
    sums = (f"{sum(values):,}" for values in zip(*((r.params, r.macs, r.weight_bytes) for r in rows), strict=True))
    cells.append(("", "total", "", "", "", "", "", *sums, f"{max(row.memory_bytes for row in rows):,}"))
    found = [(f.source, f.quantity + (f" at {f.at}" if f.at else ""), f.task, f.published) for f in figures]
    columns = ("source", "published of it", "task", "figure")
    if markdown:
        click.echo(f"### {title}\n")
        echo_markdown(COLUMNS, cells, TEXTS)
        if found:
            click.echo()
            echo_markdown(columns, found, columns[:3])
        return
    echo_table(COLUMNS, cells, title=title, texts=TEXTS, total=True)
    if found:
        echo_table(columns, found, texts=columns[:3])


def _network(what: str, changes: dict[str, Any]) -> tuple[str, Candidate, list[Figure]]:
    """A title, the candidate, and the figures published of it."""
    from dse.errors import DseError
    from dse.network.candidate import load_candidate
    from dse.references.figures import load_figures
    from dse.references.networks import load_network, only_network, published_name
    from dse.screening.grid import open_text

    if Path(what).suffix == ".json":
        if changes:
            raise DseError(f"{what} is one candidate: its width and resolution are written out and cannot be changed")
        candidate = load_candidate(Path(what))
        return f"candidate {candidate.id}", candidate, []
    space = load_network(what)
    left = space.at(**changes)
    if left.domains:
        raise DseError(
            f"{what} is a space of many networks, expected one: {open_text(left)}; "
            "try dse sample for one of them, or dse screen for all"
        )
    name = published_name(space)
    said = "".join(f", {key} {value:g}" for key, value in changes.items())
    figures = [figure for figure in load_figures() if figure.network == name]
    return f"{name or space.name}: {space.about}{said}", only_network(space, **changes), figures
