"""dse front."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape

from dse.cli.limits import BUILD, limit_options, parse_limits
from dse.cli.messages import with_options

if TYPE_CHECKING:
    from dse.cost.metrics import Metric
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
@BUILD
@limit_options
@click.option("--all", "every", is_flag=True, help="Every trial and how it ended, instead of the front.")
@click.option("--json", "as_json", is_flag=True, help="A list of objects instead of a table.")
def command(
    run: Path, boards: tuple[str, ...], every: bool, as_json: bool, build: str | None, **given_limits: str | None
) -> None:
    """Show the Pareto front of RUN, a folder that dse search wrote.

    Training does not depend on a board, so one run can be read for any: with --board, the costs are computed anew, and
    the front is that of the trials that fit. With limits it is that of the trials that keep to them.

    \b
    Example:
      dse front results/cmv3-imxrt1060 --board nano33ble
    """
    from dse.hardware.boards import load_boards

    if every and boards:
        raise click.UsageError("--all is every trial, whatever it fits: not with --board")
    if every and any(given_limits.values()):
        raise click.UsageError("--all is every trial, whatever it costs: not with limits")
    if every:
        print_trials(run, as_json)
        return
    the_boards = load_boards(boards, build)
    print_front(run, the_boards, as_json, parse_limits(given_limits, the_boards, needed=False))


def print_trials(run: Path, as_json: bool) -> None:
    """Prints every trial, in order, with all that the study knows of it."""
    from rich.table import Table

    from dse.cli.tables import print_table
    from dse.cost.metrics import ACCURACY, BY_NAME, OBJECTIVES
    from dse.search.record import share_text
    from dse.search.run_folder import load_summary

    summary = load_summary(run)
    front = {record.number for record in summary.front()}
    if as_json:
        click.echo(json.dumps([trial_row(record, front) for record in summary.records], indent=2))
        return
    table = Table(title=escape(f"Trials of {run} (* on the front)"), title_justify="left")
    shown = [BY_NAME[name] for name in OBJECTIVES]
    shown = [m for m in shown if not m.by_board or any(m.name in record.values for record in summary.records)]
    for name in ("trial", "id", "explorer", "ended", *(metric.title for metric in shown)):
        table.add_column(name, justify="left" if name in ("id", "explorer", "ended") else "right", no_wrap=True)
    table.add_column("why", overflow="fold")
    for record in summary.records:
        # The accuracy of 0 of what was never trained is for explorers.
        known = {k: v for k, v in record.values.items() if k != ACCURACY or record.outcome != "infeasible"}
        cells = [metric.unit.text(known[metric.name]) if metric.name in known else "" for metric in shown]
        mark = "*" if record.number in front else ""
        reason = escape(with_options(record.reason or record.stopped))
        ended = record.outcome + (f", {share_text(record.share)}" if record.share < 1 else "")
        table.add_row(f"{mark}{record.number}", record.id, record.explorer, ended, *cells, reason)
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
        "share": record.share,
        "stopped": record.stopped,
        "seeds": record.seeds,
        "values": record.values,
        "params": record.params,
        "history": record.history,
    }


def print_front(
    run: Path,
    boards: list[Board],
    as_json: bool,
    limits: Mapping[str, float | None] | None = None,
    by_board: Mapping[str, Mapping[str, float | None]] | None = None,
) -> None:
    """Prints the front, of each board if any are given, best accuracy first, and how the other trials ended.

    Only what keeps to the limits counts, and on a board to those of the board. Raises BoardError where an objective is
    not known of one of the boards.
    """
    from dse.hardware.board_metrics import check_known
    from dse.plots.front import front_data
    from dse.search.run_folder import load_summary
    from dse.search.summary import on_board, within

    summary, limits = load_summary(run), limits or {}
    if boards:
        check_known(summary.objectives, boards)
    limited = any(limit is not None for limit in limits.values())
    bodies: list[dict[str, Any]] = []
    whose: list[Board | None] = [*boards] or [None]
    for board in whose:
        if board:
            records = on_board(summary.records, board, **{**limits, **(by_board or {}).get(board.name, {})})
        else:
            records = within(summary.records, **limits) if limited else summary.records
        objectives = _objectives(summary.objectives, board)
        rows = [_row(row, board, records) for row in front_data(records, objectives, run.name).front]
        bodies += rows
        if not as_json:
            _print_table(run, objectives, rows, board)
            if not rows and (board or limited):
                keeps = " and keeps to the limits" if limited else ""
                click.echo(
                    f"no complete trial fits {board.name}{keeps}" if board else "no complete trial keeps to the limits"
                )
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


def _row(row: dict[str, Any], board: Board | None, records: list[TrialRecord]) -> dict[str, Any]:
    """A row with the ranges of what depends on a board, None where nothing is known of it; without a board the upper
    ends that the search recorded."""
    from dse.cost.metrics import METRICS
    from dse.cost.report import estimate
    from dse.hardware.verdict import judge

    names = [metric.name for metric in METRICS if metric.by_board]
    if board is None:
        return row | {name: {"high": row[name]} for name in names if name in row}
    candidate = next(record.candidate for record in records if record.number == row["trial"])
    assert candidate is not None  # it is complete
    verdict = judge(estimate(candidate.network), board).to_dict()
    return {"board": board.name, **row, **{name: verdict[name] for name in names}}


def _objectives(objectives: list[str], board: Board | None) -> list[str]:
    """Those of the run; where a board's engine has no arena, the memory that it has."""
    memory = board.build.memory if board else "arena_bytes"
    return [memory if name == "arena_bytes" else name for name in objectives]


def _print_table(run: Path, objectives: list[str], rows: list[dict[str, Any]], board: Board | None) -> None:
    from rich.table import Table

    from dse.cli.tables import print_table
    from dse.cost.metrics import BY_NAME, LIMITED, LIMITED_COSTS
    from dse.search.record import share_text

    where = f"{run} on {board.name}" if board else str(run)
    table = Table(title=escape(f"Pareto front of {where}: {', '.join(objectives)}"), title_justify="left")
    memory = board.build.memory if board else "arena_bytes"
    costs = [BY_NAME[memory] if m.name == "arena_bytes" else m for m in LIMITED_COSTS]
    ranges = [m for m in LIMITED if m.by_board and (m.name in objectives or _is_shown(m.name, rows, board))]
    titles = [f"{metric.title} ({board.build.name})" if board else metric.title for metric in ranges]
    seeds = any("seeds" in row for row in rows)
    share = any("share" in row for row in rows)
    for name in (
        "trial",
        "id",
        "accuracy",
        *(["seeds"] if seeds else []),
        *(["trained"] if share else []),
        "float",
        *(metric.title for metric in costs),
        *titles,
    ):
        table.add_column(name, justify="left" if name == "id" else "right", no_wrap=True)
    for row in rows:
        table.add_row(
            str(row["trial"]), row["id"], f"{row['accuracy']:.2%}",
            *([_seeds(row.get("seeds", []))] if seeds else []),
            *([share_text(row.get("share", 1.0))] if share else []),
            f"{row['accuracy_float']:.2%}",
            *(metric.unit.text(row[metric.name]) for metric in costs),
            *(_range(row.get(metric.name), metric) for metric in ranges),
        )  # fmt: skip
    print_table(table, 110 + 20 * len(ranges))


def _seeds(accuracies: list[float]) -> str:
    """How far apart the accuracies of several seeds are."""
    return f"{len(accuracies)}: {min(accuracies):.2%} to {max(accuracies):.2%}" if accuracies else "1"


def _is_shown(name: str, rows: list[dict[str, Any]], board: Board | None) -> bool:
    """Whether a range is shown though it is no objective: latency on a board, and without one whatever is known."""
    return name == "latency_ms" if board else any(name in row for row in rows)


def _range(ends: dict[str, Any] | None, metric: Metric) -> str:
    if not ends:
        return "unknown"
    high = metric.unit.text(ends["high"])
    return f"{metric.unit.text(ends['low'])} to {high}" if "low" in ends else f"up to {high}"
