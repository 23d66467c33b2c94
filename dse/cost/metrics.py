"""What is known of a network in numbers: one row for each, from which everything that lists costs follows.

Objectives and their directions, limits and their options, the values that a trial records, columns of tables, panels of
plots and targets of pruning are all read from METRICS. To add a metric write its row, and compute it: a cost of the
network alone is a field of `CostReport` and of `SectionCost`; one that depends on a board has a function in
`dse.hardware.board_metrics`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from dse._util.units import BYTES, COUNT, MILLIJOULES, MILLISECONDS, SHARE, Unit

Direction = Literal["minimize", "maximize"]
Drawn = Literal["always", "screening", "asked", "never"]


@dataclass(frozen=True, slots=True)
class Limit:
    """The option that limits a metric, as its Python name, and what the help says of it."""

    option: str
    help: str


@dataclass(frozen=True, slots=True)
class Metric:
    """One number that is known of a network. Whatever has a limit, and accuracy, may be an objective."""

    name: str  # in YAML and JSON, and the attribute of a cost; with its unit
    title: str  # of a column
    unit: Unit
    direction: Direction = "minimize"
    limit: Limit | None = None
    recorded: bool = False  # with every trial
    by_board: bool = False  # it depends on a board and its runtime, and is the upper end of a range
    part: bool = False  # of another metric: nothing that is chosen by
    # always: in every plot of a front and of a screening; asked: where a limit, or a value of a trial, asks for it
    drawn: Drawn = "never"
    panel: int = 0  # its place among the panels of a plot
    axis: str = ""  # the label there
    scale: float = 1.0  # by which values are divided there
    pruned: str = ""  # what pruning counts down to a limit; empty where that is no target of pruning

    @property
    def is_objective(self) -> bool:
        """Whether a task may name it among its objectives."""
        return self.limit is not None or self.name == ACCURACY


ACCURACY = "accuracy"
METRICS = (
    Metric(ACCURACY, "accuracy", SHARE, "maximize"),
    Metric(
        "params", "params", COUNT, limit=Limit("max_params", "Most parameters, such as 200k."), recorded=True,
        drawn="always", panel=4, axis="parameters (thousands)", scale=1e3, pruned="parameters",
    ),
    Metric(
        "macs", "MACs", COUNT, limit=Limit("max_macs", "Most multiply-accumulates, such as 10M."), recorded=True,
        drawn="always", panel=3, axis="MACs (millions)", scale=1e6, pruned="MACs",
    ),
    Metric(
        "arena_bytes", "arena", BYTES,
        limit=Limit("max_memory", "Largest arena, such as 128KiB; on a board without one, most memory."),
        recorded=True, drawn="always", panel=1, axis="arena (KiB)", scale=1024.0, pruned="bytes of arena",
    ),
    Metric("arena_head_bytes", "arena head", BYTES, recorded=True, part=True),
    Metric("arena_tail_bytes", "arena tail", BYTES, recorded=True, part=True),
    # In the place of the arena on a board whose engine has none.
    Metric("inplace_bytes", "in place", BYTES, drawn="asked", panel=5, axis="memory in place (KiB)", scale=1024.0),
    Metric("fused_bytes", "fused", BYTES),
    Metric(
        "flash_bytes", "flash", BYTES, limit=Limit("max_flash", "Largest model file, such as 500kB."), recorded=True,
        drawn="screening", panel=2, axis="file (KiB)", scale=1024.0,
    ),
    Metric(
        "latency_ms", "latency", MILLISECONDS,
        limit=Limit("max_latency", "Longest inference on a board, at the upper end of its range, such as 100ms."),
        by_board=True, drawn="asked", panel=6, axis="latency (ms)",
    ),
    Metric(
        "energy_mj", "energy", MILLIJOULES,
        limit=Limit("max_energy", "Most energy of one inference, at the upper end of its range, such as 5mJ."),
        by_board=True, drawn="asked", panel=7, axis="energy (mJ)",
    ),
)  # fmt: skip
BY_NAME = {metric.name: metric for metric in METRICS}
DIRECTIONS: dict[str, Direction] = {metric.name: metric.direction for metric in METRICS}
OBJECTIVES = tuple(metric.name for metric in METRICS if metric.is_objective)
COSTS = tuple(metric for metric in METRICS if metric.name != ACCURACY)
LIMITED = tuple(metric for metric in METRICS if metric.limit)  # those with an option
LIMITED_COSTS = tuple(metric for metric in LIMITED if not metric.by_board)  # of them, those of the network alone
RECORDED = tuple(metric.name for metric in METRICS if metric.recorded)


def text_of(name: str, value: float) -> str:
    """A value of a metric as a person reads it.

    >>> text_of("arena_bytes", 65536), text_of("latency_ms", 491.2), text_of("accuracy", 0.7)
    ('64.0 KiB', '491 ms', '70.00%')
    """
    return BY_NAME[name].unit.text(value)


def figure(name: str, value: float) -> str:
    """A value of a metric in full, in the unit that its name has.

    >>> figure("arena_bytes", 65536), figure("latency_ms", 1491.25)
    ('65,536', '1,491.25')
    """
    return BY_NAME[name].unit.figure(value)


def by_board(names: Iterable[str]) -> list[str]:
    """Those of these metrics that depend on a board, in the order of the table.

    >>> by_board(["energy_mj", "macs", "latency_ms", "latency_ms"])
    ['latency_ms', 'energy_mj']
    """
    wanted = set(names)
    return [metric.name for metric in METRICS if metric.by_board and metric.name in wanted]
