"""dse cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dse.cli.limits import BUILD, parse_limits

if TYPE_CHECKING:
    from dse.cli.priced import Priced
    from dse.cost.report import CostReport
    from dse.hardware.boards import Board
    from dse.hardware.verdict import Verdict
    from dse.space.space import Space

MOST_IN_FULL = 4  # boards, of which each has its lines
BAR = 24  # letters of a bar
DOES_NOT_FIT = 1  # exit code with --require-fit


@click.command("cost")
@click.argument("what")
@click.option(
    "--board", "boards", multiple=True, help="Does it fit this board? May be given several times; all: every board."
)
@BUILD
@click.option("--max-memory", help="Bytes of memory, where there are fewer than the board has, as 128KiB.")
@click.option("--max-flash", help="Bytes of flash, where there are fewer than the board has, as 500kB.")
@click.option("--layers", is_flag=True, help="Every operator or layer too, with its parameters and MACs.")
@click.option("--arena", is_flag=True, help="A map of the arena too: which tensor lies where, and when.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the arena into an .html page or a .png.")
@click.option("--require-fit", is_flag=True, help="Exit with 1 when it does not fit every board that is named.")
@click.option("--json", "as_json", is_flag=True, help="One object per board, each on a line, instead of text.")
@click.pass_context
def command(
    context: click.Context,
    what: str,
    boards: tuple[str, ...],
    build: str | None,
    max_memory: str | None,
    max_flash: str | None,
    layers: bool,
    arena: bool,
    plot: Path | None,
    require_fit: bool,
    as_json: bool,
) -> None:
    """Show what WHAT costs: a model (.tflite, a C array, .keras), a candidate, a reference network, or a space.

    Says of each board whether the model fits and how long it takes; then its arena, what is alive where it needs most,
    and its size in flash. Of a space, 500 random candidates are drawn and the range is shown, with the share that fits
    each board; dse screen looks closer.

    \b
    Example:
      dse cost model.tflite --board imxrt1060 --board nano33ble
    """
    from dse.cli.priced import Priced, price
    from dse.errors import DseError
    from dse.hardware.boards import GENERIC, load_boards
    from dse.hardware.verdict import judge

    if as_json and (layers or arena):
        raise DseError("--json: expected neither --layers nor --arena, which are for reading")
    if plot:
        from dse.plots.arena import check_plot

        check_plot(plot)
    named = load_boards(boards or ([GENERIC] if max_memory is not None or max_flash is not None else []), build)
    limits = parse_limits({"max_memory": max_memory, "max_flash": max_flash}, named, needed=False)
    if require_fit and not named:
        raise DseError("--require-fit: expected a --board to fit")
    priced = price(what, quiet=as_json)
    if not isinstance(priced, Priced):
        asked = {"--require-fit": require_fit, "--layers": layers, "--arena": arena, "--plot": bool(plot)}
        if option := next((option for option, given in asked.items() if given), None):
            raise DseError(f"{option}: {priced.name} is a space of many networks; expected one network")
        if any(limits.values()):
            raise DseError(f"{priced.name} is a space of many networks: dse screen takes limits for it")
        _space(priced, named, as_json)
        return
    memory, flash = limits["arena_bytes"], limits["flash_bytes"]
    verdicts = [judge(priced.report, board, memory=memory, flash=flash) for board in named]
    cost = verdicts[0].cost if verdicts else priced.report  # with what runs on the first board
    if as_json:
        for body in [verdict.to_dict() for verdict in verdicts] or [priced.report.to_dict() | {"board": None}]:
            click.echo(json.dumps(priced.key | body))
    else:
        _show(priced, verdicts, cost)
        if arena:
            _show_arena(cost)
        if layers:
            _show_parts(priced)
    if plot:
        from dse.cost.tflm.plans import plans_of
        from dse.plots.arena import write_arena_plot

        write_arena_plot(plot, plans_of(cost.graph, cost.build), priced.title)
        click.echo(f"plot: {plot}", err=True)
    if require_fit and not all(verdict.fits for verdict in verdicts):
        context.exit(DOES_NOT_FIT)


def _show(priced: Priced, verdicts: list[Verdict], cost: CostReport) -> None:
    report = priced.report
    parts = f"{len(priced.parts)} {'operators' if 'model' in priced.key else 'layers'}"
    click.echo(f"{priced.title}: {report.params:,} parameters, {report.macs:,} MACs, {parts}")
    if len(verdicts) <= MOST_IN_FULL:
        for verdict in verdicts:
            click.echo("\n".join(lines_of(verdict)))
    for line in memory_lines(cost, f"on {verdicts[0].board.name}" if verdicts else "on a 32-bit target"):
        click.echo(line)
    if len(verdicts) > MOST_IN_FULL:
        _show_boards(verdicts)


def lines_of(verdict: Verdict) -> list[str]:
    """A verdict as a person reads it."""
    from dse._util.units import bytes_text

    lines = [str(verdict)]
    for name, (used, available) in verdict.used.items():
        full = max(0, round(BAR * min(1.0, used / available))) if available else BAR
        bar = "█" * full + "░" * (BAR - full)
        share = f"{used / available:.0%}" if available else "none"
        title = {"inplace_bytes": "memory"}.get(name, name.removesuffix("_bytes"))
        lines.append(f"  {title:6} {bar} {share:>5}: {bytes_text(used)} of {bytes_text(available)}")
    if verdict.latencies:
        lines.append(f"  latency: {'; '.join(map(str, verdict.latencies.values()))}")
    lines.append(f"  {verdict.basis}")
    if verdict.energy:
        lines.append(f"  energy: {verdict.energy} with the first of them")
    return lines


def memory_lines(report: CostReport, where: str) -> list[str]:
    """Where the bytes of a model lie."""
    from dse._util.units import bytes_text

    head, tail, host = map(bytes_text, (report.arena_head_bytes, report.arena_tail_bytes, report.arena_tail_bytes_host))
    lines = [f"arena: {head} head ({report.plan} plan) + {tail} tail {where} ({host} on a 64-bit host)"]
    if report.arena_starting_bytes > report.arena_head_bytes + report.arena_tail_bytes:
        lines.append(
            f"       but {bytes_text(report.arena_bytes)} while TFLM starts: its notes need more than the head"
        )
    lines.append(f"peak:  {report.peak_operator}, while these are alive:")
    lines += [f"       {bytes_text(size):>10}  {writer}" for writer, size in report.peak_tensors]
    if report.computed_in == "INT8" and report.inplace_bytes:
        lines.append(
            f"in place: {bytes_text(report.inplace_bytes)} with depthwise convolutions in place, "
            f"{bytes_text(report.fused_bytes)} with each bottleneck as one operation (TFLM's head: {head})"
        )
    lines.append(f"flash: {bytes_text(report.flash_bytes)}")
    return lines + [f"TFLM does not run it: {refusal}" for refusal in report.refusals]


def _show_boards(verdicts: list[Verdict]) -> None:
    """Many boards as one table, those first of whose memory the model makes most use."""
    from dse.cli.tables import echo_table

    def use(verdict: Verdict) -> float:
        used, available = next(iter(verdict.used.values()))
        return used / available

    rows = []
    for verdict in sorted(verdicts, key=lambda one: (not one.fits, -use(one) if one.fits else use(one))):
        shares = [f"{used / available:.0%}" for used, available in verdict.used.values()]
        fits = "yes" if verdict.fits else "does not run" if verdict.refusals else "no"
        took = verdict.latency.span if verdict.latency else "unknown"
        rows.append((verdict.board.name, fits, verdict.build.name, *shares, took))
    echo_table(("board", "fits", "build", "memory", "flash", "latency"), rows, texts=("board", "fits", "build"))


def _show_arena(cost: CostReport) -> None:
    from dse.cost.tflm.plans import map_lines, plans_of
    from dse.plots.arena import heading

    for plan in plans_of(cost.graph, cost.build):
        click.echo(f"{heading(plan)}; operators from left to right, bytes upwards:")
        for line in map_lines(plan):
            click.echo(f"  {line}")


def _show_parts(priced: Priced) -> None:
    from dse.cli.tables import echo_table

    def number(count: int) -> str:
        return f"{count:,}" if count else ""

    rows = [(part.name, part.kind, part.output, number(part.params), number(part.macs)) for part in priced.parts]
    rows.append(("total", "", "", f"{priced.report.params:,}", f"{priced.report.macs:,}"))
    texts = ("", "kind", "output")
    echo_table((*texts, "params", "MACs"), rows, title=priced.title, texts=texts, total=True, width=110)


def _space(space: Space, boards: list[Board], as_json: bool) -> None:
    from dse.screening.ranges import space_cost

    found = space_cost(space, boards)
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2))
        return
    click.echo(f"{found.space}: {found.networks} random networks of {found.images}")
    for cost, spread in found.ranges.items():
        click.echo(f"  {cost:12} {spread.smallest:>12,} to {spread.largest:>12,}, median {spread.median:,}")
    for board, value in found.fits.items():
        click.echo(f"  {value:.0%} fit {board}")
