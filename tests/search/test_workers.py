"""Trials on Ray, and what is left when processes are killed. Everything here is real: processes, signals, sockets."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from dse.search.loop import search
from dse.search.run_folder import load_summary
from tests.helpers.processes import LOOPBACK, command, listening, standing, start, wait_for
from tests.helpers.searches import Watcher, settings

pytestmark = pytest.mark.ray


class Killer(Watcher):
    """Kills the worker in the first epoch it hears of, having looked at every listening socket of the run."""

    killed = False

    def epoch(self, number: int, epoch: int, epochs: int, metrics: dict[str, float]) -> None:
        super().epoch(number, epoch, epochs, metrics)
        if not self.killed:
            children = psutil.Process().children(recursive=True)
            self.addresses = listening(children)
            worker = next(child for child in children if "RayWorker.perform" in " ".join(child.cmdline()))
            self.killed = True
            worker.kill()


def test_a_killed_worker_costs_nothing_and_all_listen_on_loopback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")  # another cluster is nobody's business: this Ray is local
    watcher = Killer()
    summary = search(settings(tmp_path, workers=2, trials=3, epochs=8), watcher)
    note = next(note for note in watcher.notes if "its worker died" in note)
    killed = int(note.removeprefix("trial ").split(":")[0])  # whichever trial that worker had
    assert summary.count("complete") == 3
    assert summary.count("failed") == 0
    assert watcher.addresses  # Ray does listen; otherwise the next line proves nothing
    assert watcher.addresses <= LOOPBACK
    # The second attempt went on from its checkpoint: no epoch was trained more than twice.
    epochs = [epoch for number, epoch in watcher.epochs if number == killed]
    assert epochs[-1] == 8
    assert len(epochs) <= 10


def working(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE and "RayWorker" in " ".join(process.cmdline())
    return False


def test_kill_9_of_the_driver_then_the_same_command(tmp_path: Path) -> None:
    arguments = command(tmp_path, trials=3, epochs=12)
    driver = start(arguments)

    def one_done_and_one_running() -> bool:
        if driver.poll() is not None:
            pytest.fail(f"the search ended early: {driver.communicate()[0]}")
        now = standing(tmp_path)
        return now is not None and now.count("complete") >= 1 and now.count("running") >= 1

    wait_for(one_done_and_one_running)
    children = psutil.Process(driver.pid).children(recursive=True)
    driver.kill()
    driver.wait()
    before = load_summary(tmp_path / "run")
    # No worker trains on. (Ray's two idle agents look for their node every minute, and end then.)
    wait_for(lambda: not [c for c in children if working(c)], 30)

    done = subprocess.run(arguments, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "goes on after" in done.stderr
    after = load_summary(tmp_path / "run")
    for record in before.records:
        if record.outcome == "complete":
            assert after.records[record.number] == record
    assert after.count("running") == 0
    complete = [record.id for record in after.records if record.outcome == "complete"]
    assert len(complete) == len(set(complete)) == 3
    assert not list((tmp_path / "run" / "checkpoints").iterdir())


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(tmp_path: Path) -> None:
    driver = start(command(tmp_path, trials=3, epochs=200))
    wait_for(lambda: (now := standing(tmp_path)) is not None and now.count("running") >= 1)
    time.sleep(2)
    os.kill(driver.pid, signal.SIGINT)
    output = driver.communicate(timeout=60)[0]
    assert driver.returncode == 130, output
    assert f"dse: stopped; the same command goes on from {tmp_path / 'run'}" in output
    assert "Traceback" not in output


def test_an_unreachable_cluster_is_one_message(tmp_path: Path) -> None:
    arguments = [*command(tmp_path, trials=1, epochs=1), "--ray-address", "127.0.0.1:1"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "dse: Ray cannot be reached at 127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr
