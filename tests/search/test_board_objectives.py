"""Latency and energy as objectives and limits of a search. Nothing is trained: accuracies are made up."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from dse.cli import cli
from dse.cost.report import estimate
from dse.errors import BoardError
from dse.hardware.board_metrics import upper_end
from dse.hardware.boards import load_board
from dse.hardware.budget import Budgets
from dse.search.loop import search
from dse.search.run_folder import load_summary, read_run
from dse.search.settings import Settings
from tests.helpers.fake_pool import FakePool
from tests.helpers.paths import RUN
from tests.helpers.searches import Watcher, settings

NANO = load_board("nano33ble")


def quick(folder: Path, objectives: list[str], **changes) -> Settings:  # type: ignore[no-untyped-def]
    base = settings(folder, trials=5, **changes)
    return dataclasses.replace(base, task=base.task.model_copy(update={"objectives": objectives}))


@pytest.mark.parametrize("explorer", ["optuna:nsga2", "nni:tpe", "random"])
def test_accuracy_against_latency(explorer: str, tmp_path: Path) -> None:
    asked = quick(tmp_path, ["accuracy", "latency_ms"], explorers={explorer: 1.0})
    summary = search(asked, Watcher(), FakePool())
    complete = [record for record in summary.records if record.outcome == "complete"]
    assert len(complete) == 5
    for record in complete:
        assert record.candidate
        expected = upper_end("latency_ms", estimate(record.candidate.network).work, NANO)
        assert record.values["latency_ms"] == pytest.approx(expected)
        assert "energy_mj" not in record.values  # nobody asked for it
    front = summary.front()
    latencies = [record.values["latency_ms"] for record in front]
    assert latencies == sorted(latencies, reverse=True)  # best accuracy first, so slowest first
    assert load_summary(tmp_path).records == summary.records
    search(dataclasses.replace(asked, trials=6), Watcher(), FakePool())
    assert load_summary(tmp_path).count("complete") == 6


def test_limits_of_latency_and_energy_exclude(tmp_path: Path) -> None:
    budgets = Budgets.of_boards([NANO], latency_ms=10.0, energy_mj=1.2)
    summary = search(
        quick(tmp_path, ["accuracy", "macs"], budgets=budgets, explorers={"optuna:random": 1.0}), Watcher(), FakePool()
    )
    outcomes = {record.outcome for record in summary.records}
    assert {"complete", "infeasible"} <= outcomes
    for record in summary.records:
        if record.outcome == "complete":
            assert record.values["latency_ms"] <= 10
            assert record.values["energy_mj"] <= 1.2
        elif record.outcome == "infeasible":
            assert max(record.values["latency_ms"] / 10, record.values["energy_mj"] / 1.2) > 1
            assert record.reason.startswith(("latency_ms ", "energy_mj "))
            assert record.violations["energy_mj"] == pytest.approx(record.values["energy_mj"] / 1.2 - 1)
    limits = read_run(tmp_path)["settings"]["limits"]["nano33ble"]
    assert (limits["latency_ms"], limits["energy_mj"]) == (10.0, 1.2)


def test_with_several_boards_it_is_the_largest_of_those_that_it_fits(tmp_path: Path) -> None:
    other = load_board("imxrt1060")
    boards = (NANO, other)
    asked = quick(tmp_path, ["accuracy", "latency_ms"], boards=boards, budgets=Budgets.of_boards(boards))
    cost = estimate(asked.space.sample(np.random.default_rng(0))[1].network)
    on_nano, on_other = (upper_end("latency_ms", cost.work, board) for board in boards)
    assert on_nano > on_other
    assert asked.values_on_boards(cost) == {"latency_ms": on_nano}
    # Too slow for the Nano under this limit, so what counts is the other board.
    limited = Budgets.of_boards(boards, latency_ms=(on_nano + on_other) / 2)
    assert dataclasses.replace(asked, budgets=limited).values_on_boards(cost) == {"latency_ms": on_other}
    # It fits none: all count.
    none = Budgets.of_boards(boards, latency_ms=on_other / 2)
    assert dataclasses.replace(asked, budgets=none).values_on_boards(cost) == {"latency_ms": on_nano}
    assert dataclasses.replace(asked, task=settings(tmp_path).task).values_on_boards(cost) == {}


def test_an_objective_that_a_board_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BoardError, match="cannot give latency_ms on bluebox2"):
        quick(tmp_path, ["accuracy", "latency_ms"], boards=(NANO, load_board("bluebox2")))
    with pytest.raises(BoardError, match="cannot give energy_mj without a board"):
        quick(tmp_path, ["accuracy", "energy_mj"], boards=(), budgets=Budgets.of_boards([], macs=10**9))


def test_a_finished_run_is_read_under_limits() -> None:
    """The committed run, whose trials hold no latency: its front on a board, and what of it is quick enough."""

    def front(*options: str) -> list[dict[str, object]]:
        done = CliRunner().invoke(cli, ["front", str(RUN), *options, "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    everything = front("--board", "nano33ble")
    limited = front("--board", "nano33ble", "--max-latency", "500ms")
    high = {row["id"]: row["latency_ms"]["high"] for row in everything}  # type: ignore[index]
    assert {row["id"] for row in limited} == {name for name, value in high.items() if value <= 500}
    assert all(row["energy_mj"]["high"] > 0 for row in limited)  # type: ignore[index]
    assert 0 < len(limited) < len(everything)
    assert all("latency_ms" not in row for row in front())
    assert {row["macs"] <= 2_000_000 for row in front("--max-macs", "2M")} == {True}  # type: ignore[operator]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--max-latency", "1s"], "--max-latency: cannot give latency_ms without a board"),
        (["--board", "bluebox2", "--max-latency", "1s"], "--max-latency: cannot give latency_ms on bluebox2"),
        (["--all", "--max-macs", "2M"], "--all is every trial, whatever it costs: not with limits"),
    ],
)
def test_a_front_that_cannot_be_given(options: list[str], message: str) -> None:
    done = CliRunner().invoke(cli, ["front", str(RUN), *options])
    assert done.exit_code != 0
    assert message in str(done.exception) + done.output


def test_a_run_with_latency_on_a_board_that_does_not_know_it(tmp_path: Path) -> None:
    search(quick(tmp_path / "run", ["accuracy", "latency_ms"]), Watcher(), FakePool())
    run = str(tmp_path / "run")
    rows = json.loads(CliRunner().invoke(cli, ["front", run, "--json"]).stdout)
    assert all(row["latency_ms"].keys() == {"high"} for row in rows)
    text = CliRunner().invoke(cli, ["front", run]).output
    assert "up to" in text
    assert "latency" in CliRunner().invoke(cli, ["front", run, "--all"]).output
    done = CliRunner().invoke(cli, ["front", run, "--board", "bluebox2"])
    assert "cannot give latency_ms on bluebox2" in str(done.exception)
    assert CliRunner().invoke(cli, ["plot", run]).exit_code == 0
    assert "latency (ms)" in (tmp_path / "run" / "plots" / "front.html").read_text(encoding="utf-8")


def test_an_old_run_opens_and_is_drawn(tmp_path: Path) -> None:
    copy = tmp_path / "old"
    shutil.copytree(RUN, copy, ignore=shutil.ignore_patterns("models", "bundles", "plots"))
    assert CliRunner().invoke(cli, ["plot", str(copy), "--reference"]).exit_code == 0
    assert "latency (ms)" not in (copy / "plots" / "front.html").read_text(encoding="utf-8")
    assert "latency" not in CliRunner().invoke(cli, ["front", str(copy), "--all"]).output
