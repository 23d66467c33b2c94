"""dse table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dse.cost import Board
    from dse.grid import GridPoint
    from dse.published import Figure

COSTS = {
    **{"params": "params", "MACs": "macs", "arena": "arena_bytes", "in place": "inplace_bytes"},
    **{"fused": "fused_bytes", "flash": "flash_bytes"},
}


@click.command("table")
@click.option("--space", "name", required=True, help="A space in which nothing else is open than the grid.")
@click.option("--grid", "axes", multiple=True, required=True, help="KEY or KEY=a,b,c; several make a product.")
@click.option("--board", "boards", multiple=True, help="Does it fit this board? May be given several times.")
@click.option(
    "--run",
    "runs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Accuracies of networks that this run trained. May be given several times.",
)
@click.option("--markdown", is_flag=True, help="Markdown instead of a table for the terminal.")
@click.option("--json", "as_json", is_flag=True, help="A list of objects instead of a table.")
def command(
    name: str, axes: tuple[str, ...], boards: tuple[str, ...], runs: tuple[Path, ...], markdown: bool, as_json: bool
) -> None:
    """Show what the networks of a space cost on a grid, such as its widths, beside their published accuracies.

    KEY is a place in the space's file: width, resolution, stages.2.channels. Without values it takes those that were
    published of a reference network, or all that the space leaves open there. Bytes of memory: the arena of TFLM, that
    of an engine whose depthwise convolutions work in place, and that of one which also fuses each bottleneck.

    \b
    Example:
      dse table --space reference/cmv3.yaml --grid width --board nano33ble
      dse table --space reference/mobilenet_v2_vww.yaml --grid width --grid resolution
    """
    from dse.cost import load_boards
    from dse.errors import DseError
    from dse.grid import accuracies, grid, parse_axes
    from dse.space import load_space

    if markdown and as_json:
        raise DseError("came both --markdown and --json, expected one of them")
    space, named = load_space(name), load_boards(boards)
    points = grid(space, parse_axes(space, axes))
    trained, published = _trained(runs), accuracies(space)
    rows = [_row(point, named, trained, published) for point in points]
    for point in points:
        if point.problem:
            values = ", ".join(f"{place} {value}" for place, value in point.values.items())
            click.echo(f"{values}: {point.problem}", err=True)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    from dse.cli.tables import echo_markdown, echo_table

    columns = [column for column in rows[0] if column != "id" and any(row[column] is not None for row in rows)]
    cells = [[_text(column, row[column]) for column in columns] for row in rows]
    if markdown:
        echo_markdown(columns, cells)
    else:
        echo_table(columns, cells, title=f"{space.name}: {space.about}")


def _row(
    point: GridPoint, boards: list[Board], trained: dict[str, float], published: dict[str, dict[str, Figure]]
) -> dict[str, Any]:
    from dse.cost import Budget

    candidate, cost = point.candidate, point.cost
    figures = published.get(candidate.architecture, {}) if candidate else {}
    said = {kind: figure.published for kind, figure in figures.items()}
    return {
        **point.values,
        "id": candidate.id if candidate else None,
        **{title: getattr(cost, name) if cost else None for title, name in COSTS.items()},
        **{f"fits {board.name}": Budget.of_board(board).excess(cost) <= 0 if cost else None for board in boards},
        "accuracy": trained.get(candidate.architecture) if candidate else None,
        "published accuracy": said.get("accuracy"),
        "published int8 accuracy": said.get("accuracy_int8"),
    }


def _trained(runs: tuple[Path, ...]) -> dict[str, float]:
    """The best validation accuracy of every network in these runs, by its architecture, however it was trained."""
    best: dict[str, float] = {}
    if runs:
        from dse.run_folder import load_summary

        for run in runs:
            for record in load_summary(run).records:
                if record.candidate and record.outcome == "complete":
                    key = record.candidate.architecture
                    best[key] = max(record.values["accuracy"], best.get(key, 0.0))
    return best


def _text(column: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if column == "accuracy":
        return f"{value:.1%}"
    return f"{value:,}" if isinstance(value, int) else str(value)
