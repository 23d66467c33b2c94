"""dse cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dse.candidate import Candidate
    from dse.cost import Board

RANDOM_CANDIDATES = 500


@click.command("cost")
@click.argument("what")
@click.option("--board", "boards", multiple=True, help="Does it fit this board? May be given several times.")
@click.option("--json", "as_json", is_flag=True, help="An object instead of a table.")
def command(what: str, boards: tuple[str, ...], as_json: bool) -> None:
    """Show what WHAT costs: a candidate (JSON file), or a space.

    A candidate is shown layer by layer. Of a space, 500 random candidates are drawn and the range is shown, with the
    share that fits each board.

    \b
    Example:
      dse cost cmv3.yaml --board imxrt1060 --board nano33ble
    """
    from dse.candidate import Candidate
    from dse.cost import load_board

    named = [load_board(name) for name in boards]
    path = Path(what)
    if path.suffix == ".json":
        from dse.errors import FileError

        try:
            text = path.read_text(encoding="utf-8")[: 1 << 20]
        except (OSError, UnicodeDecodeError) as error:
            raise FileError(what, None, "", f"cannot be read: {error}") from None
        _candidate(Candidate.from_json(text), named, as_json)
    else:
        _space(what, named, as_json)


def _candidate(candidate: Candidate, boards: list[Board], as_json: bool) -> None:
    from dse.cost import Budget, estimate
    from dse.cost.formulas import layer_costs
    from dse.units import bytes_text

    report = estimate(candidate.network)
    fits = {board.name: Budget.of_board(board).exceeded_by(report) for board in boards}
    if as_json:
        over = {name: {"fits": not reasons, "over": reasons} for name, reasons in fits.items()}
        click.echo(json.dumps({"id": candidate.id, **report.to_dict(), "boards": over}, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("layer", "kind", "output", title=f"candidate {candidate.id}", title_justify="left")
    table.add_column("params", justify="right")
    table.add_column("MACs", justify="right")
    for layer, cost in layer_costs(candidate.network):
        if cost.params or cost.macs:
            shape = "x".join(map(str, layer.shape))
            table.add_row(layer.name, type(layer).__name__, shape, f"{cost.params:,}", f"{cost.macs:,}")
    table.add_section()
    table.add_row("total", "", "", f"{report.params:,}", f"{report.macs:,}")
    console = Console()
    (console if console.is_terminal else Console(width=110)).print(table)
    head, tail = bytes_text(report.arena_head_bytes), bytes_text(report.arena_tail_bytes)
    click.echo(f"arena: {head} head + {tail} tail (estimate), peak at {report.peak_operator}")
    click.echo(f"flash: {bytes_text(report.flash_bytes)} (estimate)")
    for name, reasons in fits.items():
        click.echo(f"{name}: {'fits' if not reasons else 'does not fit: ' + '; '.join(reasons)}")


def _space(name: str, boards: list[Board], as_json: bool) -> None:
    import numpy as np

    from dse.cost import Budget, estimate
    from dse.errors import NetworkError
    from dse.space import load_space

    space = load_space(name)
    if not space.domains:
        _candidate(space.sample(np.random.default_rng(0))[1], boards, as_json)
        return
    rng = np.random.default_rng(0)
    reports = []
    for _ in range(RANDOM_CANDIDATES):
        try:
            reports.append(estimate(space.sample(rng)[1].network))
        except NetworkError:
            continue
    names = ("params", "macs", "arena_bytes", "flash_bytes")
    ranges = {key: [int(v) for v in np.percentile([getattr(r, key) for r in reports], [0, 50, 100])] for key in names}
    share = {
        board.name: sum(not Budget.of_board(board).exceeded_by(report) for report in reports) / len(reports)
        for board in boards
    }
    if as_json:
        keys = ("smallest", "median", "largest")
        body = {name: dict(zip(keys, values, strict=True)) for name, values in ranges.items()}
        click.echo(json.dumps({"space": space.name, **body, "fits": share}, indent=2))
        return
    click.echo(f"{space.name}: {RANDOM_CANDIDATES} random candidates of 32x32x3 images")
    for key, (low, middle, high) in ranges.items():
        click.echo(f"  {key:12} {low:>12,} to {high:>12,}, median {middle:,}")
    for board_name, value in share.items():
        click.echo(f"  {value:.0%} fit {board_name}")
