"""The record of a run: an Optuna study in a database, and Optuna's samplers as explorers.

Everything that is known of a run is in its study, so a killed run goes on from there. This is the only file that
imports Optuna. An infeasible trial is told as complete with accuracy 0, its real costs, and positive constraints:
so every sampler that knows constraints learns by how much it was off.
"""

from __future__ import annotations

import importlib.util
import logging
import sqlite3
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna
import sqlalchemy
from optuna.trial import FrozenTrial, TrialState

from dse.candidate import Candidate
from dse.domains import Choice, Domain, FloatRange
from dse.errors import NetworkError, RunError
from dse.record import Outcome, TrialRecord
from dse.space import Assignment, Defaults, Space
from dse.tasks import DIRECTIONS

STUDY_NAME = "dse"
OUTCOMES: tuple[Outcome, ...] = ("complete", "repeated", "infeasible", "failed")


@dataclass(frozen=True)
class Proposal:
    """A trial that has begun: its number, and the candidate or why there is none."""

    number: int
    candidate: Candidate | None
    problem: str = ""


class Study:
    """The trials of one run."""

    def __init__(self, url: str, objectives: list[str], population: int = 16) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        logging.getLogger("optuna").setLevel(logging.WARNING)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self.objectives = objectives
        self.population = population
        try:
            storage = optuna.storages.RDBStorage(url)
            self.study = optuna.create_study(
                study_name=STUDY_NAME,
                storage=storage,
                directions=[DIRECTIONS[name] for name in objectives],
                load_if_exists=True,
            )
        except Exception as error:  # SQLAlchemy and Optuna raise many kinds here
            raise RunError(f"{url}: the study cannot be opened: {error}") from None
        self.study.set_metric_names(objectives)
        self._samplers: dict[str, optuna.samplers.BaseSampler] = {}
        self._ended: dict[int, TrialRecord] = {}

    @classmethod
    def in_folder(cls, folder: Path, objectives: list[str], population: int = 16) -> Study:
        """The study in results/<name>/study.db."""
        return cls(sqlite_url(folder), objectives, population)

    # -- proposing

    def ask(self, explorer: str, seed: int, space: Space, defaults: Defaults) -> Proposal:
        """A new trial from one of Optuna's samplers, which is asked for each open value as it is met."""
        self.study.sampler = self._sampler(explorer, seed)
        return self._begin(self.study.ask(), explorer, space, defaults)

    def enqueue(self, explorer: str, assignment: Assignment, space: Space, defaults: Defaults) -> Proposal:
        """A new trial with values that another explorer chose."""
        self.study.enqueue_trial(dict(assignment))
        return self._begin(self.study.ask(), explorer, space, defaults)

    def _begin(self, trial: optuna.Trial, explorer: str, space: Space, defaults: Defaults) -> Proposal:
        trial.set_user_attr("explorer", explorer)
        try:
            candidate = space.candidate(lambda path, domain: _suggest(trial, path, domain), defaults)
        except NetworkError as error:
            return Proposal(trial.number, None, str(error))
        trial.set_user_attr("id", candidate.id)
        trial.set_user_attr("candidate", candidate.to_json())
        return Proposal(trial.number, candidate)

    def _sampler(self, explorer: str, seed: int) -> optuna.samplers.BaseSampler:
        if explorer not in self._samplers:
            # A fresh process must not propose again what the study holds: its seed depends on how much there is.
            seed = (seed * 1_000_003 + len(self.study.get_trials(deepcopy=False))) % 2**32
            sampler: optuna.samplers.BaseSampler
            match explorer:
                case "optuna:nsga2":
                    sampler = optuna.samplers.NSGAIISampler(population_size=self.population, seed=seed)
                case "optuna:nsga3":
                    sampler = optuna.samplers.NSGAIIISampler(population_size=self.population, seed=seed)
                case "optuna:tpe":
                    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=self.population)
                case "optuna:gp":
                    if not importlib.util.find_spec("torch"):
                        raise RunError("optuna:gp needs the package torch, which is not installed: pip install torch")
                    sampler = optuna.samplers.GPSampler(seed=seed, n_startup_trials=self.population)
                case "optuna:qmc":
                    sampler = optuna.samplers.QMCSampler(seed=seed, warn_independent_sampling=False)
                case "optuna:random":
                    sampler = optuna.samplers.RandomSampler(seed=seed)
                case _:
                    raise AssertionError(f"{explorer} is not one of Optuna's")
            self._samplers[explorer] = sampler
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
        trial = self._live(number)
        for name, violation in constraints.items():
            trial.set_constraint(name, violation)
        # One attribute holds all that makes the trial a record: it is there whole or not at all.
        trial.set_user_attr("ending", {"outcome": outcome, "values": values, **facts})
        self._finish(number, outcome, values)

    def _finish(self, number: int, outcome: Outcome, values: dict[str, float]) -> None:
        if values and outcome != "failed":
            self.study.tell(number, [values[name] for name in self.objectives], skip_if_finished=True)
        else:
            self.study.tell(number, state=TrialState.FAIL, skip_if_finished=True)

    def _live(self, number: int) -> optuna.Trial:
        return optuna.Trial(self.study, self.study.get_trials(deepcopy=False)[number]._trial_id)

    # -- reading

    def records(self) -> list[TrialRecord]:
        """Every trial, in order. One that has ended is read once."""
        found = []
        for trial in self.study.get_trials(deepcopy=False):
            record = self._ended.get(trial.number) or _record(trial)
            if trial.state.is_finished():
                self._ended[trial.number] = record
            found.append(record)
        return found

    def interrupted(self) -> Iterator[TrialRecord]:
        """Trials that a killed process left running, to be taken up again; those already known to have ended, or
        that never became a candidate, are closed here."""
        while self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            self.study.ask()  # takes the one that waits, and begins it
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            ending = trial.user_attrs.get("ending")
            if ending:
                self._finish(trial.number, ending["outcome"], ending["values"])
            elif "candidate" not in trial.user_attrs:
                self.tell_infeasible(trial.number, {}, {}, "interrupted before it was a candidate")
            else:
                yield _record(trial)


def sqlite_url(folder: Path) -> str:
    """The address of the database in a run's folder, whatever characters its name has."""
    return sqlalchemy.URL.create("sqlite", database=str(folder / "study.db")).render_as_string()


def _record(trial: FrozenTrial) -> TrialRecord:
    attrs = trial.user_attrs
    ending: dict[str, Any] = attrs.get("ending", {})
    outcome: Outcome = ending.get("outcome", "infeasible" if trial.state.is_finished() else "running")
    return TrialRecord(
        number=trial.number,
        outcome=outcome,
        explorer=attrs.get("explorer", ""),
        candidate=Candidate.from_json(attrs["candidate"]) if "candidate" in attrs else None,
        values=dict(ending.get("values", {})),
        reason=ending.get("reason", ""),
        seconds=float(ending.get("seconds", 0.0)),
        params=dict(trial.params),
        violations=dict(trial.constraints),
        history={name: list(values) for name, values in ending.get("history", {}).items()},
    )


def _suggest(trial: optuna.Trial, path: str, domain: Domain) -> Any:
    match domain:
        case Choice():
            return trial.suggest_categorical(path, list(domain.labels))
        case FloatRange():
            return trial.suggest_float(path, domain.low, domain.high, log=domain.log)
        case _:
            return trial.suggest_int(path, domain.low, domain.high, step=domain.step)


class _ReadOnlyConnection(sqlite3.Connection):
    """A connection that refuses to change its database.

    NOTE: not SQLite's mode=ro, which cannot roll back what a killed search was just writing, and fails then.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.execute("PRAGMA query_only = ON")


class ReadOnlyStorage(optuna.storages.RDBStorage):
    """The database of a run, to be read; whatever would change it raises. Raises RunError when there is none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / "study.db"
        if not path.is_file():
            raise RunError(f"{folder}: no study.db, so this is no run; a run is a folder that dse search wrote")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        # Creating the file, or tables in it, would race with a search that is just creating them.
        url = sqlalchemy.URL.create(
            "sqlite", database=f"file:{quote(str(path.resolve()))}", query={"mode": "rw", "uri": "true"}
        )
        try:
            super().__init__(
                url.render_as_string(),
                engine_kwargs={"connect_args": {"factory": _ReadOnlyConnection}},
                skip_table_creation=True,
            )
            self.get_study_id_from_name(STUDY_NAME)
        except Exception as error:  # SQLAlchemy and Optuna raise many kinds here
            raise RunError(f"{path}: not the study of a run: {error}") from None


def read_study(folder: Path) -> list[TrialRecord]:
    """The trials of a finished or running run, without changing it. Raises RunError."""
    study = optuna.load_study(study_name=STUDY_NAME, storage=ReadOnlyStorage(folder))
    return [_record(trial) for trial in study.get_trials(deepcopy=False)]
