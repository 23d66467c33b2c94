"""A Gaussian process: what a few trained networks say of others, and how surely (Rasmussen and Williams 2006, ch. 2).

The covariance of two networks is a sum: of the choices that they share, of the pairs of choices that they share, of
their size in numbers, and of how near they are to one another in both. What each part weighs is fixed; how far nearness
reaches, how much of it there is, and how noisy a training is, are what explains the trained networks best.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

SHARED, PAIRS, SIZE, SIZE_SQUARED = 0.3, 0.2, 0.5, 0.05
SIZE_REACH = 4.0
NEARNESS, REACHES, NOISES = (0.2, 1.0), (3.0, 10.0), (0.01, 0.05, 0.2)
FITTED_ON = 90  # networks, by which nearness, reach and noise are chosen


@dataclass(frozen=True)
class Points:
    """Networks as a surrogate sees them."""

    choices: np.ndarray  # (count, width), of an Encoding
    sizes: np.ndarray  # (count, numbers): scaled logarithms of costs, and such

    def __len__(self) -> int:
        return len(self.choices)

    def __getitem__(self, which: slice) -> Points:
        return Points(self.choices[which], self.sizes[which])


@dataclass(frozen=True)
class Covariance:
    """Of two networks, for one choice of what is chosen."""

    nearness: float
    reach: float
    noise: float

    def between(self, some: Points, others: Points) -> np.ndarray:
        """(len(some), len(others))."""
        shared = some.choices @ others.choices.T
        sizes = some.sizes @ others.sizes.T
        apart = _norms(some.choices)[:, None] + _norms(others.choices) - 2 * shared
        sizes_apart = _norms(some.sizes)[:, None] + _norms(others.sizes) - 2 * sizes
        scale = max(1e-12, float(_norms(others.choices).mean()))
        near = np.exp(-apart / self.reach - sizes_apart / SIZE_REACH)
        share = shared / scale
        return np.asarray(
            SHARED * share + PAIRS * share**2 + SIZE * sizes + SIZE_SQUARED * sizes**2 + self.nearness * near
        )

    def of_each(self, some: Points, others: Points) -> np.ndarray:
        """What `between` gives for each of `some` and itself, where `others` set the scale, (len(some),)."""
        share = _norms(some.choices) / max(1e-12, float(_norms(others.choices).mean()))
        sizes = _norms(some.sizes)
        return np.asarray(SHARED * share + PAIRS * share**2 + SIZE * sizes + SIZE_SQUARED * sizes**2 + self.nearness)


class GaussianProcess:
    """Fitted to networks and what they reached, (count,); some of that may be less sure, by a variance of its own."""

    def __init__(
        self,
        points: Points,
        reached: np.ndarray,
        unsure: np.ndarray | None = None,
        covariance: Covariance | None = None,
    ) -> None:
        self._points = points
        self._mean, self._scale = float(reached.mean()), float(reached.std()) or 1.0
        scaled = (reached - self._mean) / self._scale
        every = max(1, -(-len(points) // FITTED_ON))
        unsure = np.zeros(len(points)) if unsure is None else unsure
        self._covariance = covariance or _best(points[::every], scaled[::every], unsure[::every])
        self._inverse = np.linalg.inv(_root(self._covariance, points, unsure))
        self._weights = self._inverse.T @ (self._inverse @ scaled)

    def with_more(self, points: Points, reached: np.ndarray, unsure: np.ndarray) -> GaussianProcess:
        """Fitted to these, with the same covariance."""
        return GaussianProcess(points, reached, unsure, self._covariance)

    def predict(self, points: Points) -> tuple[np.ndarray, np.ndarray]:
        """What to expect of each network, and the standard deviation of that; both (len(points),)."""
        between = self._covariance.between(points, self._points)
        explained = self._inverse @ between.T
        left = self._covariance.of_each(points, self._points) - (explained**2).sum(axis=0)
        return self._mean + self._scale * (between @ self._weights), self._scale * np.sqrt(np.maximum(left, 1e-9))


def _best(points: Points, scaled: np.ndarray, unsure: np.ndarray) -> Covariance:
    """The covariance under which what was reached is likeliest."""
    choices = [Covariance(*values) for values in itertools.product(NEARNESS, REACHES, NOISES)]
    return max(choices, key=lambda covariance: _log_likelihood(covariance, points, scaled, unsure))


def _log_likelihood(covariance: Covariance, points: Points, scaled: np.ndarray, unsure: np.ndarray) -> float:
    """But for a constant."""
    root = _root(covariance, points, unsure)
    return float(-0.5 * (np.linalg.solve(root, scaled) ** 2).sum() - np.log(np.diag(root)).sum())


def _root(covariance: Covariance, points: Points, unsure: np.ndarray) -> np.ndarray:
    """Of the covariance matrix with its noise, the lower triangle (Cholesky)."""
    matrix = covariance.between(points, points)
    matrix[np.diag_indices_from(matrix)] += covariance.noise + unsure
    return np.linalg.cholesky(matrix)


def _norms(rows: np.ndarray) -> np.ndarray:
    return np.asarray((rows**2).sum(axis=1))
