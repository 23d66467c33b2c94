"""What a driver does for one trial, by explorer and by how many trials the study holds: `make bench` prints it.

The trials cost nothing: they are written into the study as if they had been trained. Timed is a whole turn: propose,
read the record, tell that it is complete. Names of explorers may be given: `python -m benchmarks.bench_explorers nni:tpe`.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from optuna.distributions import distribution_to_json
from optuna.trial import TrialState

from dse.cost.metrics import DIRECTIONS
from dse.cost.report import estimate
from dse.errors import NetworkError
from dse.network.candidate import Candidate
from dse.search.explorers.explorers import make_explorer
from dse.search.explorers.names import EXPLORERS
from dse.search.study._optuna_internals import PARAMS, SYSTEM, TRIALS, USER, VALUES, stored_value
from dse.search.study.database import Database, Place
from dse.search.study.distributions import distribution
from dse.search.study.trial_log import TrialLog
from dse.search.summary import cost_values
from dse.space.conditions import Assignment
from dse.space.space import Defaults, Space, load_space
from tests.helpers.explorers import log_in
from tests.helpers.postgres import programs, server

OBJECTIVES = ["accuracy", "params", "macs", "arena_bytes"]
SIZES = (10, 1_000, 10_000)
TURNS = 7
NOW = datetime(2026, 11, 1)
PATIENCE = 20.0  # seconds that the turns of one explorer may take


def drawn(space: Space, count: int) -> list[tuple[Assignment, Candidate, dict[str, float]]]:
    """So many random candidates with what they cost."""
    found: list[tuple[Assignment, Candidate, dict[str, float]]] = []
    rng = np.random.default_rng(0)
    while len(found) < count:
        with suppress(NetworkError):
            assignment, candidate = space.sample(rng)
            found.append((assignment, candidate, cost_values(estimate(candidate.network))))
    return found


def fill(place: Place, space: Space, count: int) -> None:
    """A study with so many random trials, every tenth of them infeasible, written at once. Beyond a thousand candidates
    come again, under another learning rate as it were: with other accuracies."""
    candidates, rng = drawn(space, min(count, 1000)), np.random.default_rng(1)
    database = Database(place, [DIRECTIONS[name] for name in OBJECTIVES], OBJECTIVES)
    rows: dict[Any, list[dict[str, Any]]] = {table: [] for table in (TRIALS, PARAMS, USER, SYSTEM, VALUES)}
    for number in range(count):
        assignment, candidate, costs = candidates[number % len(candidates)]
        fits = number % 10 != 0
        values = costs | {"accuracy": float(rng.random()) if fits else 0.0}
        user = {"explorer": "random", "id": candidate.id, "candidate": candidate.to_json()}
        user["ending"] = {"outcome": "complete" if fits else "infeasible", "values": values}
        at = {"trial_id": number + 1}
        state = TrialState.COMPLETE
        rows[TRIALS].append({"number": number, "study_id": 1, "state": state, "datetime_start": NOW})
        for path, value in assignment.items():
            known = distribution(space.domains[path])
            internal = known.to_internal_repr(value)
            text = distribution_to_json(known)
            rows[PARAMS].append(at | {"param_name": path, "param_value": internal, "distribution_json": text})
        rows[USER] += [at | {"key": key, "value_json": json.dumps(value)} for key, value in user.items()]
        rows[SYSTEM].append(at | {"key": "constraints:arena_bytes", "value_json": "-0.5" if fits else "0.5"})
        rows[SYSTEM].append(at | {"key": "NSGAIISampler:generation", "value_json": str(number // 32)})
        for objective, name in enumerate(OBJECTIVES):
            rows[VALUES].append(at | {"objective": objective} | stored_value(values[name]))
    with database._transaction() as connection:
        for table, some in rows.items():
            connection.execute(table.insert(), some)


def turns(name: str, log: TrialLog, space: Space) -> tuple[float, float]:
    """The least milliseconds that a turn takes: of this processor, and in all, with waiting for the disk or a server."""
    explorer = make_explorer(name, log, space, Defaults(), 0, lambda candidate: True)
    worked: list[float] = []
    passed: list[float] = []
    while len(worked) < 1 + TURNS and sum(passed) < PATIENCE:
        before, started = time.process_time(), time.perf_counter()
        proposal = explorer.propose(log.records())
        if proposal is None:
            break
        candidate = log.records()[proposal.number].candidate
        if candidate:
            values = cost_values(estimate(candidate.network)) | {"accuracy": 0.5}
            log.tell_complete(proposal.number, values, {"arena_bytes": -0.5})
        worked.append(time.process_time() - before)
        passed.append(time.perf_counter() - started)
    return 1000 * min(worked[1:] or worked), 1000 * min(passed[1:] or passed)


def rows(logs: Sequence[Callable[[], TrialLog]], names: Sequence[str], space: Space) -> None:
    """A line per explorer, with both times for each study."""
    for name in names:
        cells = ["{:.0f} ({:.0f})".format(*turns(name, log(), space)) for log in logs]
        print(f"{name:16}" + "".join(f"{cell:>18}" for cell in cells), flush=True)


@contextmanager
def filled(size: int, space: Space) -> Iterator[Callable[[], TrialLog]]:
    """A study with so many trials. A small one is a new copy each time; a large one stays open, and a few trials more
    do not matter to it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(Place.in_folder(folder), space, size)
        large = log_in(folder, OBJECTIVES) if size > 1000 else None

        def log() -> TrialLog:
            copy = Path(tempfile.mkdtemp(dir=folder))
            shutil.copy(folder / "study.db", copy)
            return large or log_in(copy, OBJECTIVES)

        yield log


def able(name: str) -> bool:
    """Whether what an explorer needs is installed, and it takes a space of this size."""
    package = {"optuna:gp": "torch", "nni:anneal": "hyperopt"}.get(name)
    return name != "optuna:grid" and (package is None or importlib.util.find_spec(package) is not None)


def main() -> None:
    space = load_space("cmv3")
    print(
        f"driver work per trial: ms of processor time, and in all; least of {TURNS} turns; cmv3.yaml, four objectives"
    )
    print(f"{'SQLite':16}" + "".join(f"{size:>18,}" for size in SIZES))
    with ExitStack() as stack:
        logs = [stack.enter_context(filled(size, space)) for size in SIZES]
        rows(logs, [name for name in sys.argv[1:] or EXPLORERS if able(name)], space)
    if programs() and importlib.util.find_spec("psycopg"):
        print("PostgreSQL on this machine")
        with server() as url:
            place = Place(url, "dse-bench")
            fill(place, space, 1000)
            rows([lambda: TrialLog(place, OBJECTIVES)], ["optuna:nsga2", "random"], space)


if __name__ == "__main__":
    main()
