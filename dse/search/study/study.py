"""The record of a run: an Optuna study in a database, and in memory while a search works on it.

Everything that is known of a run is in its database, so a killed run goes on from there. A search reads it once, when
it opens it; then it reads from memory, and writes every proposal and every ending, each in one transaction. An
infeasible trial is told as complete with accuracy 0, its real costs, and positive constraints: so every sampler that
knows constraints learns by how much it was off.
"""

from __future__ import annotations

import copy
import logging
import warnings
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import BaseGASampler
from optuna.trial import FrozenTrial, TrialState

from dse.cost.metrics import DIRECTIONS
from dse.errors import NetworkError
from dse.network.candidate import Candidate
from dse.search.record import Outcome, TrialRecord
from dse.search.study._optuna_internals import PARENTS
from dse.search.study.database import Database, Place, read_trials
from dse.search.study.samplers import Grid, Memory, distribution, make_sampler, suggested
from dse.space.conditions import Assignment, Recorded
from dse.space.space import Defaults, Space

OUTCOMES: tuple[Outcome, ...] = ("complete", "repeated", "infeasible", "failed")


@dataclass(frozen=True)
class Proposal:
    """A trial that has begun: its number, and the candidate or why there is none."""

    number: int
    candidate: Candidate | None
    problem: str = ""


@dataclass
class Draft:
    """What an explorer would propose: not yet a trial, and nowhere written."""

    trial: FrozenTrial
    candidate: Candidate | None
    problem: str = ""


class Study:
    """The trials of one run. One process at a time may have it; others read with `read_study`."""

    def __init__(self, place: Place, objectives: list[str], population: int = 16) -> None:
        _be_quiet()
        self.objectives = objectives
        self.population = population
        directions = [DIRECTIONS[name] for name in objectives]
        self._database = Database(place, directions)
        self.study = self._database.study
        if self.study.metric_names != objectives:
            self.study.set_metric_names(objectives)
        self._memory = Memory()
        self._mirror = optuna.create_study(storage=self._memory, directions=directions)
        self._samplers: dict[str, optuna.samplers.BaseSampler] = {}
        self._records: list[TrialRecord] = []
        self._originals: dict[str, int] = {}  # the first trial that ended with a candidate, by its id
        self._ids = self._database.trial_ids()  # by the number of the trial
        for trial in self._database.trials():
            self._memory.put(copy.copy(trial))
            self._records.append(_record(trial))
            self._note(self._records[-1])
        self._written = self._database.system_attrs()
        numbers = {trial_id: number for number, trial_id in enumerate(self._ids)}
        for key, value in self._written.items():
            self._memory.set_study_system_attr(0, key, _translated(key, value, numbers))

    @classmethod
    def in_folder(cls, folder: Path, objectives: list[str], population: int = 16) -> Study:
        """The study in results/<name>/study.db."""
        return cls(Place.in_folder(folder), objectives, population)

    # -- proposing

    def draft_of(self, assignment: Assignment, space: Space, defaults: Defaults) -> Draft:
        """What an explorer would propose that chose these values."""
        trial = optuna.trial.create_trial(state=TrialState.RUNNING)
        chosen = space.choose(Recorded(assignment), defaults)
        for path, value in chosen.assignment.items():
            known = trial.distributions[path] = distribution(space.domains[path])
            trial.params[path] = known.to_external_repr(known.to_internal_repr(value))
        return Draft(trial, chosen.candidate, str(chosen.problem or ""))

    def draft(self, explorer: str, seed: int, space: Space, defaults: Defaults) -> Draft | None:
        """What one of Optuna's samplers would propose now, asked for each open value as it is met; None when it has
        nothing left to propose."""
        self._mirror.sampler = sampler = self.sampler(explorer, seed, space)
        if isinstance(sampler, Grid) and sampler.is_over(self._memory.get_all_trials(0, deepcopy=False)):
            return None
        before = len(self._records)
        try:
            trial = self._mirror.ask()
            try:
                candidate = space.candidate(lambda path, domain: suggested(trial, path, domain), defaults)
            except NetworkError as error:
                return Draft(self._memory.get_trial(before), None, str(error))
            return Draft(self._memory.get_trial(before), candidate)
        finally:
            if len(self._memory.get_all_trials(0, deepcopy=False)) > before:
                self._memory.drop()

    def begin(self, explorer: str, draft: Draft) -> Proposal:
        """Makes a draft the next trial, and writes it down."""
        trial, candidate = draft.trial, draft.candidate
        trial.number = len(self._records)
        trial.state = TrialState.RUNNING
        trial.datetime_start = datetime.now()
        trial.user_attrs = {"explorer": explorer}
        if candidate:
            trial.user_attrs |= {"id": candidate.id, "candidate": candidate.to_json()}
        self._memory.put(trial)
        try:
            self._mirror._thread_local.cached_all_trials = None  # of the last proposal
            for sampler in self._samplers.values():
                # A genetic algorithm learns from what belongs to a generation only, whoever proposed it.
                if isinstance(sampler, BaseGASampler):
                    sampler.get_trial_generation(self._mirror, self._memory.get_trial(trial.number))
            trial = self._memory.get_trial(trial.number)
            attrs = {
                key: changed
                for key, value in self._memory.get_study_system_attrs(0).items()
                if (changed := _translated(key, value, self._ids)) != self._written.get(key)
            }
            self._ids.append(self._database.add(trial, attrs))
        except BaseException:
            del self._ids[trial.number :]
            self._memory.drop()
            raise
        self._written |= attrs
        self._records.append(_record(trial))
        return Proposal(trial.number, candidate, draft.problem)

    def sampler(self, explorer: str, seed: int, space: Space) -> optuna.samplers.BaseSampler:
        """One of Optuna's samplers, made when it is first asked for. Raises RunError when it cannot be made."""
        if explorer not in self._samplers:
            own = (seed + zlib.crc32(explorer.encode())) % 2**31  # or two that begin at random would begin alike
            self._samplers[explorer] = make_sampler(explorer, own, len(self._records), self.population, space)
        return self._samplers[explorer]

    # -- telling

    def tell_complete(self, number: int, values: dict[str, float], constraints: dict[str, float], **facts: Any) -> None:
        """The trial was trained."""
        self._end(number, "complete", values, constraints, facts)

    def tell_repeated(self, number: int, original: TrialRecord, constraints: dict[str, float]) -> None:
        """The trial repeats the candidate of another that has ended, and takes its values."""
        reason = f"the same candidate as trial {original.number}"
        values = original.values if original.outcome == "complete" else {}
        self._end(number, "repeated", values, constraints if values else {}, {"reason": reason})

    def tell_infeasible(
        self, number: int, values: dict[str, float], constraints: dict[str, float], reason: str
    ) -> None:
        """The trial breaks a budget; without values it is no network at all."""
        self._end(number, "infeasible", values | ({"accuracy": 0.0} if values else {}), constraints, {"reason": reason})

    def tell_failed(self, number: int, reason: str, **facts: Any) -> None:
        """The trial could not be finished."""
        self._end(number, "failed", {}, {}, {"reason": reason, **facts})

    def _end(
        self,
        number: int,
        outcome: Outcome,
        values: dict[str, float],
        constraints: dict[str, float],
        facts: dict[str, Any],
    ) -> None:
        trial = copy.copy(self._memory.get_trial(number))
        if trial.state.is_finished():
            return
        # An earlier version may have been killed when it had written some of this.
        found = {"ending": {"outcome": outcome, "values": values, **facts}} if "ending" not in trial.user_attrs else {}
        before = trial.system_attrs
        trial.system_attrs = dict(before)
        for name in constraints.keys() - trial.constraints.keys():
            trial.set_constraint(name, constraints[name])
        limits = {key: value for key, value in trial.system_attrs.items() if key not in before}
        numbers = [float(values[name]) for name in self.objectives] if values and outcome != "failed" else []
        trial.state = TrialState.COMPLETE if numbers else TrialState.FAIL
        trial.values = numbers or None
        trial.user_attrs = trial.user_attrs | found
        trial.datetime_complete = datetime.now()
        self._database.end(self._ids[number], trial.state, numbers, found, limits)
        self._memory.put(trial)
        self._records[number] = _record(trial)
        self._note(self._records[number])

    def _note(self, record: TrialRecord) -> None:
        if record.outcome in ("complete", "failed"):
            self._originals[record.id] = min(record.number, self._originals.get(record.id, record.number))

    # -- reading

    def records(self) -> list[TrialRecord]:
        """Every trial, in order."""
        return list(self._records)

    def original(self, candidate_id: str) -> TrialRecord | None:
        """The first trial in which this candidate was trained, or failed at it."""
        number = self._originals.get(candidate_id)
        return None if number is None else self._records[number]

    def interrupted(self) -> Iterator[TrialRecord]:
        """Trials that a killed process left running, to be taken up again; those already known to have ended, or
        that never became a candidate, are closed here. (Only earlier versions could leave such.)"""
        for number in range(len(self._records)):
            trial = self._memory.get_trial(number)
            if trial.state.is_finished():
                continue
            ending = dict(trial.user_attrs.get("ending", {}))
            if ending:
                self._end(number, ending.pop("outcome"), ending.pop("values"), {}, ending)
            elif "candidate" not in trial.user_attrs:
                self.tell_infeasible(number, {}, {}, "interrupted before it was a candidate")
            else:
                yield self._records[number]


def _translated(key: str, value: Any, ids: Mapping[int, int] | list[int]) -> Any:
    """A study's attribute with other ids of its trials: the parents of a generation are kept so."""
    return [ids[trial] for trial in value] if PARENTS in key else value


def _record(trial: FrozenTrial) -> TrialRecord:
    attrs = trial.user_attrs
    ending: dict[str, Any] = attrs.get("ending", {})
    outcome: Outcome = ending.get("outcome", "infeasible" if trial.state.is_finished() else "running")
    return TrialRecord(
        number=trial.number,
        outcome=outcome,
        explorer=attrs.get("explorer", ""),
        candidate_json=attrs.get("candidate"),
        values=dict(ending.get("values", {})),
        reason=ending.get("reason", ""),
        seconds=float(ending.get("seconds", 0.0)),
        params=dict(trial.params),
        violations=dict(trial.constraints),
        history={name: list(values) for name, values in ending.get("history", {}).items()},
    )


def read_study(folder: Path, place: Place | None = None) -> list[TrialRecord]:
    """The trials of a finished or running run, without changing it. Raises RunError.

    The study is in the folder, unless it has another place.
    """
    _be_quiet()
    return [_record(trial) for trial in read_trials(place or Place.in_folder(folder))]


def _be_quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("optuna").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
