"""How far the latency model is off on boards that it has not seen: `python -m benchmarks.latency_check` prints it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from dse.cost.work import Work
from dse.hardware.latency import RUNTIMES, SHARE, SPREAD
from dse.hardware.latency_fit import COLUMNS, Columns, Measurement, fit, published, three_columns, two_columns


@dataclass(frozen=True)
class HeldOut:
    """A measurement, and what was predicted of it from all boards but its own."""

    measurement: Measurement
    middle_ms: float  # what the fit says, before the range is laid around it

    @property
    def low_ms(self) -> float:
        return self.middle_ms * SPREAD[self.measurement.runtime][0]

    @property
    def high_ms(self) -> float:
        return self.middle_ms * SPREAD[self.measurement.runtime][1]

    @property
    def error(self) -> float:
        """Predicted over measured, less 1."""
        return self.middle_ms / self.measurement.latency_ms - 1

    @property
    def inside(self) -> bool:
        return self.low_ms <= self.measurement.latency_ms <= self.high_ms


def leave_one_board_out(columns: dict[str, Columns] = COLUMNS, *, each_core_alone: bool = False) -> list[HeldOut]:
    """Every measurement whose core, or one like it, was measured on another board, predicted without its board."""
    rows = []
    everything = published()
    for board in sorted({one.board for one in everything}):
        others = [one for one in everything if one.board != board]
        for core in sorted({one.core for one in everything if one.board == board}):
            without = fit([one for one in others if one.core == core or not each_core_alone], columns)
            for one in everything:
                if (one.board, one.core) == (board, core):
                    cycles = without.cycles(one.work, one.core, one.runtime)
                    if cycles is not None:
                        rows.append(HeldOut(one, cycles / one.clock_mhz / 1e3))
    return rows


def spread(rows: Iterable[HeldOut], runtime: str) -> tuple[float, float]:
    """The range of measured over predicted that held at least SHARE of the held-out measurements of every core."""
    ratios: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row.measurement.runtime == runtime:
            ratios[row.measurement.core].append(1 / (1 + row.error))
    # An end is a measurement itself: between two of them, a small group would hold fewer than SHARE.
    lows = [float(np.quantile(some, (1 - SHARE) / 2, method="lower")) for some in ratios.values()]
    highs = [float(np.quantile(some, (1 + SHARE) / 2, method="higher")) for some in ratios.values()]
    return min(lows), max(highs)


def summary(rows: list[HeldOut]) -> str:
    """Errors of some rows, as one line."""
    errors = np.abs([row.error for row in rows])
    inside = np.mean([row.inside for row in rows])
    return (
        f"n {len(rows):3}  median {np.median(errors):4.0%}  mean {errors.mean():4.0%}  worst {errors.max():4.0%}"
        f"  inside the range {inside:4.0%}"
    )


def _every_mac_alike(work: Work) -> tuple[float, ...]:
    return (work.conv_macs + work.depthwise_macs + work.fully_connected_macs,)


def _macs_by_kind(work: Work) -> tuple[float, ...]:
    return work.conv_macs, work.depthwise_macs, work.fully_connected_macs


def _depthwise_apart(work: Work) -> tuple[float, ...]:
    return (*_macs_by_kind(work), work.kernel_outputs + work.other_outputs)


def _outputs_apart(work: Work) -> tuple[float, ...]:
    return (*three_columns(work)[:2], work.kernel_outputs, work.other_outputs)


def _all_apart(work: Work) -> tuple[float, ...]:
    return (*_macs_by_kind(work), work.kernel_outputs, work.other_outputs)


ALTERNATIVES: dict[str, Columns] = {
    "all MACs": _every_mac_alike,
    "MACs by kind": _macs_by_kind,
    "all MACs, values": two_columns,
    "kernel MACs, fully connected, values": three_columns,
    "MACs by kind, values": _depthwise_apart,
    "kernel MACs, fully connected, two kinds of values": _outputs_apart,
    "MACs by kind, two kinds of values": _all_apart,
}


def main() -> None:
    """Print every held-out measurement, then errors by group, then what other coefficients would have given."""
    rows = leave_one_board_out()
    print(f"{'core':13} {'runtime':14} {'board':20} {'model':23} measured ms      low   middle     high   error")
    for row in rows:
        one = row.measurement
        print(
            f"{one.core:13} {one.runtime:14} {one.board:20} {one.model:23} {one.latency_ms:11.2f} {row.low_ms:8.2f} "
            f"{row.middle_ms:8.2f} {row.high_ms:8.2f} {row.error:+7.0%}{'' if row.inside else '  outside'}"
        )
    print()
    groups = Counter((row.measurement.runtime, row.measurement.core) for row in rows)
    _print_groups(rows, groups, lambda row: (row.measurement.runtime, row.measurement.core))
    _print_groups(rows, Counter(RUNTIMES), lambda row: row.measurement.runtime)
    print(f"{'all':30} {summary(rows)}\n")
    for runtime in RUNTIMES:
        low, high = spread(rows, runtime)
        print(
            f"{runtime}: measured over predicted, {SHARE:.0%} of the held-out rows of every core: {low:.4f} to {high:.4f}"
        )
    print("\nOther coefficients, the same for both runtimes:")
    attempts = {
        name: leave_one_board_out(COLUMNS | {"tflm-cmsis-nn": columns, "vendor": columns})
        for name, columns in ALTERNATIVES.items()
    }
    attempts["as chosen, but every core for itself"] = leave_one_board_out(each_core_alone=True)
    for name, tried in attempts.items():
        for runtime in ("tflm-cmsis-nn", "vendor"):
            print(f"{name:50} {runtime:14} {summary([row for row in tried if row.measurement.runtime == runtime])}")


def _print_groups(rows: list[HeldOut], groups: Iterable[object], group_of: Callable[[HeldOut], object]) -> None:
    for group in groups:
        some = [row for row in rows if group_of(row) == group]
        name = " ".join(group) if isinstance(group, tuple) else str(group)
        print(f"{name:30} {summary(some)}")


if __name__ == "__main__":
    main()
