"""dse compare."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING

import click

from dse.cli.limits import BUILD

if TYPE_CHECKING:
    from dse.cli.priced import Part, Priced
    from dse.hardware.boards import Board
    from dse.hardware.verdict import Verdict

SIDES = ("first", "second")
AROUND = 1  # equal rows that are shown before and behind a difference
MOST_ALIGNED = 1000  # parts; of more, one is held against the other by its number alone
FIGURES = {
    "params": "parameters",
    "macs": "MACs",
    "arena_head_bytes": "arena, head",
    "arena_tail_bytes": "arena, tail",
    "arena_bytes": "arena",
    "flash_bytes": "flash",
}
Pair = tuple["Part | None", "Part | None"]


@click.command("compare")
@click.argument("first")
@click.argument("second")
@click.option("--board", "boards", multiple=True, help="On this board too. May be given several times.")
@BUILD
@click.option("--all", "everything", is_flag=True, help="Operators in which they are equal too.")
@click.option("--json", "as_json", is_flag=True, help="One object instead of tables.")
def command(
    first: str, second: str, boards: tuple[str, ...], build: str | None, everything: bool, as_json: bool
) -> None:
    """Show two models side by side: what each costs, and where their operators differ.

    FIRST and SECOND are what dse cost takes: a model (.tflite, a C array, .keras), a candidate, a reference network.

    \b
    Example:
      dse compare before.tflite after.tflite --board nano33ble
    """
    from dse.cli.priced import Priced, price
    from dse.errors import DseError
    from dse.hardware.boards import load_boards
    from dse.hardware.verdict import judge

    named = load_boards(boards, build)
    models: list[Priced] = []
    for what in (first, second):
        priced = price(what, quiet=as_json)
        if not isinstance(priced, Priced):
            raise DseError(f"{what} is a space of many networks; expected one network")
        models.append(priced)
    pairs = list(aligned(*models))
    if as_json:
        bodies = [
            model.key | model.report.to_dict() | {"boards": [judge(model.report, board).to_dict() for board in named]}
            for model in models
        ]
        operators = [[part and part._asdict() for part in pair] for pair in pairs]
        click.echo(json.dumps({"models": bodies, "operators": operators}, indent=2))
        return
    _show_figures(models, list(_verdicts(models, named)))
    _show_pairs(pairs, everything)


def aligned(first: Priced, second: Priced) -> Iterator[Pair]:
    """The parts of both in their order, side by side where they are equal or stand in each other's place."""
    if max(len(first.parts), len(second.parts)) > MOST_ALIGNED:
        yield from zip_longest(first.parts, second.parts)
        return
    before, after = ([_text(part) for part in model.parts] for model in (first, second))
    for _, a, b, c, d in difflib.SequenceMatcher(a=before, b=after, autojunk=False).get_opcodes():
        yield from zip_longest(first.parts[a:b], second.parts[c:d])


def _verdicts(models: list[Priced], boards: list[Board]) -> Iterator[tuple[str, ...]]:
    """Rows about boards: does each fit, and how long does it take."""
    from dse.hardware.verdict import judge

    for board in boards:
        verdicts = [judge(model.report, board) for model in models]
        yield (board.name, *map(_fits, verdicts), "")
        times = [verdict.latency for verdict in verdicts]
        yield (f"{board.name}, latency", *(one.span if one else "unknown" for one in times), "")


def _fits(verdict: Verdict) -> str:
    if verdict.refusals:
        return "does not run"
    shares = ", ".join(
        f"{used / available:.0%} of {name.removesuffix('_bytes')}" for name, (used, available) in verdict.used.items()
    )
    return f"{'fits' if verdict.fits else 'does not fit'}: {shares}"


def _show_figures(models: list[Priced], verdicts: list[tuple[str, ...]]) -> None:
    from dse.cli.tables import echo_table

    rows: list[tuple[str, ...]] = []
    for name, title in FIGURES.items():
        one, other = (getattr(model.report, name) for model in models)
        change = (
            f"{other - one:+,} ({(other - one) / one:+.1%})" if one and other != one else "new" if other != one else ""
        )
        rows.append((title, f"{one:,}", f"{other:,}", change))
    rows.append(("operators", *(str(len(model.parts)) for model in models), ""))
    rows.append(("computes in", *(model.report.computed_in.lower() for model in models), ""))
    for title, model in zip(SIDES, models, strict=True):
        click.echo(f"{title}: {model.title}")
    echo_table(("", *SIDES, "difference"), rows + verdicts, texts=("",), width=140)


def _show_pairs(pairs: list[Pair], everything: bool) -> None:
    from dse.cli.tables import echo_table

    equal = [bool(a and b and _text(a) == _text(b)) for a, b in pairs]
    if all(equal) and not everything:
        click.echo("operator by operator the same")
        return
    shown = [everything or not all(equal[max(0, index - AROUND) : index + AROUND + 1]) for index in range(len(pairs))]
    rows: list[tuple[str, ...]] = []
    left_out = 0
    for pair, same, visible in zip(pairs, equal, shown, strict=True):
        if not visible:
            left_out += 1
            continue
        if left_out:
            rows.append(_gap(left_out))
            left_out = 0
        rows.append(("" if same else "*", *_cells(pair[0]), *_cells(pair[1])))
    if left_out:
        rows.append(_gap(left_out))
    columns = ("", SIDES[0], "output", "MACs", SIDES[1], "output", "MACs")
    echo_table(columns, rows, texts=("", *SIDES, "output"), width=140)


def _gap(count: int) -> tuple[str, ...]:
    return ("", f"... {count} equal", "", "", "", "", "")


def _text(part: Part) -> str:
    """All of a part but its name."""
    return " ".join(map(str, part[1:]))


def _cells(part: Part | None) -> tuple[str, str, str]:
    return (part.kind, part.output, f"{part.macs:,}" if part.macs else "") if part else ("", "", "")
