"""Whether one explorer is better than another, or only luckier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROUNDS = 10_000
SURE = 0.05  # a difference that chance alone makes less often is one


@dataclass(frozen=True)
class Difference:
    """Of the means of two explorers."""

    first: str
    second: str
    mean: float  # positive where the first is better
    low: float  # of its 95 % interval, by resampling the seeds
    high: float
    chance: float  # how often it is as large where seeds are dealt to both at random (two-sided)

    @property
    def sentence(self) -> str:
        """As a sentence."""
        sign = 100 if self.mean > 0 else -100
        points, ends = f"{sign * self.mean:.1f}", sorted((sign * self.low, sign * self.high))
        if self.chance >= SURE:
            return f"{self.first} and {self.second} do not differ beyond luck ({points} points, p = {self.chance:.2f})"
        better, worse = (self.first, self.second) if self.mean > 0 else (self.second, self.first)
        chance = f"p = {self.chance:.3f}" if self.chance >= 0.001 else "p < 0.001"
        return f"{better} is better than {worse} by {points} points ({ends[0]:.1f} to {ends[1]:.1f}, {chance})"


def difference(first: str, of_first: np.ndarray, second: str, of_second: np.ndarray) -> Difference:
    """Of the shares of two explorers, one for each of their seeds."""
    rng = np.random.default_rng(0)
    mean = float(of_first.mean() - of_second.mean())
    both, count = np.concatenate([of_first, of_second]), len(of_first)
    dealt = rng.permuted(np.tile(both, (ROUNDS, 1)), axis=1)
    by_chance = dealt[:, :count].mean(axis=1) - dealt[:, count:].mean(axis=1)
    chance = (1 + int((np.abs(by_chance) >= abs(mean) - 1e-12).sum())) / (ROUNDS + 1)
    again = rng.choice(of_first, (ROUNDS, count)).mean(axis=1) - rng.choice(of_second, (ROUNDS, len(of_second))).mean(
        axis=1
    )
    low, high = np.quantile(again, [0.025, 0.975])
    return Difference(first, second, mean, float(low), float(high), chance)
