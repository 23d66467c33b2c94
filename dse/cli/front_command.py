"""dse front."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("front")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="A list of objects instead of a table.")
def command(run: Path, as_json: bool) -> None:
    """Show the Pareto front of RUN, a folder that dse search wrote.

    \b
    Example:
      dse front results/cmv3-imxrt1060 --json
    """
    print_front(run, as_json)


def print_front(run: Path, as_json: bool) -> None:
    """Prints the front, best accuracy first, and how the other trials ended."""
    from dse.plots import front_data
    from dse.run_folder import load_summary
    from dse.units import bytes_text, count_text

    summary = load_summary(run)
    rows = front_data(summary.records, summary.objectives, run.name).front
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Pareto front of {run}: " + ", ".join(summary.objectives), title_justify="left")
    for name in ("trial", "id", "accuracy", "float", "params", "MACs", "arena", "flash"):
        table.add_column(name, justify="left" if name == "id" else "right", no_wrap=True)
    for row in rows:
        table.add_row(
            str(row["trial"]), row["id"], f"{row['accuracy']:.2%}", f"{row['accuracy_float']:.2%}",
            count_text(row["params"]), count_text(row["macs"]), bytes_text(row["arena_bytes"]),
            bytes_text(row["flash_bytes"]),
        )  # fmt: skip
    console = Console()
    if not console.is_terminal:
        console = Console(width=110)
    console.print(table)
    ends = ", ".join(
        f"{n} {name}"
        for name in ("complete", "repeated", "infeasible", "failed", "running")
        if (n := summary.count(name))
    )
    click.echo(f"trials: {ends or 'none'}; accuracy is on the validation images", err=True)
    for record in summary.records:
        if record.outcome == "failed":
            click.echo(f"trial {record.number} failed: {record.reason}", err=True)
