"""dse table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dse.cli.messages import note
from dse.errors import DseError

if TYPE_CHECKING:
    from dse.screening.grid import GridPoint


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
    from dse.hardware.boards import load_boards
    from dse.screening.grid import accuracies, grid, parse_axes
    from dse.search.grid_table import best_accuracies, defaults_of, grid_rows, measured_rows, trained_records
    from dse.space.space import load_space

    if markdown and as_json:
        raise DseError("came both --markdown and --json, expected one of them")
    space, named = load_space(name), load_boards(boards)
    records = trained_records(runs)
    defaults = defaults_of(records, classes)
    points = grid(space, parse_axes(space, axes), defaults)
    trained, published = best_accuracies(records), accuracies(space)
    if plot and plot.suffix not in (".html", ".png"):
        raise DseError(f"--plot {plot}: expected a name that ends in .html or .png")
    if runs and not any(point.candidate and point.candidate.architecture in trained for point in points):
        note(f"--run: none of the {len(trained)} networks that were trained there is on this grid")
    if measure:
        rows = measured_rows(points, named, trained, published, note)
    else:
        rows = grid_rows(points, named, trained, published)
    _print_beside(points, bool(defaults))
    if plot:
        from dse.plots.grid import write_grid_plot

        write_grid_plot(plot, rows, list(points[0].values), f"{space.name}: {', '.join(points[0].values)}")
        note(f"plot: {plot}")
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        _print(rows, f"{space.name}: {space.about}", markdown)


def _print_beside(points: list[GridPoint], with_classes: bool) -> None:
    """What is not on the grid, and which combinations are no network."""
    from dse.search.grid_table import values_text

    others = next((point.others for point in points if point.others), {})
    if others or with_classes:
        there = next((point.candidate for point in points if point.candidate), None)
        note(f"besides: {values_text(others | ({'classes': there.classes} if there else {}))}")
    for point in points:
        if point.problem:
            note(f"{values_text(point.values, len(point.values))}: {point.problem}")


def _print(rows: list[dict[str, Any]], title: str, markdown: bool) -> None:
    from dse.cli.tables import echo_markdown, echo_table

    names = dict.fromkeys(name for row in rows for name in row)  # one that is no network has fewer
    columns = [name for name in names if name != "id" and any(row.get(name) is not None for row in rows)]
    cells = [[_text(column, row.get(column)) for column in columns] for row in rows]
    if markdown:
        echo_markdown(columns, cells)
    else:
        echo_table(columns, cells, title=title)


def _text(column: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if column == "accuracy":
        return f"{value:.1%}"
    return f"{value:,}" if isinstance(value, int) else str(value)
