"""Upper limits of what a network may cost: of one board, or of several of which one must be kept to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Protocol

from dse.hardware.boards import Board

NO_BOARD = "any board"


def memory_of(runtime: str) -> str:
    """The cost that a board's memory limits with a runtime.

    >>> memory_of("tinyengine"), memory_of("tflm")
    ('inplace_bytes', 'arena_bytes')
    """
    return "inplace_bytes" if runtime == "tinyengine" else "arena_bytes"


class Cost(Protocol):
    """What a budget limits."""

    @property
    def params(self) -> int: ...
    @property
    def macs(self) -> int: ...
    @property
    def arena_bytes(self) -> int: ...
    @property
    def flash_bytes(self) -> int: ...
    @property
    def inplace_bytes(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Budget:
    """Upper limits; None is no limit."""

    params: int | None = None
    macs: int | None = None
    arena_bytes: int | None = None
    flash_bytes: int | None = None
    inplace_bytes: int | None = None

    @classmethod
    def of_board(cls, board: Board, runtime: str = "", **limits: int | None) -> Budget:
        """What the board allows, and the user's own limits where they are stricter.

        `arena_bytes` among them limits the memory, so whatever takes it with the runtime: the board's, or one named.
        """
        memory = memory_of(runtime or board.runtime)
        given = {memory: board.arena_bytes, "flash_bytes": board.model_bytes}
        for name, limit in limits.items():
            if limit is not None:
                limited = memory if name == "arena_bytes" else name
                given[limited] = min(limit, given.get(limited, limit))
        return cls(**given)

    def limits(self) -> dict[str, int]:
        """The limits that are set, by the name of what they limit."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}

    def violations(self, cost: Cost) -> dict[str, float]:
        """By how much every limit is broken, relative to it; negative where there is room."""
        return {name: getattr(cost, name) / limit - 1 for name, limit in self.limits().items()}

    def excess(self, cost: Cost) -> float:
        """By how much the limit that is broken most is broken, relative to it; at most 0 when the network fits."""
        return max(self.violations(cost).values(), default=0.0)

    def exceeded_by(self, cost: Cost) -> list[str]:
        """One sentence for every limit that is broken; empty when the network fits."""
        return [
            f"{name} {getattr(cost, name):,} > {limit:,}"
            for name, limit in self.limits().items()
            if getattr(cost, name) > limit
        ]


@dataclass(frozen=True)
class Budgets:
    """One budget for every board of a search. A network is worth training when it keeps to one of them."""

    by_board: dict[str, Budget]

    @classmethod
    def of_boards(cls, boards: Iterable[Board], **limits: int | None) -> Budgets:
        """The budget of every board under the user's own limits; of the limits alone when there is no board."""
        found = {board.name: Budget.of_board(board, board.runtime, **limits) for board in boards}
        return cls(found or {NO_BOARD: Budget(**limits)})

    def nearest(self, cost: Cost) -> str:
        """The board whose budget is kept to with most room, or broken least."""
        return min(self.by_board, key=lambda name: self.by_board[name].excess(cost))

    def violations(self, cost: Cost) -> dict[str, float]:
        """Those of the nearest board's budget."""
        return self.by_board[self.nearest(cost)].violations(cost)

    def excess(self, cost: Cost) -> float:
        """That of the nearest board's budget."""
        return self.by_board[self.nearest(cost)].excess(cost)

    def exceeded_by(self, cost: Cost) -> list[str]:
        """What is broken of the nearest board's budget; empty when the network fits one of the boards."""
        name = self.nearest(cost)
        of_board = f" of {name}" if len(self.by_board) > 1 else ""
        return [reason + of_board for reason in self.by_board[name].exceeded_by(cost)]

    def limits(self) -> dict[str, dict[str, int]]:
        """The limits that are set, by board."""
        return {name: budget.limits() for name, budget in self.by_board.items()}
