"""Upper limits of what a network may cost: of one board, or of several of which one must be kept to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, cast

from dse.cost.metrics import BY_NAME, COSTS, by_board, figure
from dse.cost.tflm.build import MICROCONTROLLER, Build
from dse.cost.work import Work
from dse.errors import UnknownNameError
from dse.hardware.board_metrics import check_known, upper_end
from dse.hardware.boards import Board
from dse.hardware.builds import load_build

NO_BOARD = "any board"


class Cost(Protocol):
    """What a budget limits: it has an attribute for every metric that needs no board, the work for the others, and with
    another TFLM library another arena."""

    @property
    def work(self) -> Work: ...

    def on(self, build: Build) -> Cost: ...


@dataclass(frozen=True, init=False, slots=True)
class Budget:
    """Upper limits, by the names of the metrics that they limit; what has no limit is not in it."""

    by_name: Mapping[str, float]
    board: Board | None  # on which latency and energy are meant; None where no limit asks for one
    build: str  # the profile that is meant, where it is not the board's
    library: Build  # whose arena is meant; any board's where none is limited

    def __init__(self, board: Board | None = None, build: str = "", /, **limits: float | None) -> None:
        """Raises UnknownNameError for what is no metric, BoardError where a limit needs a board that knows it."""
        names = [metric.name for metric in COSTS]
        for name in limits:
            if name not in names:
                raise UnknownNameError("limit", name, names)
        given = {name: limit for name in names if (limit := limits.get(name)) is not None}
        check_known(given, [board] if board else [], build)
        needed = by_board(given)
        object.__setattr__(self, "by_name", given)
        object.__setattr__(self, "board", board if needed else None)
        object.__setattr__(self, "build", build if needed else "")
        library = board.library(build) if board and "arena_bytes" in given else MICROCONTROLLER
        object.__setattr__(self, "library", library)

    @classmethod
    def of_board(cls, board: Board, build: str = "", /, **limits: float | None) -> Budget:
        """What the board allows, and the user's own limits where they are stricter.

        `arena_bytes` among them limits the memory, so whatever takes it with the build profile: the board's, or one
        named. Raises BoardError where a limit is on what is not known of the board.
        """
        memory = (load_build(build) if build else board.build).memory
        given: dict[str, float] = {memory: board.arena_bytes, "flash_bytes": board.model_bytes}
        for name, limit in limits.items():
            if limit is not None:
                limited = memory if name == "arena_bytes" else name
                given[limited] = min(limit, given.get(limited, limit))
        return cls(board, build, **given)

    def limits(self) -> dict[str, float]:
        """The limits that are set, by the name of what they limit."""
        return dict(self.by_name)

    def value(self, cost: Cost, name: str) -> float:
        """What a limit is held against: on the board of the budget where it depends on one."""
        if self.board and BY_NAME[name].by_board:
            return upper_end(name, cost.work, self.board, self.build)
        return cast(float, getattr(cost.on(self.library), name))

    def violations(self, cost: Cost) -> dict[str, float]:
        """By how much every limit is broken, relative to it; negative where there is room."""
        return {name: self.value(cost, name) / limit - 1 for name, limit in self.by_name.items()}

    def excess(self, cost: Cost) -> float:
        """By how much the limit that is broken most is broken, relative to it; at most 0 when the network fits."""
        return max(self.violations(cost).values(), default=0.0)

    def exceeded_by(self, cost: Cost) -> list[str]:
        """One sentence for every limit that is broken; empty when the network fits."""
        return [
            f"{name} {figure(name, value)} > {figure(name, limit)}"
            for name, limit in self.by_name.items()
            if (value := self.value(cost, name)) > limit
        ]


@dataclass(frozen=True)
class Budgets:
    """One budget for every board of a search. A network is worth training when it keeps to one of them."""

    by_board: dict[str, Budget]

    @classmethod
    def of_boards(cls, boards: Iterable[Board], **limits: float | None) -> Budgets:
        """The budget of every board under the user's own limits; of the limits alone when there is no board.

        Raises BoardError where a limit is on what is not known of one of them.
        """
        found = {board.name: Budget.of_board(board, **limits) for board in boards}
        return cls(found or {NO_BOARD: Budget(**limits)})

    @property
    def libraries(self) -> tuple[Build, ...]:
        """Those whose arenas are meant, each once, the first board's first."""
        return tuple(dict.fromkeys(budget.library for budget in self.by_board.values()))

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

    def limits(self) -> dict[str, dict[str, float]]:
        """The limits that are set, by board."""
        return {name: budget.limits() for name, budget in self.by_board.items()}
