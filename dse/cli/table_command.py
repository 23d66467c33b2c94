"""dse table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dse.hardware.boards import Board
    from dse.network.candidate import Candidate
    from dse.references.figures import Figure
    from dse.screening.grid import GridPoint
    from dse.search.record import TrialRecord
    from dse.space.space import Defaults

Trained = dict[str, dict[str, float]]  # by architecture, accuracies by their kind
COSTS = {
    **{"params": "params", "MACs": "macs", "arena": "arena_bytes", "in place": "inplace_bytes"},
    **{"fused": "fused_bytes", "flash": "flash_bytes"},
}


@click.command("table")
@click.option("--space", "name", required=True, help="Space: a YAML file or a shipped name.")
@click.option("--grid", "axes", multiple=True, required=True, help="KEY,KEY or KEY=a,b,c; several make a product.")
@click.option("--board", "boards", multiple=True, help="Does it fit this board? May be given several times.")
@click.option(
    "--run",
    "runs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Accuracies of networks that this run trained. May be given several times.",
)
@click.option(
    "--classes",
    type=click.IntRange(min=1, max=100_000),
    help="Classes. [default: those of --run, else those that the space's file names, else 10]",
)
@click.option("--measure", is_flag=True, help="Convert each to float and int8 files; their sizes, and latency here.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw it too, into this file: .html or .png.")
@click.option("--markdown", is_flag=True, help="Markdown instead of a table for the terminal.")
@click.option("--json", "as_json", is_flag=True, help="A list of objects instead of a table.")
def command(
    name: str,
    axes: tuple[str, ...],
    boards: tuple[str, ...],
    runs: tuple[Path, ...],
    classes: int | None,
    measure: bool,
    plot: Path | None,
    markdown: bool,
    as_json: bool,
) -> None:
    """Show what the networks of a space cost on a grid, such as its widths, beside their published accuracies.

    KEY is a place in the space's file: width, resolution, stages.2.channels. Without values it takes those that were
    published of a reference network, or all that the space leaves open there. Bytes of memory: the arena of TFLM, that
    of an engine whose depthwise convolutions work in place, and that of one which also fuses each bottleneck. What else
    the space leaves open has its first value.

    With --measure every network has two rows, as a float file and as an int8 file with made-up weights: the bytes of
    the file, and the milliseconds of an inference on LiteRT, on one thread of this machine.

    \b
    Example:
      dse table --space reference/cmv3.yaml --grid width --board nano33ble
      dse table --space vww.yaml --grid width,resolution --measure --plot vww.html
      dse table --space reference/mobilenet_v2_vww.yaml --grid width --grid resolution
    """
    from dse.errors import DseError, ExportError
    from dse.hardware.boards import load_boards
    from dse.screening.grid import accuracies, grid, parse_axes
    from dse.space.space import load_space

    if markdown and as_json:
        raise DseError("came both --markdown and --json, expected one of them")
    space, named = load_space(name), load_boards(boards)
    records = _trained(runs)
    defaults = _defaults(records, classes)
    points = grid(space, parse_axes(space, axes), defaults)
    trained, published = _accuracies(records), accuracies(space)
    if plot and plot.suffix not in (".html", ".png"):
        raise DseError(f"--plot {plot}: expected a name that ends in .html or .png")
    if runs and not any(point.candidate and point.candidate.architecture in trained for point in points):
        click.echo(f"--run: none of the {len(trained)} networks that were trained there is on this grid", err=True)
    rows = []
    for number, point in enumerate(points, 1):
        row = _row(point, named, trained, published)
        if measure and point.candidate:
            click.echo(f"measuring {number} of {len(points)}", err=True)
            try:
                rows += _measured(row, point, trained, published)
            except ExportError as error:
                click.echo(f"{_others(point.values)}: {error}", err=True)
        else:
            rows.append(row)
    others = next((point.others for point in points if point.others), {})
    if others or defaults:
        there = next((point.candidate for point in points if point.candidate), None)
        click.echo(f"besides: {_others(others | ({'classes': there.classes} if there else {}))}", err=True)
    for point in points:
        if point.problem:
            values = ", ".join(f"{place} {value}" for place, value in point.values.items())
            click.echo(f"{values}: {point.problem}", err=True)
    if plot:
        from dse.plots.grid import write_grid_plot

        write_grid_plot(plot, rows, list(points[0].values), f"{space.name}: {', '.join(points[0].values)}")
        click.echo(f"plot: {plot}", err=True)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    from dse.cli.tables import echo_markdown, echo_table

    names = dict.fromkeys(name for row in rows for name in row)  # one that is no network has fewer
    columns = [name for name in names if name != "id" and any(row.get(name) is not None for row in rows)]
    cells = [[_text(column, row.get(column)) for column in columns] for row in rows]
    if markdown:
        echo_markdown(columns, cells)
    else:
        echo_table(columns, cells, title=f"{space.name}: {space.about}")


def _row(
    point: GridPoint, boards: list[Board], trained: Trained, published: dict[str, dict[str, Figure]]
) -> dict[str, Any]:
    from dse.hardware.budget import Budget

    candidate, cost = point.candidate, point.cost
    figures = published.get(candidate.architecture, {}) if candidate else {}
    said = {kind: figure.published for kind, figure in figures.items()}
    return {
        **point.values,
        "id": candidate.id if candidate else None,
        **{title: getattr(cost, name) if cost else None for title, name in COSTS.items()},
        **{f"fits {board.name}": Budget.of_board(board).excess(cost) <= 0 if cost else None for board in boards},
        "accuracy": _accuracy(trained, candidate, "accuracy"),
        "published accuracy": said.get("accuracy"),
        "published int8 accuracy": said.get("accuracy_int8"),
    }


def _measured(
    row: dict[str, Any], point: GridPoint, trained: Trained, published: dict[str, dict[str, Figure]]
) -> list[dict[str, Any]]:
    """A row for the float file of a network and one for the int8 file, which alone has an arena."""
    from dse._util.quiet import quiet_tensorflow

    quiet_tensorflow()
    from dse.quantization.timing import time_network

    assert point.candidate
    figures = published.get(point.candidate.architecture, {})
    rows = []
    for quantized, timed in sorted(time_network(point.candidate).items()):
        kind = "accuracy_int8" if quantized else "accuracy_float"
        said = figures.get("accuracy_int8" if quantized else "accuracy")
        costs = {
            title: row[title] for title in COSTS if title in ("params", "MACs") or (quantized and title != "flash")
        }
        fits = {name: value if quantized else None for name, value in row.items() if name.startswith("fits ")}
        rows.append(
            point.values
            | {"id": row["id"], "quantized": quantized}
            | dict.fromkeys(COSTS)
            | costs
            | fits
            | {"file": timed.num_bytes, "latency ms": round(timed.milliseconds, 2)}
            | {"accuracy": _accuracy(trained, point.candidate, kind)}
            | {"published accuracy": said.published if said else None}
        )
    return rows


def _accuracy(trained: Trained, candidate: Candidate | None, kind: str) -> float | None:
    return trained.get(candidate.architecture, {}).get(kind) if candidate else None


def _trained(runs: tuple[Path, ...]) -> list[TrialRecord]:
    """The trials that these runs trained."""
    if not runs:
        return []
    from dse.search.run_folder import load_summary

    records = (record for run in runs for record in load_summary(run).records)
    return [record for record in records if record.candidate and record.outcome == "complete"]


def _defaults(records: list[TrialRecord], classes: int | None) -> Defaults | None:
    """What a network has that its space does not say: as in these trials, whose accuracies could not be found else."""
    from dse.errors import DseError
    from dse.space.space import Defaults

    candidates = [record.candidate for record in records if record.candidate]
    found = sorted({candidate.classes for candidate in candidates})
    if classes is None and len(found) > 1:
        raise DseError(f"--run: came runs of {' and '.join(map(str, found))} classes; say which with --classes")
    classes = classes or next(iter(found), None)
    if classes is None:
        return None
    shapes = {candidate.input_shape for candidate in candidates}
    return Defaults(shapes.pop() if len(shapes) == 1 else Defaults.input_shape, classes)


def _accuracies(records: list[TrialRecord]) -> Trained:
    """The best validation accuracies of every network, by its architecture, however it was trained."""
    best: Trained = {}
    for record in records:
        if record.candidate:
            found = best.setdefault(record.candidate.architecture, {})
            for kind in ("accuracy", "accuracy_float", "accuracy_int8"):
                if kind in record.values:
                    found[kind] = max(record.values[kind], found.get(kind, 0.0))
    return best


def _others(values: Mapping[str, Any], shown: int = 6) -> str:
    """What was not on the grid, as a part of a sentence."""
    parts = [f"{place} {value}" for place, value in values.items()]
    return ", ".join(parts[:shown]) + (f" and {len(parts) - shown} more" if len(parts) > shown else "")


def _text(column: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if column == "accuracy":
        return f"{value:.1%}"
    return f"{value:,}" if isinstance(value, int) else str(value)
