"""Does anything in a space fit a budget? Answered before anything is trained.

Random candidates first; where none fits, a descent from the nearest one: every open value is tried at all its
settings, and the one that breaks the budget least is kept, until nothing improves.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import numpy as np

from dse.cost.report import CostReport, estimate
from dse.errors import NetworkError
from dse.hardware.budget import Budgets
from dse.network.candidate import Candidate
from dse.space.conditions import Recorded, Value, first
from dse.space.space import Defaults, Space

SAMPLES = 500
ROUNDS = 4
SETTINGS_TRIED = 12  # of one open value


@dataclass(frozen=True)
class Nearest:
    """The candidate that breaks its budget least, or one that fits."""

    candidate: Candidate
    cost: CostReport
    excess: float  # of the limit that is broken most, relative to it; at most 0 when the candidate fits
    share: float  # of the random candidates that fit


def find_nearest(space: Space, budgets: Budgets, defaults: Defaults, seed: int = 0) -> Nearest:
    """The first candidate found that fits, or the nearest to fitting. Raises NetworkError when none can be built."""
    rng = np.random.default_rng(seed)
    best: tuple[float, dict[str, Value], Candidate, CostReport] | None = None
    fitting = drawn = 0
    problem: NetworkError | None = None
    for _ in range(SAMPLES):
        try:
            assignment, candidate = space.sample(rng, defaults)
        except NetworkError as error:
            problem = error
            continue
        cost = estimate(candidate.network)
        excess = budgets.excess(cost)
        drawn, fitting = drawn + 1, fitting + (excess <= 0)
        if best is None or excess < best[0]:
            best = (excess, assignment, candidate, cost)
        if not space.domains:
            break
    if best is None:
        raise problem or NetworkError(space.name, "the space has no candidate")
    for _ in range(ROUNDS):
        if best[0] <= 0:
            break
        before = best[0]
        for path in list(best[1]):
            best = _try_settings(space, budgets, defaults, path, best)
        if best[0] >= before:
            break
    excess, _, candidate, cost = best
    return Nearest(candidate, cost, excess, fitting / drawn)


def _try_settings(
    space: Space,
    budgets: Budgets,
    defaults: Defaults,
    path: str,
    best: tuple[float, dict[str, Value], Candidate, CostReport],
) -> tuple[float, dict[str, Value], Candidate, CostReport]:
    if path not in best[1]:
        return best
    start = best[1]
    for value in islice(space.domains[path].values(), SETTINGS_TRIED):
        # Values of a family that was not chosen before take their smallest setting.
        chosen = space.choose(Recorded(start | {path: value}, otherwise=first), defaults)
        if chosen.candidate is None:
            continue
        cost = estimate(chosen.candidate.network)
        excess = budgets.excess(cost)
        if excess < best[0]:
            best = (excess, chosen.assignment, chosen.candidate, cost)
    return best
