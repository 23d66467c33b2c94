"""Searches in which a table answers. The table is made up: what its networks reach is known in full."""

from __future__ import annotations

import csv
import itertools
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from dse.cli import cli
from dse.errors import DseError
from dse.hardware.budget import Budgets
from dse.simulation.comparison import difference
from dse.simulation.report import Report, simulate
from dse.simulation.table import Table, read_table
from dse.space.space import Space, parse_space

TEXT = """
space: planted
stem: {block: conv, channels: 8, stride: 4}
stages:
  - {block: conv, kernel: {choice: [1, 3]}, channels: {choice: [8, 16, 24]}}
  - {block: conv, kernel: {choice: [1, 3]}, channels: {choice: [8, 16, 24]}, stride: 2}
  - {block: separable, kernel: {choice: [3, 5]}, channels: {choice: [16, 32, 48]}, activation: {choice: [relu, hswish]}}
"""
PATHS = [
    "stages[0].kernel", "stages[0].channels", "stages[1].kernel", "stages[1].channels", "stages[2].kernel",
    "stages[2].channels", "stages[2].activation",
]  # fmt: skip


def planted(values: tuple[object, ...]) -> float:
    """More of everything helps, less and less, and two choices only together; chance is a tenth of a point."""
    kernel, channels, second, middle, third, last, activation = values
    gain = 0.03 * (kernel == 3) + 0.02 * (second == 3) + 0.03 * (third == 5) * (activation == "hswish")
    gain += sum(0.03 * np.log2(float(str(count)) / 8) for count in (channels, middle, last))
    return float(0.6 + gain + 0.001 * (zlib.crc32(repr(values).encode()) % 100) / 100)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("planted") / "table.csv"
    domains = space().domains
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*PATHS, "accuracy", "accuracy@epochs=0.33", "accuracy@epochs=0.11", "seconds"])
        for values in itertools.product(*(domains[path].values() for path in PATHS)):
            whole, chance = planted(values), zlib.crc32(repr(values).encode()) / 2**32 - 0.5
            writer.writerow([*values, whole, 0.9 * whole + 0.01 * chance, 0.8 * whole + 0.02 * chance, 10])
    (path.parent / "planted.yaml").write_text(TEXT)
    return path


def space() -> Space:
    return parse_space(TEXT, "planted.yaml")


@pytest.fixture(scope="module")
def table(path: Path) -> Table:
    return read_table(path, space())


def searched(table: Table, *explorers: str, trials: int = 24, seeds: int = 3, **limits: float) -> Report:
    return simulate(
        table, explorers, ["accuracy", "macs"], (), Budgets.of_boards((), **limits), trials=trials, seeds=seeds
    )


def test_bayes_finds_the_front(table: Table) -> None:
    """A few trainings of 432: with a surrogate that says nothing it is no better than chance."""
    bayes, random = searched(table, "bayes", "random").searches
    assert bayes.at(24)[0] > 0.95
    assert bayes.at(24)[0] > random.at(24)[0] + 0.08
    assert bayes.networks == random.networks == 24


def test_under_a_limit_nothing_else_is_proposed(table: Table) -> None:
    macs = sorted(cost.macs for cost in table.costs)
    report = searched(table, "bayes", macs=macs[len(macs) // 10], seeds=2)
    (bayes,) = report.searches
    assert report.fitting == pytest.approx(len(macs) / 10, abs=3)
    assert [run.infeasible for run in bayes.runs] == [0, 0]
    assert bayes.at(24)[0] > 0.97
    assert all(table.costs[row].macs <= macs[len(macs) // 10] for run in bayes.runs for row in run.rows)


def test_the_same_seed_is_the_same_search(table: Table) -> None:
    first, again = (searched(table, "bayes", seeds=1, trials=14).searches[0].runs[0].rows for _ in "ab")
    assert first == again


def test_a_table_of_some_networks(path: Path, tmp_path: Path) -> None:
    """Proposals that it does not have are replaced by what is nearest, and counted."""
    lines = path.read_text(encoding="utf-8").splitlines()
    (tmp_path / "some.csv").write_text("\n".join([lines[0], *lines[1::9]]) + "\n", encoding="utf-8")
    some = read_table(tmp_path / "some.csv", space())
    report = searched(some, "bayes", "optuna:tpe", seeds=2)
    bayes, tpe = report.searches
    assert [len(set(run.rows)) for one in report.searches for run in one.runs] == [24] * 4
    assert not any(run.replaced for run in bayes.runs)
    assert all(run.replaced > 10 for run in tpe.runs)
    assert any("are not in the table" in sentence for sentence in report.sentences())
    whole = searched(some, "bayes", seeds=1, trials=500)
    assert whole.trials == len(some.rows)
    assert whole.searches[0].at(whole.trials)[0] == pytest.approx(1)


def test_the_best_of_several_drafts_is_one_of_the_table(path: Path, tmp_path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    (tmp_path / "some.csv").write_text("\n".join([lines[0], *lines[1::9]]) + "\n", encoding="utf-8")
    some = read_table(tmp_path / "some.csv", space())
    asked = {
        "trials": 20,
        "seeds": 3,
        "objectives": ["accuracy", "macs"],
        "boards": (),
        "budgets": Budgets.of_boards(()),
    }
    (one,) = simulate(some, ["optuna:random"], **asked, best_of=1).searches  # type: ignore[arg-type]
    (ten,) = simulate(some, ["optuna:random"], **asked, best_of=10).searches  # type: ignore[arg-type]
    assert ten.at(20)[0] > one.at(20)[0] + 0.05
    with pytest.raises(DseError, match="grid goes through a whole space, and the table has a part of it"):
        simulate(some, ["grid"], **asked)  # type: ignore[arg-type]


def test_trainings_in_steps(table: Table) -> None:
    """What the others cost is counted in whole trainings; short ones that rank well find more for the same."""
    asked = (["accuracy", "macs"], (), Budgets.of_boards(()))
    whole = simulate(table, ["random"], *asked, trials=12, seeds=6).searches[0]  # type: ignore[arg-type]
    report = simulate(table, ["random"], *asked, trials=12, seeds=6, fidelity="halving")  # type: ignore[arg-type]
    (steps,) = report.searches
    assert steps.at(12)[0] > whole.at(12)[0] + 0.05
    for run in steps.runs:
        assert run.steps > 3 * len(run.rows)
        assert all(later > earlier for earlier, later in itertools.pairwise(run.work))
        assert run.work[-1] == pytest.approx(12, abs=1.5)
    assert steps.at(1)[0] == 0
    assert "halving, counted in whole trainings" in report.about
    with pytest.raises(DseError, match="`fidelity` halving:data: the table has no accuracies after a ninth or a third"):
        simulate(table, ["random"], *asked, trials=12, seeds=1, fidelity="halving:data")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "objectives", [["accuracy", "arena_bytes"], ["accuracy"], ["accuracy", "params", "macs", "arena_bytes"]]
)
def test_any_objectives(table: Table, objectives: list[str]) -> None:
    """Also such as the table has no column for."""
    report = simulate(table, ["bayes", "random"], objectives, (), Budgets.of_boards(()), trials=24, seeds=3)
    bayes, random = report.searches
    assert bayes.at(24)[0] > random.at(24)[0]
    assert bayes.at(24)[0] > (0.9 if len(objectives) < 3 else random.at(24)[0] + 0.02)


def test_a_folder_of_its_name_is_left_alone(table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kept = tmp_path / "simulated" / "checkpoints" / "0-abc" / "state"
    kept.parent.mkdir(parents=True)
    kept.write_text("kept")
    searched(table, "random", seeds=1, trials=2)
    assert kept.read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["simulated"]


def test_a_table_without_a_front(path: Path, tmp_path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    (tmp_path / "one.csv").write_text("\n".join(lines[:2]) + "\n", encoding="utf-8")
    with pytest.raises(DseError, match="equally accurate"):
        searched(read_table(tmp_path / "one.csv", space()), "random")


def test_differences() -> None:
    rng = np.random.default_rng(0)
    one = rng.normal(0.8, 0.02, 20)
    found = difference("a", one, "b", rng.normal(0.7, 0.02, 20))
    assert found.chance < 0.001
    assert 0.08 < found.low < found.mean < found.high < 0.12
    assert found.sentence.startswith("a is better than b by")
    alike = difference("a", one, "b", rng.permutation(one) + 1e-4)
    assert alike.chance > 0.5
    assert "do not differ beyond luck" in alike.sentence


def test_the_command(path: Path, tmp_path: Path) -> None:
    asked = [
        "simulate", "--space", str(path.parent / "planted.yaml"), "--table", str(path), "--explorer", "bayes",
        "--explorer", "optuna:nsga2", "--trials", "12", "--seeds", "2", "--plot", str(tmp_path / "plot.html"),
    ]  # fmt: skip
    shown = CliRunner().invoke(cli, asked, catch_exceptions=False)
    assert shown.exit_code == 0
    assert "planted: 432 networks; objectives accuracy, macs" in shown.stdout
    assert "after 12 trainings" in shown.stdout
    page = (tmp_path / "plot.html").read_text(encoding="utf-8")
    assert "hours of training" in page
    read = json.loads(CliRunner().invoke(cli, [*asked, "--json"], catch_exceptions=False).stdout)
    assert [one["explorer"] for one in read["explorers"]] == ["bayes", "optuna:nsga2"]
    assert all(len(one["by_training"]) == 12 for one in read["explorers"])
    refused = CliRunner().invoke(cli, [*asked, "--max-macs", "1"])
    assert "none of the 432 networks of the table keeps to the limits" in str(refused.exception)
