"""dse simulate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dse.cli.limits import limit_options, parse_limits
from dse.cost.metrics import OBJECTIVES
from dse.search.fidelity.names import FIDELITIES, Fidelity

if TYPE_CHECKING:
    from dse.simulation.report import Report


@click.command("simulate")
@click.option("--space", required=True, help="Space: a YAML file or a shipped name (dse list spaces).")
@click.option(
    "--table",
    required=True,
    type=click.Path(path_type=Path),
    help="CSV file of networks of the space that were trained.",
)
@click.option(
    "--explorer", "explorers", multiple=True,
    help="Explorer to try (dse list explorers); may be given several times. [default: bayes, and random beside it]",
)  # fmt: skip
@click.option(
    "--trials",
    type=click.IntRange(min=1, max=100_000),
    default=80,
    show_default=True,
    help="Networks that are trained.",
)
@click.option("--seeds", type=click.IntRange(min=1, max=1000), default=20, show_default=True, help="Searches of each.")
@click.option(
    "--objective", "objectives", multiple=True, type=click.Choice(OBJECTIVES),
    help="What is traded against each other; may be given several times. [default: accuracy, macs]",
)  # fmt: skip
@click.option("--board", "boards", multiple=True, help="Only what fits this board; may be given several times.")
@limit_options
@click.option(
    "--resolution", type=click.IntRange(min=8, max=1024), default=32, show_default=True,
    help="Height and width of the images, where the space does not say.",
)  # fmt: skip
@click.option("--classes", type=click.IntRange(min=2, max=10_000), default=10, show_default=True, help="Classes.")
@click.option(
    "--best-of", type=click.IntRange(min=1, max=1000), default=1, show_default=True, help="As for dse search."
)
@click.option(
    "--fidelity", type=click.Choice(FIDELITIES), default="full", show_default=True,
    help="As for dse search, of a table that has accuracies after parts of the training.",
)  # fmt: skip
@click.option("--plot", type=click.Path(path_type=Path), help="Draw it into this HTML file.")
@click.option("--json", "as_json", is_flag=True, help="One object instead of a table.")
def command(
    space: str,
    table: Path,
    explorers: tuple[str, ...],
    trials: int,
    seeds: int,
    objectives: tuple[str, ...],
    boards: tuple[str, ...],
    resolution: int,
    classes: int,
    best_of: int,
    fidelity: Fidelity,
    plot: Path | None,
    as_json: bool,
    **given_limits: str | None,
) -> None:
    """Try explorers on a table of trained networks, in place of trainings.

    Every search is a whole one, with its gate, its study and its duplicates; only that a network's accuracy is looked
    up. What is shown is the share that the networks have of the hypervolume of the table's front, in the mean over the
    seeds, after so many trainings; and which explorer is better, and how surely. `docs/tables.md` describes the file.

    \b
    Example:
      dse simulate --space nas-bench-macro.yaml --table macro.csv --explorer bayes --explorer optuna:tpe
    """
    from rich.console import Console
    from rich.progress import Progress

    from dse.hardware.boards import load_boards
    from dse.hardware.budget import Budgets
    from dse.simulation.report import simulate
    from dse.simulation.table import read_table
    from dse.space.space import Defaults, load_space

    the_space = load_space(space)
    the_boards = tuple(load_boards(boards))
    limits = parse_limits(given_limits, the_boards, needed=False)
    read = read_table(table, the_space, Defaults((resolution, resolution, 3), classes))
    names = list(dict.fromkeys(explorers or ("bayes", "random")))
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("simulating", total=len(names) * seeds)
        report = simulate(
            read, names, list(objectives) or ["accuracy", "macs"], the_boards, Budgets.of_boards(the_boards, **limits),
            trials=trials, seeds=seeds, best_of=best_of, fidelity=fidelity,
            progress=lambda name: bar.update(task, advance=1),
        )  # fmt: skip
    if plot:
        from dse.plots.simulation import write_simulation_plot

        write_simulation_plot(report, plot)
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=2))
        return
    _print(report)
    if plot:
        click.echo(f"plot: {plot}")


def _print(report: Report) -> None:
    from dse.cli.tables import echo_table

    click.echo(report.about)
    marks = report.marks
    rows = []
    for searches in report.searches:
        cells = ["{:.1f} ({:.1f} to {:.1f})".format(*(100 * value for value in searches.at(mark))) for mark in marks]
        rows.append([searches.explorer, *cells, f"{searches.networks:.0f}", f"{searches.milliseconds:.0f}"])
    title = f"percent of the front's hypervolume after so many trainings: mean (quartiles) of {report.seeds} seeds"
    columns = ["explorer", *map(str, marks), "networks", "ms/proposal"]
    echo_table(columns, rows, title=title, texts=["explorer"])
    for sentence in report.sentences():
        click.echo(sentence)
