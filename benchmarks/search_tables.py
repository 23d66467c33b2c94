"""All explorers on tables of trained networks: `python -m benchmarks.search_tables OUT nas-bench-macro=macro.csv ...`.

A row of OUT is one search: its table, explorer, seed, and the share of the front's hypervolume after so many trainings.
What stands there is not searched again. `--print` shows the means as Markdown. The spaces are in `benchmarks/spaces/`.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.rows import append_rows, read_rows
from dse.hardware.budget import Budgets
from dse.search.explorers.explorers import Explorer, make_explorer
from dse.search.explorers.names import EXPLORERS
from dse.simulation.answering import TableCosting
from dse.simulation.report import simulate
from dse.simulation.table import Table, read_table
from dse.space.space import Defaults, load_space

SPACES = Path(__file__).parent / "spaces"
MARKS = (20, 40, 45, 80, 160)
COLUMNS = ("table", "explorer", "best_of", "seed", *map(str, MARKS), "networks", "proposals", "ms_per_proposal")
IMAGES = {"accel-nasbench": Defaults((224, 224, 3), 1000)}
SKIPPED = {"optuna:gp", "nni:anneal", "optuna:grid", "grid", "nni:gridsearch"}
Patch = Callable[[pytest.MonkeyPatch], None]


def without_surrogate(patch: pytest.MonkeyPatch) -> None:
    """Its pool in any order."""
    rng = np.random.default_rng(0)
    patch.setattr("dse.search.surrogate.surrogate.Outlook.gains", lambda self, sketches: rng.random(len(sketches)))


def without_list(patch: pytest.MonkeyPatch) -> None:
    """It looks at some networks, as in a space that is too large to list, and not at all of the table."""
    made = TableCosting.__init__

    def init(self: TableCosting, *arguments: Any) -> None:
        made(self, *arguments)
        self.every = None  # type: ignore[assignment]

    patch.setattr(TableCosting, "__init__", init)


def without_local_search(patch: pytest.MonkeyPatch) -> None:
    """The same, and random networks only, as many."""
    without_list(patch)
    patch.setattr("dse.search.explorers.bayes.NEAR_FRONT", 0)
    patch.setattr("dse.search.explorers.bayes.NEAR_BEST", 0)
    patch.setattr("dse.search.explorers.bayes.RANDOM", 172)


def without_spread(patch: pytest.MonkeyPatch) -> None:
    """The first ones at random, not over the costs."""
    patch.setattr("dse.search.explorers.bayes._van_der_corput", lambda number: float(hash((number, 7)) % 1000) / 1000)


def population_of(count: int) -> Patch:
    """A generation of so many."""

    def change(patch: pytest.MonkeyPatch) -> None:
        def made(*arguments: Any, **named: Any) -> Explorer:
            *others, _ = arguments  # the population is the last without a name
            return make_explorer(*others, count, **named)

        patch.setattr("dse.search.driver.make_explorer", made)

    return change


POPULATIONS = {f"generations of {count}": population_of(count) for count in (6, 10, 20, 40)}
ABLATIONS: dict[str, Patch] = {
    "without its surrogate": without_surrogate,
    "without the list": without_list,
    "without the list and local search": without_local_search,
    "without the spread": without_spread,
}


def parse(text: str) -> tuple[str, Table]:
    """A table by its name and its file."""
    name, _, file = text.partition("=")
    return name, read_table(Path(file), load_space(str(SPACES / f"{name}.yaml")), IMAGES.get(name, Defaults()))


@contextmanager
def changed(name: str) -> Iterator[str]:
    """The explorer of a name, or bayes without a part of it."""
    explorer, _, part = name.partition(", ")
    with pytest.MonkeyPatch.context() as patch:
        if part:
            (ABLATIONS | POPULATIONS)[part](patch)
        yield explorer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("tables", nargs="*", help="NAME=FILE")
    parser.add_argument("--explorers", nargs="+", default=[name for name in EXPLORERS if name not in SKIPPED])
    parser.add_argument("--ablations", action="store_true")
    parser.add_argument("--populations", action="store_true", help="of the genetic algorithm")
    parser.add_argument("--best-of", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=max(MARKS))
    parser.add_argument("--print", action="store_true", dest="printed")
    asked = parser.parse_args()
    names = [*asked.explorers, *(f"bayes, {part}" for part in ABLATIONS if asked.ablations)]
    names += [f"optuna:nsga2, {part}" for part in POPULATIONS if asked.populations]
    for name, table in map(parse, asked.tables):
        for explorer in names:
            if not any(matches(row, name, explorer, asked.best_of) for row in read_rows(asked.out)):
                new = search(name, table, explorer, asked.best_of, asked.seeds, asked.trials)
                append_rows(asked.out, COLUMNS, new)
    if asked.printed:
        for name, text in tables(read_rows(asked.out)).items():
            print(f"\n{name}\n\n{text}")


def search(name: str, table: Table, explorer: str, best_of: int, seeds: int, trials: int) -> list[dict[str, object]]:
    """A row for each seed."""
    with changed(explorer) as real:
        report = simulate(
            table, [real], ["accuracy", "macs"], (), Budgets.of_boards(()), trials=trials, seeds=seeds, best_of=best_of
        )
    (one,) = report.searches
    found: list[dict[str, object]] = []
    for run, shares in zip(one.runs, one.shares, strict=True):
        at = {str(mark): f"{shares[mark - 1]:.4f}" for mark in MARKS if mark <= trials}
        found.append(
            {"table": name, "explorer": explorer, "best_of": best_of, "seed": run.seed, **at}
            | {"networks": len(run.rows), "proposals": run.proposals}
            | {"ms_per_proposal": f"{1000 * run.seconds / max(1, run.proposals):.1f}"}
        )
    print(
        name,
        explorer,
        best_of,
        " ".join(f"{mark}: {100 * one.at(mark)[0]:.1f}" for mark in MARKS if mark <= trials),
        flush=True,
    )
    return found


def matches(row: dict[str, str], table: str, explorer: str, best_of: int) -> bool:
    """Whether a row is a search of this kind."""
    return (row["table"], row["explorer"], row["best_of"]) == (table, explorer, str(best_of))


def tables(rows: list[dict[str, str]]) -> dict[str, str]:
    """Means and standard deviations of the shares in percent as Markdown, best first, by table."""
    found = {}
    for name in dict.fromkeys(row["table"] for row in rows):
        groups: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
        for row in rows:
            if row["table"] == name:
                groups[row["explorer"], row["best_of"]].append(row)
        lines = [f"| explorer | {' | '.join(map(str, MARKS))} | networks | ms |", f"|{'---|' * (len(MARKS) + 3)}"]
        for key in sorted(groups, key=lambda key: -mean(groups[key], "40")):
            explorer, best_of = key
            cells = [
                f"{100 * mean(groups[key], str(mark)):.1f} ± {100 * spread(groups[key], str(mark)):.1f}"
                for mark in MARKS
            ]
            cells.append(f"{mean(groups[key], 'networks'):.0f}")
            cells.append(f"{np.median([float(row['ms_per_proposal']) for row in groups[key]]):.0f}")
            title = explorer if best_of == "1" else f"{explorer}, the best of {best_of}"
            lines.append(f"| {title} | {' | '.join(cells)} |")
        found[name] = "\n".join(lines)
    return found


def mean(rows: list[dict[str, str]], column: str) -> float:
    """Of a column."""
    return float(np.mean([float(row[column]) for row in rows]))


def spread(rows: list[dict[str, str]], column: str) -> float:
    """Of a column: the standard deviation."""
    return float(np.std([float(row[column]) for row in rows]))


if __name__ == "__main__":
    main()
