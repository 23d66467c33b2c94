"""What Optuna does not promise: the only file that knows its private names and the form of its database.

Read in Optuna 5.0.0; `pyproject.toml` admits no other minor version until tests/search/test_optuna_internals.py, which
compares each of these with what Optuna does by its public names, has passed on it.

- The tables of a study. Optuna's storage commits once for every value of a candidate; a proposal and an ending are to
  be one transaction each. So the rows are written here as `optuna.storages.RDBStorage` would write them. Optuna checks
  the version of the tables (alembic's) when it opens them; only the columns that are written are named.
- `PARENTS`, in the names under which a genetic algorithm keeps with a study the ids of the trials that it chose as
  parents of a generation (`BaseGASampler.get_parent_population`): ids differ between databases.
- `QuickTpe`, `QuickGroups`: Optuna's TPE reads, sorts and converts all trials anew for each value that it proposes.
"""

from __future__ import annotations

import enum
from typing import Any

import numpy as np
import optuna
import sqlalchemy
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.samplers._tpe.sampler import _split_trials, default_gamma, default_gamma_multiobjective
from optuna.search_space.group_decomposed import _GroupDecomposedSearchSpace, _SearchSpaceGroup
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Column, DateTime, Enum, Float, Integer, String, Table, Text

TPE_LAST = 1000
RESORT = 200
PARENTS = ":parent:"


class TrialValueType(enum.Enum):
    """How a value is stored: infinities are not numbers to every database. PostgreSQL has a type of this name."""

    FINITE = 1
    INF_POS = 2
    INF_NEG = 3


def _attributes(name: str, owner: str) -> Table:
    """A table of attributes, of studies or of trials."""
    return Table(name, _TABLES, Column(owner, Integer), Column("key", String), Column("value_json", Text))


_TABLES = sqlalchemy.MetaData()
STUDIES = Table("studies", _TABLES, Column("study_id", Integer, primary_key=True))
STUDY_SYSTEM = _attributes("study_system_attributes", "study_id")
TRIALS = Table(
    "trials",
    _TABLES,
    Column("trial_id", Integer, primary_key=True),
    Column("number", Integer),
    Column("study_id", Integer),
    Column("state", Enum(TrialState)),
    Column("datetime_start", DateTime),  # of UTC, without saying so
    Column("datetime_complete", DateTime),
)
PARAMS = Table(
    "trial_params",
    _TABLES,
    Column("trial_id", Integer),
    Column("param_name", String),
    Column("param_value", Float),
    Column("distribution_json", Text),
)
VALUES = Table(
    "trial_values",
    _TABLES,
    Column("trial_id", Integer),
    Column("objective", Integer),
    Column("value", Float),
    Column("value_type", Enum(TrialValueType)),
)
USER = _attributes("trial_user_attributes", "trial_id")
SYSTEM = _attributes("trial_system_attributes", "trial_id")


def stored_value(value: float) -> dict[str, Any]:
    """A value of an objective as two columns."""
    for infinite, kind in ((np.inf, TrialValueType.INF_POS), (-np.inf, TrialValueType.INF_NEG)):
        if value == infinite:
            return {"value": None, "value_type": kind}
    return {"value": value, "value_type": TrialValueType.FINITE}


class QuickGroups(_GroupDecomposedSearchSpace):
    """Which values are asked for together. Optuna adds up the names of all trials anew for each proposal, though the
    same ones come again and again."""

    def __init__(self) -> None:
        super().__init__(include_pruned=True)
        self._names: dict[int, frozenset[str]] = {}  # by the number of a trial

    def calculate(self, study: optuna.Study, use_cache: bool = False) -> _SearchSpaceGroup:
        """The groups, by all trials that are complete."""
        found, known = _SearchSpaceGroup(), set[frozenset[str]]()
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)):
            names = self._names.get(trial.number)
            if names is None:
                names = self._names[trial.number] = frozenset(trial.distributions)
            if names not in known:
                known.add(names)
                found.add_distributions(trial.distributions)
        return found


class QuickTpe(TPESampler):
    """Optuna's TPE, which for each value would read, sort and convert all trials again: here once per proposal.

    It proposes the same up to RESORT trials. Beyond, it sorts them into good ones and others only when a 200th of them
    again have ended; and of more than TPE_LAST others it looks at the latest. So a proposal after ten thousand trials
    takes little longer.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if self._group:
            self._group_decomposed_search_space = QuickGroups()
        self._good: set[int] = set()
        self._sorted_at = 0  # trials that had ended when they were sorted
        self._numbers: dict[int, dict[str, float]] = {}  # what a trial's values are to the estimators, by its number
        self._domains: dict[str, BaseDistribution] = {}

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """A new proposal begins: nothing is known of how the trials are split."""
        super().before_trial(study, trial)
        self._halves: tuple[list[FrozenTrial], list[FrozenTrial]] | None = None
        self._columns: dict[int, dict[str, list[float]]] = {}
        self._starting: bool | None = None

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, name: str, domain: BaseDistribution) -> Any:
        """A value for one name."""
        if self._starting is None:
            ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            self._starting = len(ended) < self._n_startup_trials
        if self._starting:
            return self._random_sampler.sample_independent(study, trial, name, domain)
        return self._sample(study, trial, {name: domain})[name]

    def _sample(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if self._halves is None:
            states = (TrialState.COMPLETE, TrialState.RUNNING)
            trials = [t for t in study.get_trials(deepcopy=False, states=states) if t.number != trial.number]
            gamma = default_gamma if len(study.directions) == 1 else default_gamma_multiobjective
            ended = sum(t.state.is_finished() for t in trials)
            if ended - self._sorted_at >= max(1, ended // RESORT):
                below, _ = _split_trials(study, trials, gamma(ended))
                self._good, self._sorted_at = {t.number for t in below}, ended
            below = [t for t in trials if t.number in self._good]
            self._halves = below, [t for t in trials if t.number not in self._good][-TPE_LAST:]
        below, above = self._halves
        good = self._build_parzen_estimator(study, search_space, below, handle_below=True)
        others = self._build_parzen_estimator(study, search_space, above, handle_below=False)
        drawn = good.sample(self._rng.rng, self._n_ei_candidates)
        best = self._compare(drawn, self._compute_acquisition_func(drawn, good, others))
        return {name: domain.to_external_repr(best[name]) for name, domain in search_space.items()}

    def _get_internal_repr(
        self, trials: list[FrozenTrial], search_space: dict[str, BaseDistribution], study: optuna.Study
    ) -> dict[str, np.ndarray]:
        if len(search_space) == 1:
            (name,) = search_space
            columns = self._columns.get(id(trials))  # of one half or the other
            if columns is None:
                columns = self._columns[id(trials)] = {}
                for row in (self._row(trial, study) for trial in trials):
                    for other, value in row.items():
                        columns.setdefault(other, []).append(value)
            return {name: np.asarray(columns.get(name, []))}
        rows = (self._row(trial, study) for trial in trials)
        whole = [row for row in rows if search_space.keys() <= row.keys()]
        return {name: np.asarray([row[name] for row in whole]) for name in search_space}

    def _row(self, trial: FrozenTrial, study: optuna.Study) -> dict[str, float]:
        if trial.number in self._numbers:
            return self._numbers[trial.number]
        self._domains |= trial.distributions
        # Of a trial that runs Optuna knows what was drawn together for it, whether it was asked for or not.
        row = {
            name: self._domains[name].to_internal_repr(value)
            for name, value in self._get_params(trial, study).items()
            if name in self._domains
        }
        if trial.state.is_finished():
            self._numbers[trial.number] = row
        return row
