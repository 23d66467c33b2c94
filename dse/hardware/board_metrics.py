"""Costs that depend on a board and what runs there: latency and energy of one inference.

Both are ranges. What is limited, recorded and traded is the upper end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from typing import cast

import numpy as np

from dse.cost.metrics import by_board
from dse.cost.work import Work
from dse.errors import BoardError
from dse.hardware.boards import Board, list_boards, load_board
from dse.hardware.builds import load_build
from dse.hardware.energy import energy_range
from dse.hardware.latency import board_latency, describe

WORK = tuple(field.name for field in fields(Work))


def _latency(work: Work, board: Board, build: str) -> float | None:
    latency = board_latency(work, board, build)
    return latency.high_ms if latency else None


def _energy(work: Work, board: Board, build: str) -> float | None:
    latency = board_latency(work, board, build)
    energy = energy_range(latency, board) if latency else None
    return energy.high_mj if energy else None


UPPER_ENDS: dict[str, Callable[[Work, Board, str], float | None]] = {"latency_ms": _latency, "energy_mj": _energy}


def upper_end(name: str, work: Work, board: Board, build: str = "") -> float:
    """The upper end of a metric's range on a board, with its own build profile unless another is named.

    Raises BoardError where nothing is known of it.
    """
    value = UPPER_ENDS[name](work, board, build)
    if value is None:
        raise BoardError(f"cannot give {name} on {board.name} because {_why(name, board, build)}; {_known(name)}")
    return value


def upper_ends(name: str, works: np.ndarray, board: Board, build: str = "") -> np.ndarray:
    """`upper_end` for many, (count,); `works` is (count, len(WORK)). Raises BoardError.

    Every range is linear in the work.
    """
    per_unit = [upper_end(name, replace(Work(), **{kind: 1}), board, build) for kind in WORK]
    return cast(np.ndarray, works @ np.array(per_unit))


def is_known(name: str, board: Board, build: str = "") -> bool:
    """Whether there are figures for a metric on a board."""
    return UPPER_ENDS[name](Work(), board, build) is not None


def check_known(names: Iterable[str], boards: Iterable[Board], build: str = "") -> None:
    """Raises BoardError where one of these metrics depends on a board and there is none, or one without figures."""
    boards = list(boards)
    for name in by_board(names):
        if not boards:
            raise BoardError(f"cannot give {name} without a board because it depends on one; {_known(name)}")
        for board in boards:
            upper_end(name, Work(), board, build)


def _why(name: str, board: Board, build: str) -> str:
    if name != "latency_ms" and is_known("latency_ms", board, build):
        return "its file gives no supply_volts and active_milliamps"
    return describe(board.core, (load_build(build) if build else board.build).latency).removeprefix("no latency: ")


def _known(name: str) -> str:
    boards = [load_board(str(path)) for path in list_boards()]
    return f"boards that know it: {', '.join(board.name for board in boards if is_known(name, board)) or 'none'}"
