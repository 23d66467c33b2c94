"""One of Optuna's samplers, asked in a study of its own that lies in memory and is told of every trial of the log.

A sampler reads every trial again for each value that it proposes: that takes memory, not a database. What it keeps with
trials and study (the generation of NSGA-II, say) goes into the log, and comes from there when the run goes on.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Container, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseGASampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from dse.cost.metrics import DIRECTIONS
from dse.errors import NetworkError
from dse.search.explorers.optuna_samplers import Grid, make_sampler, suggested
from dse.search.study.distributions import distribution
from dse.search.study.trial_log import Annotations, Draft, Entry, TrialLog
from dse.space.conditions import Value
from dse.space.domains import Domain
from dse.space.space import Defaults, Space

NAME = "replayed"


class SamplerStudy:
    """One sampler and its study. Raises RunError when the sampler cannot be made."""

    def __init__(self, explorer: str, log: TrialLog, space: Space, seed: int, population: int) -> None:
        own = (seed + zlib.crc32(explorer.encode())) % 2**31  # or two that begin at random would begin alike
        self._sampler = make_sampler(explorer, own, len(log.entries), population, space)
        self._log = log
        self._space = space
        self._distributions = {path: distribution(domain) for path, domain in space.domains.items()}
        self._storage = MemoryStorage()
        directions = [DIRECTIONS[name] for name in log.objectives]
        self._study = optuna.create_study(
            study_name=NAME, storage=self._storage, sampler=self._sampler, directions=directions
        )
        self._storage.study_attrs |= log.study_attrs
        self._loaded = dict(self._storage.study_attrs)
        self._running: list[int] = []
        log.annotators.append(self)

    def draft(self, defaults: Defaults) -> Draft | None:
        """What the sampler would propose now, asked for each open value as it is met; None when it has nothing left to
        propose. Nothing is left of it here."""
        self._follow()
        trials, domains = self._storage.trials, dict[str, Domain]()
        if isinstance(self._sampler, Grid) and self._sampler.is_over(trials):
            return None
        number, candidate, problem = len(trials), None, ""
        try:
            trial = self._study.ask()

            def choose(path: str, domain: Domain) -> Value:
                value: Value = suggested(trial, path, domain)
                domains[path] = domain
                return value

            try:
                candidate = self._space.candidate(choose, defaults)
            except NetworkError as error:
                problem = str(error)
            found = trials[number]
            return Draft(found.params, domains, candidate, problem, found.system_attrs)
        finally:
            del trials[number:]

    def annotate(self, draft: Draft) -> Annotations:
        """The generation of the next trial, for a genetic algorithm: it learns from what belongs to one only, whoever
        proposed it. And what the sampler keeps with the study, the last point of a sequence or the parents of a
        generation."""
        kept: Mapping[str, Any] = {}
        if isinstance(self._sampler, BaseGASampler):
            self._follow()
            trials = self._storage.trials
            number = len(trials)
            trial = _frozen(number, TrialState.RUNNING, None, {}, {}, dict(draft.attrs))
            trials.append(trial)
            try:
                # Another object for the study: the first one keeps the trials that it read for its last proposal.
                study = optuna.load_study(study_name=NAME, storage=self._storage, sampler=self._sampler)
                self._sampler.get_trial_generation(study, trial)
            finally:
                del trials[number:]
            kept = trial.system_attrs
        changed = {key: value for key, value in self._storage.study_attrs.items() if value != self._loaded.get(key)}
        return Annotations(kept, changed)

    def _follow(self) -> None:
        """Learns of trials that have begun or ended since it last looked."""
        trials, entries = self._storage.trials, self._log.entries
        for number in self._running:
            if entries[number].finished:
                trials[number] = self._as_optuna(entries[number])
        new = range(len(trials), len(entries))
        trials.extend(self._as_optuna(entries[number]) for number in new)
        self._running = [number for number in [*self._running, *new] if not entries[number].finished]

    def _as_optuna(self, entry: Entry) -> FrozenTrial:
        state = TrialState.RUNNING
        if entry.finished:
            state = TrialState.FAIL if entry.objectives is None else TrialState.COMPLETE
        known = {path: value for path, value in entry.record.params.items() if path in self._distributions}
        domains = {path: self._distributions[path] for path in known}
        return _frozen(entry.record.number, state, entry.objectives, known, domains, dict(entry.attrs))


def _frozen(
    number: int,
    state: TrialState,
    values: Sequence[float] | None,
    params: dict[str, Any],
    distributions: dict[str, BaseDistribution],
    attrs: dict[str, Any],
) -> FrozenTrial:
    return FrozenTrial(number, state, None, None, None, params, distributions, {}, attrs, {}, number, values=values)


class MemoryStorage(optuna.storages.BaseStorage):
    """Optuna's interface of a storage over a plain list of trials, whose ids are their numbers, of one study.

    Its own storage in memory copies every trial that it is given, and forgets none.
    """

    def __init__(self) -> None:
        self.trials: list[FrozenTrial] = []
        self.study_attrs: dict[str, Any] = {}
        self._directions: list[StudyDirection] = []

    # -- the study

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        self._directions = list(directions)
        return 0

    def get_study_id_from_name(self, study_name: str) -> int:
        return 0

    def get_study_name_from_id(self, study_id: int) -> str:
        return NAME

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self._directions

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self.study_attrs

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self.study_attrs[key] = value

    # -- trials

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        number = len(self.trials)
        self.trials.append(_frozen(number, TrialState.RUNNING, None, {}, {}, {}))
        return number

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return self.trials[trial_id]

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        if states == (TrialState.WAITING,):  # asked for before every proposal
            return []
        found = [trial for trial in self.trials if states is None or trial.state in states]
        return copy.deepcopy(found) if deepcopy else found

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        # A copy: Optuna writes into the first one, too, what the sampler gave, which may be of another type.
        self.trials[trial_id] = trial = copy.copy(self.trials[trial_id])
        trial.params = trial.params | {param_name: distribution.to_external_repr(param_value_internal)}
        trial.distributions = trial.distributions | {param_name: distribution}

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self.trials[trial_id].system_attrs[key] = value

    # -- what no sampler asks for

    def delete_study(self, study_id: int) -> None:
        raise NotImplementedError

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        raise NotImplementedError

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        raise NotImplementedError

    def get_all_studies(self) -> list[Any]:
        raise NotImplementedError

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        raise NotImplementedError

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        raise NotImplementedError

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        raise NotImplementedError
