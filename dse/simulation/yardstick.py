"""How good a search was: the share that its networks have of the hypervolume of the table's front.

Accuracy counts upwards and the logarithm of each cost downwards, from a reference point: the accuracy that one network
in fifty stays below, and the largest cost and a twentieth of a unit more. What is scored is the mean accuracy over the
seeds; a search has seen one of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dse.cost.metrics import ACCURACY
from dse.errors import DseError
from dse.search.settings import Settings
from dse.search.surrogate.gain import BudgetSpread, log_costs
from dse.simulation.table import Table

LEAST_QUANTILE, MARGIN = 0.02, 0.05
BUDGETS = 4096  # by which the volume is measured: exact to a thousandth


class Yardstick:
    """Measures searches of one table under one set of limits."""

    def __init__(self, table: Table, settings: Settings) -> None:
        names = [name for name in settings.task.objectives if name != ACCURACY]
        values = [settings.values_of(cost) for cost in table.costs]
        self._fits = np.array([settings.budgets.excess(cost) <= 0 for cost in table.costs])
        self._accuracy = np.array([row.accuracy for row in table.rows])
        self._costs = log_costs(values, names)
        self.fitting = int(self._fits.sum())
        if not self.fitting:
            return
        fit = self._costs[self._fits]
        self._least = float(np.quantile(self._accuracy[self._fits], LEAST_QUANTILE))
        self._budgets = BudgetSpread(fit.min(axis=0), fit.max(axis=0) + MARGIN, BUDGETS, even=True)
        self._whole = self._volumes(np.flatnonzero(self._fits))[-1]
        if not self._whole:
            raise DseError("all networks of the table that fit are equally accurate: there is no front to find")

    def shares(self, rows: Sequence[int]) -> np.ndarray:
        """After the first, the second, ... of these networks, (rows,)."""
        return np.asarray(self._volumes(np.array(rows, int)) / self._whole)

    def _volumes(self, rows: np.ndarray) -> np.ndarray:
        best = np.zeros(len(self._budgets.limits))
        found = np.empty(len(rows))
        for place, row in enumerate(rows):
            more = max(0.0, self._accuracy[row] - self._least) if self._fits[row] else 0.0
            if more:
                within = (self._costs[row] <= self._budgets.limits).all(axis=1)
                best = np.where(within, np.maximum(best, more), best)
            found[place] = best.mean()
        return found
