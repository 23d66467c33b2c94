"""Cheap scores: how good a candidate may be, before any training and without TensorFlow.

A search that screens N drafts (`Settings.screen`) asks for N candidates and proposes, of those that fit, the one with
the best score. A score is a guess and no objective: it is never recorded as a value, and only decides which candidate
is trained first.

The one score so far is the number of MACs. Among networks that fit the same memory those with more MACs tend to be the
more accurate: MCUNet (Lin et al. 2020, section 3.1) picks whole search spaces by it. It says nothing about training
settings, and it draws a search with few MACs as an objective towards the other end of its front.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from dse.cost.report import estimate
from dse.network.candidate import Candidate

Score = Callable[[Candidate], float]
T = TypeVar("T")


def macs(candidate: Candidate) -> float:
    """Multiply-accumulates, as the cost counts them."""
    return float(estimate(candidate.network).macs)


SCORES: dict[str, Score] = {"macs": macs}
DEFAULT = "macs"


def best_of(
    drafts: Iterable[tuple[T, Candidate | None]], fits: Callable[[Candidate], bool], known: set[str], score: Score
) -> T | None:
    """The draft with the best score among those that fit and are new; else among those that fit; else the first.

    None when there is no draft. Of equals the first.
    """
    best: tuple[T, tuple[bool, bool, float]] | None = None
    for draft, candidate in drafts:
        rank = (False, False, 0.0)
        if candidate and fits(candidate):
            rank = (True, candidate.id not in known, score(candidate))
        if best is None or rank > best[1]:
            best = draft, rank
    return best[0] if best else None
