"""The explorers by name, with a line about each; kept apart so that listing them imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence

from dse.errors import DseError, UnknownNameError

EXPLORERS = {
    "bayes": "Bayesian optimization: what a Gaussian process expects to add most to the front",
    "optuna:nsga2": "NSGA-II, a genetic algorithm for several objectives",
    "optuna:nsga3": "NSGA-III, the same with reference points, for four objectives and more",
    "optuna:tpe": "tree-structured Parzen estimator for several objectives",
    "optuna:gp": "Gaussian process; needs the package torch, and seconds per proposal",
    "optuna:qmc": "quasi-random numbers that fill the space evenly",
    "optuna:grid": "every combination of values in random order, fitting or not; for small spaces without real ranges",
    "optuna:random": "uniform draws, fitting or not",
    "nni:tpe": "NNI's tree-structured Parzen estimator, on one number per trial",
    "nni:evolution": "NNI's evolution: the better of two, mutated in one value",
    "nni:gp": "NNI's Gaussian process, on the last trials",
    "nni:anneal": "NNI's annealing, ever closer to the best trials; needs the package hyperopt",
    "nni:gridsearch": "NNI's grid: every value, real ranges halved again and again",
    "nni:random": "NNI's uniform draws",
    "random": "uniform draws among the candidates that fit",
    "grid": "every candidate that fits, one after another; for small spaces without real ranges",
}
# Percent of the hypervolume of NAS-Bench-Macro's front that each has found after 40 and after 160 trainings, in the
# mean of twenty searches (`results/search-benchmark/`); of those that were measured.
FOUND = {
    "bayes": (93, 99),
    "nni:gp": (88, 97),
    "optuna:tpe": (85, 96),
    "nni:tpe": (82, 84),
    "nni:evolution": (81, 92),
    "nni:random": (80, 88),
    "optuna:nsga3": (80, 92),
    "optuna:nsga2": (79, 93),
    "optuna:qmc": (78, 86),
    "optuna:random": (78, 87),
    "random": (78, 87),
}
DEFAULT = "bayes"
ROUNDED = 1e-4  # shares as a run has them written down, six digits each


def parse_explorers(texts: Sequence[str]) -> dict[str, float]:
    """The share of proposals by explorer, from texts such as 'nni:tpe' and 'nni:tpe=0.3'; they add up to 1.

    Those without a share divide what is left evenly. Raises UnknownNameError, DseError.

    >>> parse_explorers(["optuna:tpe", "nni:tpe=0.5", "random"])
    {'optuna:tpe': 0.25, 'nni:tpe': 0.5, 'random': 0.25}
    """
    shares: dict[str, float | None] = {}
    for text in texts or [DEFAULT]:
        name, given, share = text.partition("=")
        if name not in EXPLORERS:
            raise UnknownNameError("explorer", name, EXPLORERS)
        if name in shares:
            raise DseError(f"`explorer` {text}: {name} is named twice")
        shares[name] = _share(text, share) if given else None
    taken = sum(share for share in shares.values() if share)
    free = [name for name, share in shares.items() if share is None]
    if taken > 1 + ROUNDED or (free and taken > 1 - ROUNDED) or (not free and taken < 1 - ROUNDED):
        raise DseError(f"`explorer`: the shares add up to {taken:g}, expected {'less than ' if free else ''}1")
    whole = 1.0 if free else taken
    return {name: share / whole if share is not None else (1 - taken) / len(free) for name, share in shares.items()}


def _share(text: str, share: str) -> float:
    try:
        value = float(share)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise DseError(f"`explorer` {text}: expected a share above 0 and up to 1, as in {text.partition('=')[0]}=0.3")
    return value
