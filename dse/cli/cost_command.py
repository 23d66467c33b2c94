"""dse cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dse.cli.limits import BUILD

if TYPE_CHECKING:
    from dse.cost.report import CostReport
    from dse.cost.tflm.graph import OperatorGraph
    from dse.hardware.boards import Board
    from dse.hardware.verdict import Verdict
    from dse.network.candidate import Candidate

MOST_IN_FULL = 4  # boards, of which each has its lines
Row = tuple[str, str, str, int, int]  # name, kind, output, parameters, MACs


@click.command("cost")
@click.argument("what")
@click.option(
    "--board", "boards", multiple=True, help="Does it fit this board? May be given several times; all: every board."
)
@BUILD
@click.option("--json", "as_json", is_flag=True, help="One object per board, each on a line, instead of a table.")
def command(what: str, boards: tuple[str, ...], build: str | None, as_json: bool) -> None:
    """Show what WHAT costs: a model (.tflite, a C array, .keras), a candidate, a reference network, or a space.

    A model or a candidate is shown operator by operator or layer by layer, with its arena, what is alive where it needs
    most, its size in flash, and on each board whether it fits and how long it takes. Of a space, 500 random candidates
    are drawn and the range is shown, with the share that fits each board; dse screen looks closer.

    \b
    Example:
      dse cost model.tflite --board imxrt1060 --board nano33ble
    """
    from dse.hardware.boards import load_boards
    from dse.tflite.sources import SUFFIXES, look_into

    named = load_boards(boards, build)
    path = Path(what)
    # Other names may be those of spaces and networks that ship with dse.
    is_file = path.is_file() or path.suffix in (*SUFFIXES, ".keras", ".json", ".h", ".cc", ".c", ".cpp")
    found = look_into(path) if is_file else None
    match found.kind if found else "text":
        case "tflite":
            assert found
            if found.about and not as_json:
                click.echo(f"{found.about}, {len(found.content):,} bytes", err=True)
            _tflite(what, found.content, named, as_json)
        case "keras":
            _keras(what, named, as_json)
        case "candidate":
            _candidate(what, named, as_json)
        case _:
            _space(what, named, as_json)


def _tflite(what: str, content: bytes, boards: list[Board], as_json: bool) -> None:
    from dse.tflite.reader import read_tflite

    _model(what, read_tflite(content, what), len(content), boards, as_json)


def _keras(what: str, boards: list[Board], as_json: bool) -> None:
    from dse.quantization.saved_model import int8_of_keras
    from dse.tflite.reader import read_tflite

    content = int8_of_keras(Path(what))
    if not as_json:
        click.echo(f"{what}: converted to int8 with random images, as dse would export it", err=True)
    _model(what, read_tflite(content, what), len(content), boards, as_json)


def _model(what: str, graph: OperatorGraph, num_bytes: int, boards: list[Board], as_json: bool) -> None:
    from dse.cost.macs import kernel_tensors, macs_of
    from dse.cost.report import estimate_graph
    from dse.errors import FileError, OperatorError

    try:
        report = estimate_graph(graph, num_bytes)
    except OperatorError as error:
        raise FileError(what, None, "", str(error)) from None
    rows: list[Row] = []
    for number, operator in enumerate(graph.operators):
        shape = _shape(graph.tensors[operator.outputs[0]].shape) if operator.outputs else ""
        params = sum(graph.tensors[index].num_elements for index in kernel_tensors(operator, graph.tensors))
        rows.append((str(number), operator.kind, shape, params, macs_of(operator, graph.tensors)))
    _show(what, {"model": what}, report, rows, boards, as_json)


def _candidate(what: str, boards: list[Board], as_json: bool) -> None:
    from dse.network.candidate import load_candidate

    candidate = load_candidate(Path(what))
    _show_candidate(f"candidate {candidate.id}", candidate, boards, as_json)


def _show_candidate(title: str, candidate: Candidate, boards: list[Board], as_json: bool) -> None:
    from dse.cost.formulas import layer_costs
    from dse.cost.report import estimate

    rows: list[Row] = [
        (layer.name, type(layer).__name__, _shape(layer.shape), cost.params, cost.macs)
        for layer, cost in layer_costs(candidate.network)
        if cost.params or cost.macs
    ]
    _show(title, {"id": candidate.id}, estimate(candidate.network), rows, boards, as_json)


def _show(
    title: str,
    name: dict[str, str],
    report: CostReport,
    rows: list[Row],
    boards: list[Board],
    as_json: bool,
) -> None:
    from dse._util.units import bytes_text
    from dse.hardware.verdict import judge

    verdicts = [judge(report, board) for board in boards]
    if as_json:
        for body in [verdict.to_dict() for verdict in verdicts] or [report.to_dict() | {"board": None}]:
            click.echo(json.dumps(name | body))
        return
    from rich.markup import escape
    from rich.table import Table

    from dse.cli.tables import print_table

    table = Table("", "kind", "output", title=escape(title), title_justify="left")
    table.add_column("params", justify="right")
    table.add_column("MACs", justify="right")
    for first, kind, shape, params, macs in rows:
        table.add_row(first, kind, shape, f"{params:,}" if params else "", f"{macs:,}" if macs else "")
    table.add_section()
    table.add_row("total", "", "", f"{report.params:,}", f"{report.macs:,}")
    print_table(table, 110)
    head, tail, host = map(bytes_text, (report.arena_head_bytes, report.arena_tail_bytes, report.arena_tail_bytes_host))
    click.echo(f"arena: {head} head ({report.plan} plan) + {tail} tail on a 32-bit target ({host} on a 64-bit host)")
    if report.arena_starting_bytes > report.arena_head_bytes + report.arena_tail_bytes:
        click.echo(f"       but {bytes_text(report.arena_bytes)} while TFLM starts: its notes need more than the head")
    click.echo(f"peak:  {report.peak_operator}, while these are alive:")
    for writer, size in report.peak_tensors:
        click.echo(f"       {bytes_text(size):>10}  {writer}")
    if report.computed_in == "INT8" and report.inplace_bytes:
        click.echo(
            f"in place: {bytes_text(report.inplace_bytes)} with depthwise convolutions in place, "
            f"{bytes_text(report.fused_bytes)} with each bottleneck as one operation (TFLM's head: {head})"
        )
    click.echo(f"flash: {bytes_text(report.flash_bytes)}")
    for refusal in report.refusals:
        click.echo(f"TFLM does not run it: {refusal}")
    if len(verdicts) > MOST_IN_FULL:
        _show_boards(verdicts)
        return
    for verdict in verdicts:
        for line in lines_of(verdict):
            click.echo(line)


def _show_boards(verdicts: list[Verdict]) -> None:
    """Many boards as one table, those first of whose memory the model makes most use."""
    from dse.cli.tables import echo_table

    def use(verdict: Verdict) -> float:
        used, available = next(iter(verdict.used.values()))
        return used / available

    rows = []
    for verdict in sorted(verdicts, key=lambda one: (not one.fits, -use(one) if one.fits else use(one))):
        shares = [f"{used / available:.0%}" for used, available in verdict.used.values()]
        latency = next(iter(verdict.latencies.values()), None)
        fits = "yes" if verdict.fits else "does not run" if verdict.refusals else "no"
        took = str(latency).partition(" (")[0] if latency else "unknown"
        rows.append((verdict.board.name, fits, verdict.build.name, *shares, took))
    echo_table(("board", "fits", "build", "memory", "flash", "latency"), rows, texts=("board", "fits", "build"))


def lines_of(verdict: Verdict) -> list[str]:
    """A verdict as a person reads it."""
    lines = [str(verdict)]
    if verdict.latencies:
        lines.append(f"  latency: {'; '.join(map(str, verdict.latencies.values()))}")
    lines.append(f"  {verdict.basis}")
    if verdict.energy:
        lines.append(f"  energy: {verdict.energy} with the first of them")
    return lines


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _space(name: str, boards: list[Board], as_json: bool) -> None:
    from dse.references.networks import load_network, only_network
    from dse.screening.ranges import space_cost

    space = load_network(name)
    if not space.domains:
        title = f"{space.name}: {space.about}" if space.about else space.name
        _show_candidate(title, only_network(space), boards, as_json)
        return
    found = space_cost(space, boards)
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2))
        return
    click.echo(f"{found.space}: {found.networks} random networks of {found.images}")
    for cost, spread in found.ranges.items():
        click.echo(f"  {cost:12} {spread.smallest:>12,} to {spread.largest:>12,}, median {spread.median:,}")
    for board, value in found.fits.items():
        click.echo(f"  {value:.0%} fit {board}")
