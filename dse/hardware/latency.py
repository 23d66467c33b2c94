"""Latency of a network on a core with a runtime: a range, never a point.

It is modelled, not measured: `latency_fit.py` fits published measurements of other networks, and `SPREAD` says how
far boards that were left out lay from it. What no figure here knows: the compiler's options (with reference kernels
they weigh more than the core), caches, tightly coupled memory, wait states of flash, external memory, time spent on
camera and radio, and engines that drop filters that are all zero. No nRF52840 and no i.MX RT1060 is among the boards,
so every figure for those is modelled from other boards with the same core.
"""

from __future__ import annotations

from dataclasses import dataclass

from dse._util.units import milliseconds_text
from dse.cost.work import Work
from dse.hardware.boards import Board
from dse.hardware.builds import load_build
from dse.hardware.latency_fit import ALIKE, published_fit

RUNTIMES = {
    "tflm": "TFLM with its reference kernels",
    "tflm-cmsis-nn": "TFLM, or another runtime, with the kernels of CMSIS-NN",
    "vendor": "an optimised engine: STM32Cube.AI, Plumerai, HALE, TinyEngine, ESP-NN",
}
# Measured over predicted on boards left out of the fit. It held 80 % of the held-out measurements of every core, the
# worst core (Cortex-M4) setting the width. `python -m benchmarks.latency_check` prints them; a test fits and compares.
# The widths differ because the families do: "vendor" holds engines of three years, "tflm-cmsis-nn" an old TFLM that
# took twice as long as the rest. "tflm" on Arm stands on two boards only; each is off by more than a factor of 2
# without the other.
SHARE = 0.8
SPREAD = {"tflm": (0.44, 2.27), "tflm-cmsis-nn": (0.79, 1.94), "vendor": (0.7, 1.34)}


@dataclass(frozen=True, slots=True)
class LatencyRange:
    """Between which milliseconds one inference takes, in 80 % of what was left out of the fit."""

    low_ms: float
    high_ms: float
    runtime: str

    @property
    def span(self) -> str:
        """From when to when, as text."""
        return f"{milliseconds_text(self.low_ms)} to {milliseconds_text(self.high_ms)}"

    def __str__(self) -> str:
        return f"{self.span} ({self.runtime})"


def latency_range(work: Work, core: str, clock_mhz: float, runtime: str) -> LatencyRange | None:
    """Milliseconds of one inference, from low to high; None where no measurement supports it (`describe` says why).

    The range held 80 % of the published measurements of every core when their board was left out of the fit. For a core
    of which only one board was measured (cortex-m0plus, cortex-m85, esp32, esp32-s3) that could not be tried: the width
    is that of the other cores. Nothing before and after the network is in it.

    >>> print(latency_range(Work(conv_macs=5_000_000, kernel_outputs=100_000), "cortex-m7", 216, "vendor"))
    21.3 ms to 40.8 ms (vendor)
    >>> latency_range(Work(conv_macs=5_000_000), "cortex-a72", 1800, "") is None
    True
    """
    if runtime not in RUNTIMES:
        return None
    cycles = published_fit().cycles(work, core, runtime)
    if cycles is None:
        return None
    low, high = SPREAD[runtime]
    milliseconds = cycles / clock_mhz / 1e3
    return LatencyRange(milliseconds * low, milliseconds * high, runtime)


def board_latency(work: Work, board: Board, build: str = "") -> LatencyRange | None:
    """`latency_range` on a board with its own build profile, unless another is named."""
    profile = load_build(build) if build else board.build
    return latency_range(work, board.core, board.clock_mhz.value, profile.latency)


def describe(core: str, runtime: str) -> str:
    """Which measurements stand behind a latency, or why there is none; one line.

    >>> describe("cortex-a72", "")
    'no latency: what runs there was not measured; measured: tflm, tflm-cmsis-nn, vendor'
    """
    if runtime not in RUNTIMES:
        return f"no latency: what runs there was not measured; measured: {', '.join(RUNTIMES)}"
    fit = published_fit()
    if not fit.supports(core, runtime):
        cores = sorted({one.core for one in fit.measurements if one.runtime == runtime})
        return f"no latency: {runtime} was measured on {', '.join(cores)}, and {core!r} is like none of them"
    here = fit.measured(core, runtime)
    some = here or tuple(one for one in fit.measurements if one.runtime == runtime and one.core in ALIKE)
    boards = sorted({one.board for one in some})
    what = f"{len(some)} measurement{'s' * (len(some) > 1)} of {RUNTIMES[runtime]} on {', '.join(boards)}"
    if here:
        return f"modelled: {core} and {runtime} from {what}; any other board with this core is scaled by its clock"
    return f"modelled: {runtime} was not measured on {core}; scaled to it from {what}"
