"""The record of a run: a log of its trials, in a database and, while a search works on it, in memory.

Everything that is known of a run is in its database, so a killed run goes on from there. A search reads it once, when
it opens it; then it reads from memory, and writes every proposal and every ending, each in one transaction. An
infeasible trial is told as complete with accuracy 0, its real costs, and positive constraints: so every sampler that
knows constraints learns by how much it was off.

The database is a study of Optuna, so that its dashboard and other tools read every run. Who proposes is not the log's
concern; it keeps what samplers want kept.
"""

from __future__ import annotations

import dataclasses
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import optuna
from optuna.trial import FrozenTrial, TrialState

from dse.cost.metrics import DIRECTIONS
from dse.network.candidate import Candidate
from dse.search.record import Outcome, Step, TrialRecord
from dse.search.study._optuna_internals import PARENTS
from dse.search.study.database import Database, Place, read_trials
from dse.space.conditions import Value
from dse.space.domains import Domain


@dataclass(frozen=True)
class Draft:
    """What an explorer would propose: not yet a trial, and nowhere written. Without a candidate, `problem` says why."""

    params: Mapping[str, Value]  # in the order in which they were asked for
    domains: Mapping[str, Domain]
    candidate: Candidate | None
    problem: str = ""
    attrs: Mapping[str, Any] = field(default_factory=dict)  # what a sampler of Optuna keeps with the trial


@dataclass(frozen=True)
class Proposal:
    """A trial that has begun: its number, and the candidate or why there is none."""

    number: int
    candidate: Candidate | None
    problem: str = ""


class Annotations(NamedTuple):
    """What a sampler keeps with a trial, and with the whole study; there trials stand by their number."""

    trial: Mapping[str, Any]
    study: Mapping[str, Any]


class Annotator(Protocol):
    """Keeps something with every new trial, whoever proposed it: the generation of a genetic algorithm, say."""

    def annotate(self, draft: Draft) -> Annotations:
        """What it keeps with a draft that is about to become the next trial."""
        ...


@dataclass(frozen=True)
class Entry:
    """A trial as the log keeps it: its record, and what only the database and samplers look at."""

    record: TrialRecord
    trial_id: int  # in the database
    finished: bool
    objectives: Sequence[float] | None  # their values after the first step, when samplers may learn from them
    attrs: Mapping[str, Any]  # what samplers keep with it, and its constraints


class TrialLog:
    """The trials of one run. One process at a time may have it; others read with `read_study`."""

    def __init__(self, place: Place, objectives: list[str]) -> None:
        _be_quiet()
        self.objectives = objectives
        self.annotators: list[Annotator] = []
        self._database = Database(place, [DIRECTIONS[name] for name in objectives], objectives)
        self._originals: dict[str, int] = {}  # the first trial that ended with a candidate, by its id
        self._entries = [
            self._entry(*both) for both in zip(self._database.trials(), self._database.trial_ids(), strict=True)
        ]
        for entry in self._entries:
            self._note(entry.record)
        numbers = {entry.trial_id: entry.record.number for entry in self._entries}
        self._study_attrs = _translated(self._database.system_attrs(), numbers.__getitem__)

    # -- reading

    @property
    def entries(self) -> Sequence[Entry]:
        """Every trial, in order, with what samplers keep of it."""
        return self._entries

    @property
    def study_attrs(self) -> Mapping[str, Any]:
        """What samplers keep with the whole study."""
        return self._study_attrs

    def records(self) -> list[TrialRecord]:
        """Every trial, in order."""
        return [entry.record for entry in self._entries]

    def original(self, candidate_id: str) -> TrialRecord | None:
        """The first trial in which this candidate was trained, or failed at it."""
        number = self._originals.get(candidate_id)
        return None if number is None else self._entries[number].record

    def interrupted(self) -> Iterator[TrialRecord]:
        """Trials that a killed process left running, to be taken up again; those already known to have ended, or
        that never became a candidate, are closed here. (Only earlier versions could leave such.)"""
        for entry in list(self._entries):
            record = entry.record
            if entry.finished:
                continue
            if record.outcome != "running":
                self._finish(record.number, record.outcome, record.values, {}, {})
            elif record.candidate_json is None:
                self.tell_infeasible(record.number, {}, {}, "interrupted before it was a candidate")
            else:
                yield record

    # -- appending

    def append(self, explorer: str, draft: Draft) -> Proposal:
        """Makes a draft the next trial, running, and writes it down.

        Raises RunError when it cannot be written, or another process has written a trial in between.
        """
        number, candidate = len(self._entries), draft.candidate
        attrs, of_study = dict(draft.attrs), dict[str, Any]()
        for annotator in self.annotators:
            kept = annotator.annotate(draft)
            attrs |= kept.trial
            of_study |= kept.study
        changed = {key: value for key, value in of_study.items() if value != self._study_attrs.get(key)}
        written = _translated(changed, lambda number: self._entries[number].trial_id)
        about = {"explorer": explorer}
        if candidate:
            about |= {"id": candidate.id, "candidate": candidate.to_json()}
        trial_id = self._database.add(number, draft.params, draft.domains, about, attrs, written)
        self._study_attrs |= changed
        record = TrialRecord(number, "running", explorer, about.get("candidate"), params=dict(draft.params))
        self._entries.append(Entry(record, trial_id, False, None, attrs))
        return Proposal(number, candidate, draft.problem)

    # -- finishing

    def tell_complete(self, number: int, values: dict[str, float], constraints: dict[str, float], **facts: Any) -> None:
        """The trial was trained."""
        self._finish(number, "complete", values, constraints, facts)

    def tell_repeated(self, number: int, original: TrialRecord, constraints: dict[str, float]) -> None:
        """The trial repeats the candidate of another that has ended, and takes its values: those after its first step,
        which samplers know of the other too."""
        facts: dict[str, Any] = {"reason": f"the same candidate as trial {original.number}"}
        values = original.first_values if original.outcome == "complete" else {}
        if values and original.first_share < 1:
            facts["share"] = original.first_share
        self._finish(number, "repeated", values, constraints if values else {}, facts)

    def tell_infeasible(
        self, number: int, values: dict[str, float], constraints: dict[str, float], reason: str
    ) -> None:
        """The trial breaks a budget; without values it is no network at all."""
        values = values | ({"accuracy": 0.0} if values else {})
        self._finish(number, "infeasible", values, constraints, {"reason": reason})

    def tell_failed(self, number: int, reason: str, **facts: Any) -> None:
        """The trial could not be finished."""
        self._finish(number, "failed", {}, {}, {"reason": reason, **facts})

    # -- training on

    def begin_more(self, number: int, step: Step) -> None:
        """A complete trial is trained on, or by another seed. Until that has ended it stands as it is."""
        entry = self._entries[number]
        self._change(entry, {"more": [step.share, step.seed]})

    def tell_more(self, number: int, values: dict[str, float], **facts: Any) -> None:
        """What it was trained on to: its values then. Of another seed only the accuracy is taken, into the mean."""
        entry = self._entries[number]
        record = entry.record
        step = record.more
        assert step is not None  # it has begun
        changes: dict[str, Any] = {"more": None, "seconds": round(record.seconds + facts.pop("seconds", 0.0), 2)}
        if step.seed:
            seeds = [*record.seeds, values["accuracy"]]
            changes |= {"values": record.values | {"accuracy": sum(seeds) / len(seeds)}, "seeds": seeds}
        else:
            # A step that was over when it was killed has no history of its own.
            history = facts.pop("history", {})
            joined = record.history | {name: record.history.get(name, []) + more for name, more in history.items()}
            changes |= {"values": values, "share": step.share, "earlier": _steps(record), "history": joined, **facts}
        self._change(entry, changes)

    def tell_stopped(self, number: int, reason: str) -> None:
        """It could not be trained on; what it has reached stays."""
        self._change(self._entries[number], {"more": None, "stopped": reason})

    def _change(self, entry: Entry, changes: dict[str, Any]) -> None:
        values = changes.get("values", entry.record.values)
        self._rewrite(entry, TrialState.COMPLETE, [float(values[name]) for name in self.objectives], changes)

    # -- amending

    def amend(self, number: int, values: dict[str, float]) -> None:
        """More is known of a complete trial, or of one that repeats it: these values, beside its own or in place of
        them. Who is trained on is decided by what was told of the steps, which stays."""
        entry = self._entries[number]
        steps = _steps(entry.record) if entry.record.outcome == "complete" and entry.record.first_share < 1 else []
        self._change(entry, {"values": entry.record.values | values, "seeds": [], "earlier": steps})

    def amend_failed(self, number: int, reason: str) -> None:
        """A complete trial, or one that repeats it, is found to have failed."""
        changes: dict[str, Any] = {
            "outcome": "failed",
            "values": {},
            "reason": reason,
            "more": None,
            "earlier": [],
            "seeds": [],
        }
        self._rewrite(self._entries[number], TrialState.FAIL, [], changes)

    def _rewrite(self, entry: Entry, state: TrialState, objectives: list[float], changes: dict[str, Any]) -> None:
        ending = self._database.rewrite(entry.trial_id, state, objectives, "ending", changes)
        record = _ended(entry.record, ending)
        first = self._learned(record) if objectives else None
        self._entries[record.number] = dataclasses.replace(entry, record=record, objectives=first)

    def _learned(self, record: TrialRecord) -> list[float]:
        values = record.first_values
        return [float(values[name]) for name in self.objectives]

    def _finish(
        self,
        number: int,
        outcome: Outcome,
        values: dict[str, float],
        constraints: Mapping[str, float],
        facts: Mapping[str, Any],
    ) -> None:
        entry = self._entries[number]
        if entry.finished:
            return
        record, ending = entry.record, dict[str, Any]()
        if record.outcome == "running":  # an earlier version may have been killed when it had written its ending
            ending = {"ending": {"outcome": outcome, "values": values, **facts}}
            record = _ended(record, ending["ending"])
        new = {name: value for name, value in constraints.items() if name not in record.violations}
        limits = optuna.trial.create_trial(state=TrialState.RUNNING, constraints=new).system_attrs
        objectives = [float(values[name]) for name in self.objectives] if values and outcome != "failed" else []
        state = TrialState.COMPLETE if objectives else TrialState.FAIL
        self._database.end(entry.trial_id, state, objectives, ending, limits)
        record = dataclasses.replace(record, violations=record.violations | new)
        self._entries[number] = Entry(record, entry.trial_id, True, objectives or None, {**entry.attrs, **limits})
        self._note(record)

    def _entry(self, trial: FrozenTrial, trial_id: int) -> Entry:
        record = _record(trial)
        complete = trial.values if trial.state == TrialState.COMPLETE else None
        learned = self._learned(record) if complete and record.earlier else complete
        return Entry(record, trial_id, trial.state.is_finished(), learned, trial.system_attrs)

    def _note(self, record: TrialRecord) -> None:
        if record.outcome in ("complete", "failed"):
            self._originals[record.id] = min(record.number, self._originals.get(record.id, record.number))


def read_study(folder: Path, place: Place | None = None) -> list[TrialRecord]:
    """The trials of a finished or running run, without changing it. Raises RunError.

    The study is in the folder, unless it has another place.
    """
    _be_quiet()
    return [_record(trial) for trial in read_trials(place or Place.in_folder(folder))]


def _steps(record: TrialRecord) -> list[list[float]]:
    """Share and accuracy of all steps of a trial so far."""
    own = [] if any(share == record.share for share, _ in record.earlier) else [[record.share, record.seeds[0]]]
    return [*record.earlier, *own]


def _translated(attrs: Mapping[str, Any], other: Callable[[int], int]) -> dict[str, Any]:
    """Attributes of a study with other ids of its trials: the parents of a generation are kept so."""
    return {key: list(map(other, value)) if PARENTS in key else value for key, value in attrs.items()}


def _record(trial: FrozenTrial) -> TrialRecord:
    attrs = trial.user_attrs
    record = TrialRecord(
        number=trial.number,
        outcome="infeasible" if trial.state.is_finished() else "running",
        explorer=attrs.get("explorer", ""),
        candidate_json=attrs.get("candidate"),
        params=dict(trial.params),
        violations=dict(trial.constraints),
    )
    return _ended(record, attrs["ending"]) if "ending" in attrs else record


def _ended(record: TrialRecord, ending: Mapping[str, Any]) -> TrialRecord:
    complete, more = ending["outcome"] == "complete", ending.get("more")
    return dataclasses.replace(
        record,
        outcome=ending["outcome"],
        values=dict(ending["values"]),
        share=float(ending.get("share", 1.0)),
        earlier=[list(step) for step in ending.get("earlier", [])],
        seeds=(ending.get("seeds") or [ending["values"]["accuracy"]]) if complete else [],
        more=Step(*more) if complete and more else None,
        stopped=ending.get("stopped", ""),
        reason=ending.get("reason", ""),
        seconds=float(ending.get("seconds", 0.0)),
        history={name: list(values) for name, values in ending.get("history", {}).items()},
        arithmetic=ending.get("arithmetic", ""),
    )


def _be_quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("optuna").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
