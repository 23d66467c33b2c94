"""dse plot."""

from __future__ import annotations

from pathlib import Path

import click

from dse.errors import RunError


@click.command("plot")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the plots. [default: RUN/plots]")
@click.option("--reference", is_flag=True, help="Draw in what was published for its task; dse reproduce has sources.")
def command(run: Path, out: Path | None, reference: bool) -> None:
    """Draw the Pareto front of RUN: an HTML page that works offline, and a PNG.

    \b
    Example:
      dse plot results/cmv3-imxrt1060 --reference
    """
    for path in plot_run(run, out, reference):
        click.echo(path)


def plot_run(run: Path, out: Path | None = None, reference: bool = False) -> list[Path]:
    """Writes the plots of a run; returns their paths.

    Raises RunError when nothing is complete, or when nothing was published for its task and that is asked for.
    """
    from dse.plots.front import front_data, write_plots
    from dse.references.points import IMAGES, reference_points
    from dse.search.run_folder import load_summary, read_run

    summary, description = load_summary(run), read_run(run)
    if not summary.count("complete"):
        raise RunError(f"{run}: no trial is complete, so there is nothing to draw")
    task = description["settings"]["task"]["task"]
    points = reference_points(task) if reference else []
    if reference and not points:
        raise RunError(f"{run}: nothing is known to be published for task {task!r}; known: {', '.join(IMAGES)}")
    boards = ", ".join(description["settings"]["boards"]) or "no board"
    title = f"{description['settings']['space']} on {boards} ({description['data']['source']})"
    return write_plots(front_data(summary.records, summary.objectives, title, points), out or run / "plots")
