"""What a network is expected to add to a front, before it is trained.

A front says how accurate a network of a given cost can be: its hypervolume is the accuracy of the best network within a
budget, added up over all budgets. What a network adds to it is, over the budgets that it keeps to, by how much it is
better than the best so far. Its costs are known, its accuracy by a mean and a standard deviation: within a budget that
is the expected improvement in closed form (Jones et al. 1998, equation 15), for any number of costs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

BUDGETS = 256
TIE = 1e-9  # of two that add nothing the better comes first
APART = 0.3  # of its range, half of it either way: how far a cost of a budget near the diagonal may be from it


def log_costs(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> np.ndarray:
    """Logarithms of the costs of these names, (rows, names).

    >>> log_costs([{"macs": 1.0, "params": 2.0}], ["macs"]).tolist()
    [[0.0]]
    """
    costs = [[row[name] for name in names] for row in rows]
    return np.asarray(np.log(np.maximum(np.array(costs, float).reshape(len(rows), len(names)), 1e-9)))


def improvement(mean: np.ndarray, deviation: np.ndarray, best: np.ndarray) -> np.ndarray:
    """How much more than `best` is to be expected of a normal number, where less counts as nothing.

    >>> float(improvement(np.array([1.0]), np.array([0.5]), np.array([-9.0]))[0])
    10.0
    """
    z = (mean - best) / deviation
    return np.asarray(deviation * np.where(z > _Z[-1], z, np.interp(z, _Z, _GAIN)))


_Z = np.linspace(-6, 6, 2401)
_GAIN = np.array([z * (1 + math.erf(z / math.sqrt(2))) / 2 + math.exp(-z * z / 2) / math.sqrt(2 * math.pi) for z in _Z])


class BudgetSpread:
    """Budgets spread over what networks cost, (count, costs); without costs a single one.

    Even budgets fill the cube: then the gain is that of the hypervolume, for which what costs much in everything hardly
    counts. So half of them lie near the diagonal instead, where networks are, since costs go together.
    """

    def __init__(self, low: np.ndarray, high: np.ndarray, count: int = BUDGETS, even: bool = False) -> None:
        self.limits = low + (high - low) * _spread(count, len(low), even) if len(low) else np.zeros((1, 0))

    def best(self, reached: np.ndarray, costs: np.ndarray) -> np.ndarray:
        """What the best of some networks reached within each budget, the worst of all where none keeps to it,
        (budgets,)."""
        within = self.within(costs)
        return np.asarray(np.where(within, reached[:, None], reached.min()).max(axis=0))

    def holders(self, reached: np.ndarray, costs: np.ndarray) -> list[int]:
        """The networks that are the best within some budget, the first of equals."""
        within = self.within(costs)
        held = np.where(within, reached[:, None], -np.inf).argmax(axis=0)
        return sorted(set(held[within.any(axis=0)].tolist()))

    def behind(self, reached: np.ndarray, costs: np.ndarray) -> np.ndarray:
        """By how much each network is behind the best, in the budget where that is least, (networks,)."""
        short = self.best(reached, costs)[None] - reached[:, None]
        return np.asarray(np.where(self.within(costs), short, np.inf).min(axis=1))

    def gain(self, mean: np.ndarray, deviation: np.ndarray, costs: np.ndarray, best: np.ndarray) -> np.ndarray:
        """What is to be expected of each network, in the mean over the budgets, (networks,)."""
        more = improvement(mean[:, None], deviation[:, None], best[None])
        return np.asarray(np.where(self.within(costs), more, 0.0).mean(axis=1)) + TIE * mean

    def within(self, costs: np.ndarray) -> np.ndarray:
        """Which networks keep to which budgets, (networks, budgets)."""
        found = np.ones((len(costs), len(self.limits)), bool)
        for cost, limit in zip(costs.T, self.limits.T, strict=True):
            found &= cost[:, None] <= limit
        return found


def _spread(count: int, size: int, even: bool) -> np.ndarray:
    """Points of the unit cube, (count, size)."""
    steps = ((np.arange(count) + 1) / count)[:, None]
    if size == 1:
        return steps
    # Even in every dimension (Halton 1960).
    moved = np.stack([_radical_inverse(count, base) for base in _PRIMES[:size]], axis=1)
    if even:
        return moved
    half = count // 2
    near = np.clip(steps[1::2] + APART * (moved[half : half + len(steps[1::2])] - 0.5), 0.0, 1.0)
    return np.concatenate([moved[:half], near])


_PRIMES = (2, 3, 5, 7, 11, 13, 17)


def _radical_inverse(count: int, base: int) -> np.ndarray:
    """The numbers from 1 on with their digits behind the point, in the opposite order."""
    numbers, place, found = np.arange(1, count + 1), 1.0, np.zeros(count)
    while numbers.any():
        place /= base
        found += place * (numbers % base)
        numbers //= base
    return found
