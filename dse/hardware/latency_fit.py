"""Cycles of a network on a core, fitted on published measurements: the arithmetic behind `dse/hardware/latency.py`.

    cycles = slowness of the core x (a x MACs of kernels + b x MACs of fully connected + c x values written)

with a, b, c of each runtime and one slowness of each core, Cortex-M4 being 1. `python -m benchmarks.latency_check`
compares it with other coefficients on boards that were left out: MACs alone are off by about twice as much; those of
each core's own are no better, and give nothing to a core that a runtime was not measured on; a coefficient of their
own for depthwise MACs changes nothing, and one for the values of elementwise operators cannot be told from what was
measured, so a value written costs the same whoever writes it. Depthwise kernels are slow because they write a value
after few MACs, and c sees that. Coefficients stand nowhere: they are fitted when first asked for, in a few
milliseconds.
"""

from __future__ import annotations

import csv
import itertools
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from dse.cost.work import Work

MEASUREMENTS = Path(__file__).with_name("latency_measurements.csv")
REFERENCE_CORE = "cortex-m4"
# Cores with the DSP extension, for which one set of int8 kernels is written. Only among these does a core's slowness
# carry over from one runtime to another; a Cortex-M0+ (no DSP), a Cortex-M85 (Helium) and an Xtensa have other kernels.
ALIKE = frozenset({"cortex-m4", "cortex-m7", "cortex-m33"})
ROUNDS = 40  # at most; it settles in about ten


@dataclass(frozen=True, slots=True)
class Measurement:
    """One published latency of a network, or of one operator, with where it was published."""

    model: str
    board: str
    core: str
    clock_mhz: float
    runtime: str  # the family: tflm, tflm-cmsis-nn or vendor
    runtime_name: str
    version: str  # empty where it was not published
    latency_ms: float
    work: Work
    source: str
    note: str = ""

    @property
    def cycles(self) -> float:
        """Clock cycles that it took."""
        return self.latency_ms * self.clock_mhz * 1e3

    @property
    def kernels(self) -> str:
        """Which kernels it ran."""
        return kernels_of(self.core, self.runtime)


Columns = Callable[[Work], tuple[float, ...]]  # the sums that have a coefficient of their own


def one_column(work: Work) -> tuple[float, ...]:
    """MACs and values written in one sum, because two measurements carry one coefficient.

    Reference kernels spend their time on MACs: values written are 3 and 6 % of this sum in what was measured.
    """
    return (
        work.conv_macs + work.depthwise_macs + work.fully_connected_macs + work.kernel_outputs + work.other_outputs,
    )


def two_columns(work: Work) -> tuple[float, ...]:
    """All MACs alike, for what has no fully connected network among its measurements."""
    macs = work.conv_macs + work.depthwise_macs + work.fully_connected_macs
    return macs, work.kernel_outputs + work.other_outputs


def three_columns(work: Work) -> tuple[float, ...]:
    """Fully connected apart: it uses every weight once, and waits for flash."""
    macs = work.conv_macs + work.depthwise_macs
    return macs, work.fully_connected_macs, work.kernel_outputs + work.other_outputs


def kernels_of(core: str, runtime: str) -> str:
    """Which kernels run, and so which coefficients hold: those of a runtime on Arm, or those of the ESP32."""
    return "tflm on esp32" if (core, runtime) == ("esp32", "tflm") else runtime


COLUMNS: dict[str, Columns] = {
    "tflm": one_column,
    "tflm on esp32": two_columns,
    "tflm-cmsis-nn": three_columns,
    "vendor": three_columns,
}


@dataclass(frozen=True)
class Fit:
    """Coefficients, and what they were fitted on."""

    cycles_per: dict[str, tuple[float, ...]]  # of each set of kernels, in the order of its columns
    slowness: dict[str, float]  # of each core: its cycles for the same work, a Cortex-M4 being 1
    measurements: tuple[Measurement, ...]
    columns: dict[str, Columns]

    def measured(self, core: str, runtime: str) -> tuple[Measurement, ...]:
        """The measurements of a core with a runtime."""
        return tuple(one for one in self.measurements if (one.core, one.runtime) == (core, runtime))

    def supports(self, core: str, runtime: str) -> bool:
        """Whether the core was measured with the runtime, or is like a core that was."""
        if self.measured(core, runtime):
            return True
        runs_on = {one.core for one in self.measurements if one.runtime == runtime}
        return core in ALIKE and core in self.slowness and bool(runs_on & ALIKE)

    def cycles(self, work: Work, core: str, runtime: str) -> float | None:
        """Clock cycles of some work; None where no measurement supports an answer."""
        if not self.supports(core, runtime):
            return None
        kernels = kernels_of(core, runtime)
        sums = self.columns[kernels](work)
        return self.slowness[core] * math.fsum(map(math.prod, zip(sums, self.cycles_per[kernels], strict=True)))


def non_negative_least_squares(matrix: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """The x >= 0 with the least |matrix x - target|^2: the best among all sets of columns that need no negative x.

    Exact, because the optimum is the plain least squares solution on the columns where it is positive.
    """
    num_columns = matrix.shape[1]
    gram, moments = matrix.T @ matrix, matrix.T @ target
    best, least = np.zeros(num_columns), 0.0
    for size in range(1, num_columns + 1):
        for kept in itertools.combinations(range(num_columns), size):
            index = list(kept)
            try:
                x = np.linalg.solve(gram[np.ix_(index, index)], moments[index])
            except np.linalg.LinAlgError:  # columns that cannot be told apart: a smaller set does as well
                continue
            # |Ax - b|^2 less |b|^2, which is -x.A'b at a least squares solution
            if (x >= 0).all() and (residual := -float(x @ moments[index])) < least:
                best, least = np.zeros(num_columns), residual
                best[index] = x
    return best


def fit(measurements: Sequence[Measurement], columns: Mapping[str, Columns] = COLUMNS) -> Fit:
    """Coefficients with the least squares of relative errors, a core's slowness being the median over its rows.

    Both are found in turn until neither moves. The median keeps one slow build of a runtime from slowing its core. A
    core that shares its kernels with no other has a slowness of 1: its coefficients say all.
    """
    rows: dict[str, list[Measurement]] = defaultdict(list)
    for one in measurements:
        rows[one.kernels].append(one)
    systems = {kernels: _System.of(some, columns[kernels]) for kernels, some in rows.items()}
    shared = {core for system in systems.values() if len(cores := set(system.cores)) > 1 for core in cores}
    slowness = {one.core: 1.0 for one in measurements}
    for _ in range(ROUNDS):
        ratios: dict[str, list[float]] = defaultdict(list)
        for system in systems.values():
            for core, share in zip(system.cores, system.solve(slowness), strict=True):
                if core in shared and share > 0:
                    ratios[core].append(-math.log(share))
        now = slowness | {core: math.exp(statistics.median(values)) for core, values in ratios.items()}
        unit = now.get(REFERENCE_CORE) or next(iter(now.values()), 1.0)
        now = {core: value / unit if core in shared else 1.0 for core, value in now.items()}
        settled = all(math.isclose(slowness[core], value, rel_tol=1e-5) for core, value in now.items())
        slowness = now
        if settled:
            break
    for system in systems.values():
        system.solve(slowness)
    cycles_per = {kernels: tuple((system.found / system.sizes).tolist()) for kernels, system in systems.items()}
    return Fit(cycles_per, slowness, tuple(measurements), dict(columns))


@dataclass(slots=True)
class _System:
    """The equations of one set of kernels: coefficients times `relative` is predicted over measured, wanted is 1."""

    cores: list[str]
    relative: NDArray[np.float64]  # a row for each measurement, a column for each coefficient
    sizes: NDArray[np.float64]  # what columns were divided by, so that they are of about one size
    found: NDArray[np.float64]

    @classmethod
    def of(cls, measurements: Sequence[Measurement], columns: Columns) -> _System:
        features = np.array([columns(one.work) for one in measurements], float)
        sizes = np.maximum(features.max(axis=0), 1.0)
        cycles = np.array([one.cycles for one in measurements])
        return cls([one.core for one in measurements], features / sizes / cycles[:, None], sizes, np.zeros(len(sizes)))

    def solve(self, slowness: Mapping[str, float]) -> list[float]:
        """The predicted share of each measurement's cycles, before its core's slowness."""
        scale = np.array([slowness[core] for core in self.cores])
        self.found = non_negative_least_squares(self.relative * scale[:, None], np.ones(len(scale)))
        return cast("list[float]", (self.relative @ self.found).tolist())


@cache
def published() -> tuple[Measurement, ...]:
    """The measurements that ship with dse."""
    names = [field.name for field in fields(Work)]
    with MEASUREMENTS.open(encoding="utf-8", newline="") as file:
        return tuple(
            Measurement(
                model=row["model"],
                board=row["board"],
                core=row["core"],
                clock_mhz=float(row["clock_mhz"]),
                runtime=row["runtime"],
                runtime_name=row["runtime_name"],
                version=row["version"],
                latency_ms=float(row["latency_ms"]),
                work=Work(**{name: int(row[name]) for name in names}),
                source=row["source"],
                note=row["note"],
            )
            for row in csv.DictReader(file)
        )


@cache
def published_fit() -> Fit:
    """The fit on all of them."""
    return fit(published())
