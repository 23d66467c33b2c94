"""What may vary: a `Choice` of values, an `IntRange` with a step, a `FloatRange`, plain or logarithmic.

In YAML: `{choice: [a, b]}`, `{int: [16, 64], step: 8}`, `{float: [0, 0.5]}`, `{log: [1e-4, 1e-2]}`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few values. Where settings belong to a value (those of a block, say), it is the name of them."""

    labels: tuple[str | int | float | bool, ...]

    def sample(self, rng: np.random.Generator) -> Any:
        return self.labels[int(rng.integers(len(self.labels)))]

    def values(self) -> Iterator[Any]:
        return iter(self.labels)

    def option(self, label: Any) -> Any:
        """The label itself when it is known; of 1 and true the one that is meant. Raises ValueError."""
        for known in self.labels:
            if known == label and isinstance(known, bool) == isinstance(label, bool):
                return known
        raise ValueError(f"came {label!r}, expected one of {', '.join(map(repr, self.labels))}")


@dataclass(frozen=True, slots=True)
class IntRange:
    """Whole numbers from `low` to `high`, both included, in steps.

    >>> list(IntRange(16, 32, 8).values())
    [16, 24, 32]
    """

    low: int
    high: int
    step: int = 1

    def sample(self, rng: np.random.Generator) -> int:
        return self.low + self.step * int(rng.integers((self.high - self.low) // self.step + 1))

    def values(self) -> Iterator[int]:
        return iter(range(self.low, self.high + 1, self.step))

    def option(self, value: Any) -> int:
        """The value itself when it is in the range. Raises ValueError."""
        number = int(value)
        if number != value or not self.low <= number <= self.high or (number - self.low) % self.step:
            raise ValueError(f"came {value!r}, expected {self.low} to {self.high} in steps of {self.step}")
        return number


@dataclass(frozen=True, slots=True)
class FloatRange:
    """Real numbers from `low` to `high`; with `log`, equal ratios are equally likely."""

    low: float
    high: float
    log: bool = False

    def sample(self, rng: np.random.Generator) -> float:
        if self.log:
            return float(min(max(math.exp(rng.uniform(math.log(self.low), math.log(self.high))), self.low), self.high))
        return float(rng.uniform(self.low, self.high))

    def values(self) -> Iterator[float]:
        """The two ends: a real range cannot be listed."""
        return iter((self.low, self.high))

    def option(self, value: Any) -> float:
        """The value itself when it is in the range. Raises ValueError."""
        if not self.low <= float(value) <= self.high:
            raise ValueError(f"came {value!r}, expected {self.low} to {self.high}")
        return float(value)


Domain = Choice | IntRange | FloatRange
