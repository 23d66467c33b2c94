"""Several objectives as one number, for explorers that know one only.

The augmented Chebyshev function with weights drawn anew for every proposal (ParEGO, Knowles 2006, section III): over
many proposals every part of a front is asked for. Objectives are scaled to [0, 1] between the best and the worst that
feasible trials have shown; an infeasible trial is worse than every feasible one, the more so the more it breaks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dse.search.pareto import signed
from dse.search.record import TrialRecord

AUGMENTATION = 0.05  # of the sum, so that of two equally bad in the worst objective the better in the others wins
INFEASIBLE, HOPELESS = -2.0, -4.0  # feasible ones lie between -1 - AUGMENTATION and 0


def draw_weights(rng: np.random.Generator, count: int) -> np.ndarray:
    """Weights of the objectives, (count,), uniform among those that add up to 1."""
    return np.asarray(rng.dirichlet(np.ones(count)))


def rewards(records: Sequence[TrialRecord], objectives: Sequence[str], weights: np.ndarray) -> list[float]:
    """One number for each trial that has ended, the larger the better."""
    feasible = [_is_feasible(record, objectives) for record in records]
    losses = signed([record.first_values for record, known in zip(records, feasible, strict=True) if known], objectives)
    low = losses.min(axis=0, initial=np.inf)
    span = np.maximum(losses.max(axis=0, initial=-np.inf) - low, 1e-12) if len(losses) else np.ones(len(objectives))
    parts = weights * (losses - low) / span
    found = iter(-(parts.max(axis=1, initial=-np.inf) + AUGMENTATION * parts.sum(axis=1)))
    return [float(next(found)) if known else _penalty(record) for record, known in zip(records, feasible, strict=True)]


def _is_feasible(record: TrialRecord, objectives: Sequence[str]) -> bool:
    return record.outcome in ("complete", "repeated") and all(name in record.values for name in objectives)


def _penalty(record: TrialRecord) -> float:
    """Between INFEASIBLE and HOPELESS by how much the worst constraint is broken; HOPELESS for what has no cost."""
    worst = max(record.violations.values(), default=0.0)
    if record.outcome != "infeasible" or worst <= 0:
        return HOPELESS
    return INFEASIBLE - (-HOPELESS + INFEASIBLE) * worst / (1 + worst)
