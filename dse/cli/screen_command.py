"""dse screen."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dse.cli.limits import BUILD, limit_options, parse_limits
from dse.errors import DseError

if TYPE_CHECKING:
    from dse.screening.report import Fit, ScreenReport


@click.command("screen")
@click.option("--space", required=True, help="Space: a YAML file or a shipped name (dse list spaces).")
@click.option("--board", "boards", multiple=True, help="How much fits this board? May be given several times.")
@click.option(
    "--count", type=click.IntRange(min=1, max=10_000_000), default=10_000, show_default=True, help="Candidates drawn."
)
@BUILD
@limit_options
@click.option(
    "--resolution", type=click.IntRange(min=8, max=1024), default=32, show_default=True,
    help="Height and width of the images, where the space does not say.",
)  # fmt: skip
@click.option("--classes", type=click.IntRange(min=2, max=10_000), default=10, show_default=True, help="Classes.")
@click.option("--seed", type=click.IntRange(min=0, max=2**31 - 1), default=0, show_default=True, help="Seed.")
@click.option(
    "--workers",
    type=click.IntRange(min=1, max=256),
    help="Processes; the figures do not depend on it. [default: all cores]",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder of plots. [default: results/screen-SPACE-BOARD]")
@click.option("--json", "as_json", is_flag=True, help="One object instead of tables.")
def command(
    space: str,
    boards: tuple[str, ...],
    count: int,
    resolution: int,
    classes: int,
    seed: int,
    workers: int | None,
    out: Path | None,
    as_json: bool,
    build: str | None,
    **given_limits: str | None,
) -> None:
    """Look at a whole space before anything is trained.

    Draws random candidates, computes what each costs (the memory plan included), and says how much of the space fits
    each board, which limit binds, how every cost is spread, and the largest network that fits. Writes the same as
    screen.html, screen.png and screen.json.

    \b
    Example:
      dse screen --space mixed.yaml --board nano33ble --count 100000
    """
    from rich.console import Console
    from rich.progress import Progress

    from dse._util.files import write_atomic
    from dse.hardware.boards import load_boards
    from dse.hardware.budget import Budgets
    from dse.screening.report import report
    from dse.screening.screening import screen
    from dse.space.space import Defaults, load_space

    the_space = load_space(space)
    the_boards = load_boards(boards, build)
    limits = parse_limits(given_limits, the_boards)
    defaults = Defaults((resolution, resolution, 3), classes)
    budgets = Budgets.of_boards(the_boards, **limits)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"screening {the_space.name}", total=count)
        screened = screen(
            the_space, defaults, count=count, seed=seed, workers=workers or os.cpu_count() or 1,
            libraries=budgets.libraries, progress=lambda done: bar.update(task, completed=done),
        )  # fmt: skip
    if not screened.possible.any():
        raise DseError(
            f"none of {count:,} candidates of {the_space.name} describes a network for {resolution}x{resolution} images"
        )
    figures = report(the_space, defaults, screened, budgets)
    folder = out or Path("results") / "-".join(["screen", the_space.name, *(board.name for board in the_boards)])
    from dse.plots.screening import write_screen_plots

    paths = write_screen_plots(screened, figures, folder)
    write_atomic(folder / "screen.json", json.dumps(figures.to_dict(), indent=2) + "\n")
    if as_json:
        click.echo(json.dumps(figures.to_dict(), indent=2))
        return
    _print(figures)
    for path in paths:
        click.echo(f"plot: {path}")


def _print(figures: ScreenReport) -> None:
    from rich.table import Table

    from dse.cli.tables import print_table
    from dse.cost.metrics import text_of
    from dse.screening.report import PERCENTS

    networks = figures.count - figures.impossible
    title = f"{figures.space}: {networks:,} random networks of {figures.images} (seed {figures.seed})"
    table = Table("", title=title, title_justify="left")
    for percent in PERCENTS:
        table.add_column({0: "smallest", 50: "median", 100: "largest"}.get(percent, f"{percent} %"), justify="right")
    for name, values in figures.spread.items():
        table.add_row(name, *(text_of(name.partition(" ")[0], value) for value in values))
    print_table(table, 110)
    if figures.impossible:
        click.echo(f"{figures.impossible:,} of {figures.count:,} draws describe no network, and are not counted")
    for fit in figures.fits:
        _print_fit(fit)


def _print_fit(fit: Fit) -> None:
    from dse._util.units import count_text
    from dse.cost.metrics import figure

    click.echo(f"{fit.board}: {fit.share:.2%} fit ({fit.fitting:,})")
    for name, limit in fit.limits.items():
        click.echo(
            f"  {name} <= {figure(name, limit)}: {fit.breaks[name]:.2%} break it, in {fit.binds[name]:.2%} it binds"
        )
    if fit.candidate and fit.most_macs is not None:
        click.echo(f"  most MACs that fit: {count_text(fit.most_macs)}, candidate {fit.candidate.id}:")
        click.echo(f"  {fit.candidate.to_json()}")
