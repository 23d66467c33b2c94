"""What a cost means on a board: whether it fits and by how much, how long it takes, what that draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dse._util.units import bytes_text
from dse.cost.report import CostReport
from dse.hardware.boards import Board
from dse.hardware.budget import Budget
from dse.hardware.builds import BuildProfile, load_build
from dse.hardware.energy import EnergyRange, energy_range
from dse.hardware.latency import RUNTIMES, LatencyRange, describe, latency_range


@dataclass(frozen=True)
class Verdict:
    """One cost on one board."""

    cost: CostReport  # with the build profile
    board: Board
    build: BuildProfile
    left: dict[str, int]  # bytes of memory and flash that are left; negative where it does not fit
    latencies: dict[str, LatencyRange]  # by what was measured, that of the build profile first; empty for no data
    basis: str  # what stands behind the first latency, or why there is none
    energy: EnergyRange | None
    refusals: tuple[str, ...]  # why what runs there does not run it; empty where it does

    @property
    def fits(self) -> bool:
        """Whether it runs there, and memory and flash suffice."""
        return not self.refusals and min(self.left.values()) >= 0

    def __str__(self) -> str:
        """Whether it runs and fits, and by how much."""
        if self.refusals:
            others = f", and {len(self.refusals) - 1} more" if len(self.refusals) > 1 else ""
            return f"{self.board.name}: does not run with build {self.build.name}: {self.refusals[0]}{others}"
        parts = []
        for name, left in self.left.items():
            what = {"inplace_bytes": "memory in place"}.get(name, name.removesuffix("_bytes"))
            parts.append(f"{what} {bytes_text(abs(left))} {'left' if left >= 0 else 'too much'}")
        fits = "fits" if self.fits else "does not fit"
        return f"{self.board.name}: {fits}: {', '.join(parts)} (build {self.build.name})"

    @property
    def latency(self) -> LatencyRange | None:
        """That of its own build profile; None where nothing was measured."""
        return next(iter(self.latencies.values()), None)

    @property
    def used(self) -> dict[str, tuple[int, int]]:
        """Bytes of memory and flash that it takes, and that there are for it."""
        return {name: (getattr(self.cost, name), left + getattr(self.cost, name)) for name, left in self.left.items()}

    @property
    def over_by(self) -> dict[str, int]:
        """Bytes beyond each limit; 0 where there is room."""
        return {name: max(0, -left) for name, left in self.left.items()}

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: the cost, and what it means on this board."""
        first = self.latency
        return self.cost.to_dict() | {
            "board": self.board.name,
            "build": self.build.name,
            "fits": self.fits,
            "refusals": list(self.refusals),
            "over_by": self.over_by,
            "left": self.left,
            "latency_ms": _latency(first) if first else None,
            "latency_basis": self.basis,
            "latencies_ms": [_latency(one) for one in self.latencies.values()],
            "energy_mj": {"low": self.energy.low_mj, "high": self.energy.high_mj} if self.energy else None,
        }


def judge(
    cost: CostReport, board: Board, build: str = "", *, memory: float | None = None, flash: float | None = None
) -> Verdict:
    """The verdict on a board, with its own build profile unless another is named; within stricter limits of memory and
    flash, in bytes, where they are given."""
    profile = load_build(build) if build else board.build
    limits = Budget.of_board(board, build, arena_bytes=memory, flash_bytes=flash).limits()
    cost = cost.on(profile.library(board.core))
    found = {}
    for name in dict.fromkeys((profile.latency, *RUNTIMES)):
        if latency := latency_range(cost.work, board.core, board.clock_mhz.value, name):
            found[name] = latency
    reason = describe(board.core, profile.latency)
    if cost.computed_in != "INT8":
        found, reason = {}, f"no latency: it computes in {cost.computed_in.lower()}, and what was measured is int8"
    own = found.get(profile.latency)
    return Verdict(
        cost,
        board,
        profile,
        {name: int(limit) - getattr(cost, name) for name, limit in limits.items()},  # of a board: bytes
        found if own else {},
        reason,
        energy_range(own, board) if own else None,
        _refusals(cost, profile),
    )


def _refusals(cost: CostReport, profile: BuildProfile) -> tuple[str, ...]:
    if profile.engine == "tinyengine" and cost.computed_in != "INT8":
        return (f"TinyEngine computes in int8, and the model in {cost.computed_in.lower()}",)
    if profile.engine == "tinyengine" and cost.graph.others:
        return ("TinyEngine runs no file of several subgraphs",)
    return () if profile.engine == "linux" else cost.refusals


def _latency(latency: LatencyRange) -> dict[str, Any]:
    return {"low": latency.low_ms, "high": latency.high_ms, "runtime": latency.runtime}
