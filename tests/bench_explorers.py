"""What a driver does for one trial, by explorer and by how many trials the study holds: `make bench` prints it.

The trials cost nothing: they are written into the study as if they had been trained. Timed is a whole turn: propose,
read the record, tell that it is complete.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from optuna.distributions import distribution_to_json
from optuna.trial import TrialState

from dse.candidate import Candidate
from dse.cost import estimate
from dse.database import PARAMS, SYSTEM, TRIALS, USER, VALUES
from dse.errors import NetworkError
from dse.explorer_names import EXPLORERS
from dse.explorers import make_explorer
from dse.samplers import distribution
from dse.space import Assignment, Defaults, Space, load_space
from dse.study import Study
from dse.summary import cost_values

OBJECTIVES = ["accuracy", "params", "macs", "arena_bytes"]
SIZES = (10, 1_000, 10_000)
TURNS = 5
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


def fill(folder: Path, space: Space, count: int) -> None:
    """A study with so many random trials, every tenth of them infeasible, written at once. Beyond a thousand candidates
    come again, under another learning rate as it were: with other accuracies."""
    candidates, rng = drawn(space, min(count, 1000)), np.random.default_rng(1)
    database = Study.in_folder(folder, OBJECTIVES)._database
    rows: dict[Any, list[dict[str, Any]]] = {table: [] for table in (TRIALS, PARAMS, USER, SYSTEM, VALUES)}
    for number in range(count):
        assignment, candidate, costs = candidates[number % len(candidates)]
        fits = number % 10 != 0
        values = costs | {"accuracy": float(rng.random()) if fits else 0.0}
        user = {"explorer": "random", "id": candidate.id, "candidate": candidate.to_json()}
        user["ending"] = {"outcome": "complete" if fits else "infeasible", "values": values}
        at = {"trial_id": number + 1}
        state = TrialState.COMPLETE
        rows[TRIALS].append(at | {"number": number, "study_id": 1, "state": state, "datetime_start": NOW})
        for path, value in assignment.items():
            known = distribution(space.domains[path])
            internal = known.to_internal_repr(value)
            text = distribution_to_json(known)
            rows[PARAMS].append(at | {"param_name": path, "param_value": internal, "distribution_json": text})
        rows[USER] += [at | {"key": key, "value_json": json.dumps(value)} for key, value in user.items()]
        rows[SYSTEM].append(at | {"key": "constraints:arena_bytes", "value_json": "-0.5" if fits else "0.5"})
        rows[SYSTEM].append(at | {"key": "NSGAIISampler:generation", "value_json": str(number // 32)})
        for objective, name in enumerate(OBJECTIVES):
            rows[VALUES].append(at | {"objective": objective, "value": values[name], "value_type": "FINITE"})
    with database._transaction() as connection:
        for table, some in rows.items():
            connection.execute(table.insert(), some)


def turn_seconds(name: str, folder: Path, space: Space) -> list[float]:
    """Seconds of each turn of an explorer on a study; the first, which reads it all, is left out."""
    study = Study.in_folder(folder, OBJECTIVES)
    explorer = make_explorer(name, study, space, Defaults(), 0, lambda candidate: True)
    times: list[float] = []
    while len(times) < 1 + TURNS and sum(times) < PATIENCE:
        started = time.perf_counter()
        proposal = explorer.propose()
        if proposal is None:
            break
        candidate = study.records()[proposal.number].candidate
        if candidate:
            values = cost_values(estimate(candidate.network)) | {"accuracy": 0.5}
            study.tell_complete(proposal.number, values, {"arena_bytes": -0.5})
        times.append(time.perf_counter() - started)
    return times[1:] or times


def main() -> None:
    space = load_space("cmv3")
    print(f"driver work per trial, milliseconds, median of {TURNS}; cmv3.yaml, four objectives, SQLite")
    print(f"{'explorer':16}" + "".join(f"{size:>9,}" for size in SIZES))
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            (Path(folder) / str(size)).mkdir()
            fill(Path(folder) / str(size), space, size)
            print(f"  ({size:,} trials written)", file=sys.stderr)
        for name in EXPLORERS:
            if name == "optuna:gp" and not importlib.util.find_spec("torch"):
                continue
            cells = []
            for size in SIZES:
                copy = Path(folder) / "copy"
                shutil.copytree(Path(folder) / str(size), copy)
                cells.append(f"{1000 * statistics.median(turn_seconds(name, copy, space)):9.0f}")
                shutil.rmtree(copy)
            print(f"{name:16}" + "".join(cells), flush=True)


if __name__ == "__main__":
    main()
