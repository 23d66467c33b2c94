"""dse boards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dse.hardware.boards import Board


@click.command("boards")
@click.argument("text", required=False, default="")
@click.option("--core", default="", help="Only those with this core, such as cortex-m4; a part of its name will do.")
@click.option("--min-memory", help="Only those that leave a model at least so much memory, such as 128KiB.")
@click.option("--min-flash", help="Only those that leave a model at least so much flash, such as 500kB.")
@click.option("--json", "as_json", is_flag=True, help="A list of objects instead of a table.")
def command(text: str, core: str, min_memory: str | None, min_flash: str | None, as_json: bool) -> None:
    """List the boards that ship with dse, least memory first; with TEXT those whose name or title has it.

    Memory and flash are what is left for a model. Files of your own look like theirs: objectives/boards/*.yaml has a
    source for every figure.

    \b
    Example:
      dse boards stm32 --min-memory 256KiB
    """
    from dse._util.units import bytes_text, parse_bytes
    from dse.cli.tables import echo_table
    from dse.errors import DseError
    from dse.hardware.boards import ALL, load_boards

    memory, flash = (parse_bytes(given) if given else 0 for given in (min_memory, min_flash))
    found = [
        board
        for board in load_boards([ALL])
        if text.lower() in f"{board.name} {board.title}".lower()
        and core.lower() in board.core
        and board.arena_bytes >= memory
        and board.model_bytes >= flash
    ]
    if not found:
        raise DseError("no board that ships with dse is like that; 'dse boards' lists all")
    found.sort(key=lambda board: (board.arena_bytes, board.name))
    if as_json:
        click.echo(json.dumps([_row(board) for board in found], indent=2))
        return
    rows = [
        (
            board.name, board.core, f"{board.clock_mhz.value}", bytes_text(board.arena_bytes),
            bytes_text(board.model_bytes), board.build.name, board.title,
        )
        for board in found
    ]  # fmt: skip
    columns = ("board", "core", "MHz", "memory", "flash", "build", "title")
    echo_table(columns, rows, texts=("board", "core", "build", "title"), width=150)


def _row(board: Board) -> dict[str, object]:
    return {
        "name": board.name,
        "title": board.title,
        "core": board.core,
        "clock_mhz": board.clock_mhz.value,
        "memory_bytes": board.arena_bytes,
        "flash_bytes": board.model_bytes,
        "builds": board.builds or [board.runtime],
    }
