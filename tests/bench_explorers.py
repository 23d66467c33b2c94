"""What a driver does for one trial, by explorer and by how many trials the study holds: `make bench` prints it.

The trials cost nothing: they are written into the study as if they had been trained. Timed is a whole turn: propose,
read the record, tell that it is complete.
"""

from __future__ import annotations

import importlib.util
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from dse.cost import estimate
from dse.domains import Choice, Domain, FloatRange
from dse.errors import NetworkError
from dse.explorer_names import EXPLORERS
from dse.explorers import make_explorer
from dse.space import Defaults, Space, load_space
from dse.study import Study
from dse.summary import cost_values

OBJECTIVES = ["accuracy", "params", "macs", "arena_bytes"]
SIZES = (10, 1_000, 10_000)
TURNS = 5
PATIENCE = 20.0  # seconds that the turns of one explorer may take


def distribution(domain: Domain) -> BaseDistribution:
    """The domain as Optuna has it."""
    match domain:
        case Choice():
            return CategoricalDistribution(list(domain.labels))
        case FloatRange():
            return FloatDistribution(domain.low, domain.high, log=domain.log)
        case _:
            return IntDistribution(domain.low, domain.high, step=domain.step)


def fill(folder: Path, space: Space, count: int) -> None:
    """A study with so many random trials, every tenth of them infeasible."""
    study, rng = Study.in_folder(folder, OBJECTIVES), np.random.default_rng(0)
    trials = []
    while len(trials) < count:
        try:
            assignment, candidate = space.sample(rng)
        except NetworkError:
            continue
        fits = len(trials) % 10 != 0
        values = cost_values(estimate(candidate.network)) | {"accuracy": float(rng.random()) if fits else 0.0}
        outcome = "complete" if fits else "infeasible"
        trials.append(
            optuna.trial.create_trial(
                params=assignment,
                distributions={path: distribution(space.domains[path]) for path in assignment},
                values=[values[name] for name in OBJECTIVES],
                user_attrs={
                    "explorer": "random",
                    "id": candidate.id,
                    "candidate": candidate.to_json(),
                    "ending": {"outcome": outcome, "values": values},
                },
                system_attrs={"constraints:arena_bytes": -0.5 if fits else 0.5},
            )
        )
    study.study.add_trials(trials)


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
