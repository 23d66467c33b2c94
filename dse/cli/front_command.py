"""dse front."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape

from dse.cli.messages import with_options

if TYPE_CHECKING:
    from dse.hardware.boards import Board
    from dse.search.record import TrialRecord


@click.command("front")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--board",
    "boards",
    multiple=True,
    help="The front of what fits this board; the search need not have known it. May be given several times.",
)
@click.option("--all", "every", is_flag=True, help="Every trial and how it ended, instead of the front.")
@click.option("--json", "as_json", is_flag=True, help="A list of objects instead of a table.")
def command(run: Path, boards: tuple[str, ...], every: bool, as_json: bool) -> None:
    """Show the Pareto front of RUN, a folder that dse search wrote.

    Training does not depend on a board, so one run can be read for any: with --board, the costs are computed anew, and
    the front is that of the trials that fit.

    \b
    Example:
      dse front results/cmv3-imxrt1060 --board nano33ble
    """
    from dse.hardware.boards import load_boards

    if every and boards:
        raise click.UsageError("--all is every trial, whatever it fits: not with --board")
    if every:
        print_trials(run, as_json)
    else:
        print_front(run, load_boards(boards), as_json)


def print_trials(run: Path, as_json: bool) -> None:
    """Prints every trial, in order, with all that the study knows of it."""
    from rich.table import Table

    from dse._util.units import bytes_text, count_text
    from dse.cli.tables import print_table
    from dse.search.run_folder import load_summary

    summary = load_summary(run)
    front = {record.number for record in summary.front()}
    if as_json:
        click.echo(json.dumps([trial_row(record, front) for record in summary.records], indent=2))
        return
    table = Table(title=escape(f"Trials of {run} (* on the front)"), title_justify="left")
    for name in ("trial", "id", "explorer", "ended", "accuracy", "params", "MACs", "arena", "flash"):
        table.add_column(name, justify="left" if name in ("id", "explorer", "ended") else "right", no_wrap=True)
    table.add_column("why", overflow="fold")
    shown = {
        "accuracy": lambda value: f"{value:.2%}",
        "params": count_text,
        "macs": count_text,
        "arena_bytes": bytes_text,
        "flash_bytes": bytes_text,
    }
    for record in summary.records:
        # The accuracy of 0 of what was never trained is for explorers.
        known = {k: v for k, v in record.values.items() if k != "accuracy" or record.outcome != "infeasible"}
        cells = [text(known[name]) if name in known else "" for name, text in shown.items()]
        mark = "*" if record.number in front else ""
        reason = escape(with_options(record.reason))
        table.add_row(f"{mark}{record.number}", record.id, record.explorer, record.outcome, *cells, reason)
    print_table(table, 150)


def trial_row(record: TrialRecord, front: set[int]) -> dict[str, Any]:
    """One trial as JSON; `front` holds the numbers of those on it."""
    return {
        "trial": record.number,
        "outcome": record.outcome,
        "on_front": record.number in front,
        "explorer": record.explorer,
        "id": record.id,
        "reason": record.reason,
        "seconds": record.seconds,
        "values": record.values,
        "params": record.params,
        "history": record.history,
    }


def print_front(run: Path, boards: list[Board], as_json: bool) -> None:
    """Prints the front, of each board if any are given, best accuracy first, and how the other trials ended."""
    from dse.plots.front import front_data
    from dse.search.run_folder import load_summary
    from dse.search.summary import on_board

    summary = load_summary(run)
    bodies: list[dict[str, Any]] = []
    whose: list[Board | None] = [*boards] or [None]
    for board in whose:
        records = on_board(summary.records, board) if board else summary.records
        objectives = _objectives(summary.objectives, board)
        rows = front_data(records, objectives, run.name).front
        if board:
            rows = [{"board": board.name, **row, "latency_ms": _latency(row, board, records)} for row in rows]
        bodies += rows
        if not as_json:
            _print_table(run, objectives, rows, board)
    if as_json:
        click.echo(json.dumps(bodies, indent=2))
        return
    ends = ", ".join(
        f"{n} {name}"
        for name in ("complete", "repeated", "infeasible", "failed", "running")
        if (n := summary.count(name))
    )
    click.echo(f"trials: {ends or 'none'}; accuracy is on the validation images", err=True)
    for record in summary.records:
        if record.outcome == "failed":
            click.echo(f"trial {record.number} failed: {with_options(record.reason)}", err=True)


def _latency(row: dict[str, Any], board: Board, records: list[TrialRecord]) -> dict[str, Any] | None:
    """The latency of a trial on a board, by the board's own runtime; None where nothing is known of it."""
    from dse.cost.report import estimate
    from dse.hardware.verdict import judge

    candidate = next(record.candidate for record in records if record.number == row["trial"])
    assert candidate is not None  # it is complete
    latency: dict[str, Any] | None = judge(estimate(candidate.network), board).to_dict()["latency_ms"]
    return latency


def _objectives(objectives: list[str], board: Board | None) -> list[str]:
    """Those of the run; where a board's engine has no arena, the memory that it has."""
    from dse.hardware.budget import memory_of

    memory = memory_of(board.runtime if board else "")
    return [memory if name == "arena_bytes" else name for name in objectives]


def _print_table(run: Path, objectives: list[str], rows: list[dict[str, Any]], board: Board | None) -> None:
    from rich.table import Table

    from dse._util.units import bytes_text, count_text, milliseconds_text
    from dse.cli.tables import print_table
    from dse.hardware.budget import memory_of

    where = f"{run} on {board.name}" if board else str(run)
    table = Table(title=escape(f"Pareto front of {where}: {', '.join(objectives)}"), title_justify="left")
    memory = memory_of(board.runtime if board else "")
    title = {"arena_bytes": "arena", "inplace_bytes": "in place"}[memory]
    for name in ("trial", "id", "accuracy", "float", "params", "MACs", title, "flash"):
        table.add_column(name, justify="left" if name == "id" else "right", no_wrap=True)
    if board:
        table.add_column(f"latency ({board.runtime})", justify="right", no_wrap=True)
    for row in rows:
        cells = [
            str(row["trial"]), row["id"], f"{row['accuracy']:.2%}", f"{row['accuracy_float']:.2%}",
            count_text(row["params"]), count_text(row["macs"]), bytes_text(row[memory]),
            bytes_text(row["flash_bytes"]),
        ]  # fmt: skip
        if board:
            latency = row["latency_ms"]
            ends = [milliseconds_text(latency[end]) for end in ("low", "high")] if latency else ["unknown"]
            cells.append(" to ".join(ends))
        table.add_row(*cells)
    print_table(table, 130 if board else 110)
    if board and not rows:
        click.echo(f"no complete trial fits {board.name}")
