"""Energy of one inference, where a board's file gives volts and milliamperes with their sources."""

from __future__ import annotations

from dataclasses import dataclass

from dse._util.units import millijoules_text
from dse.hardware.boards import Board
from dse.hardware.latency import LatencyRange


@dataclass(frozen=True, slots=True)
class EnergyRange:
    """Between which millijoules one inference takes."""

    low_mj: float
    high_mj: float

    def __str__(self) -> str:
        return f"{millijoules_text(self.low_mj)} to {millijoules_text(self.high_mj)}"


def energy_range(latency: LatencyRange, board: Board) -> EnergyRange | None:
    """Millijoules of one inference: latency x volts x amperes; None for a board whose file lacks one of the two.

    It is as good as the current: where the file gives a peak, both ends are upper bounds. Sleep, camera and radio are
    not in it.
    """
    if board.supply_volts is None or board.active_milliamps is None:
        return None
    watts = board.supply_volts.value * board.active_milliamps.value / 1e3
    return EnergyRange(latency.low_ms * watts, latency.high_ms * watts)
