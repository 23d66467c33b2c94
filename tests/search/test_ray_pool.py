"""Workers on Ray: what they have, what ends them, what their loss costs. Real processes, but for the bookkeeping."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from dse.data.datasets import Data
from dse.errors import RunError
from dse.search.loop import search
from dse.search.run_folder import load_summary
from dse.search.workers import ray_pool
from dse.search.workers.events import EpochEnded, Event, TrialDone, TrialEnded, TrialFailed, TrialRetried, WorkerNote
from dse.search.workers.jobs import Job, WorkerSettings
from dse.search.workers.ray_pool import MAX_ATTEMPTS, RayPool
from dse.search.workers.ray_worker import WorkerReady
from dse.search.workers.slots import SlotState, Task, WorkerSlot
from dse.space.space import parse_space
from tests.helpers.networks import only_candidate
from tests.helpers.processes import command, standing, wait_for
from tests.helpers.searches import Watcher, settings

GIB = 2**30


def job(number: int, folder: Path, channels: int = 8, epochs: int = 1, batch_size: int = 50) -> Job:
    """A network of one convolution. With 64 channels, a batch of 1,800 takes 450 MiB for each of its tensors."""
    text = f"""
space: one
stem: {{block: conv, channels: {channels}}}
stages: [{{block: max_pool, stride: 4}}]
training: {{epochs: {epochs}, batch_size: {batch_size}, augment: none}}
"""
    candidate = only_candidate(parse_space(text, "one.yaml"))
    return Job(number, candidate.to_json(), folder / f"{number}")


@contextmanager
def pool_of(settings: WorkerSettings, num_workers: int = 1) -> Iterator[RayPool]:
    pool = RayPool(settings, num_workers)
    try:
        yield pool
    finally:
        pool.close()


def events_until(pool: RayPool, done: Callable[[list[Event]], object], seconds: float = 200) -> list[Event]:
    """All that happens in a pool until something has."""
    events: list[Event] = []
    deadline = time.monotonic() + seconds
    while not done(events):
        assert time.monotonic() < deadline, f"waited too long; so far {events}"
        events += pool.wait(0.5)
    return events


def ready(pool: RayPool) -> WorkerReady:
    """What the only worker of a pool says when it can take a trial."""
    events_until(pool, lambda _: pool.free())
    found = pool.slots[0].ready
    assert found
    return found


def last_of(number: int) -> Callable[[list[Event]], object]:
    return lambda events: [e for e in events if isinstance(e, TrialEnded) and e.number == number]


def notes(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, WorkerNote)]


def inside(pool: RayPool, question: Callable[[object], object]) -> object:
    return pool.ray.get(pool.slots[0].actor.__ray_call__.remote(question))


@pytest.mark.ray
@pytest.mark.smoke
def test_a_worker_is_ready_before_its_first_trial(tmp_path: Path, sample_data: Data) -> None:
    """TensorFlow is there, the images lie in shared memory and stay there, the threads are those that were asked for."""

    def look(worker):  # type: ignore[no-untyped-def]
        import sys

        images = worker.settings.data.train.images
        address = images.__array_interface__["data"][0]
        with open("/proc/self/maps") as maps:  # noqa: PTH123
            spans = [line.split() for line in maps]
        home = next(
            span[5] for span in spans if int(span[0].split("-")[0], 16) <= address < int(span[0].split("-")[1], 16)
        )
        loaded = [name for name in ("tensorflow", "dse.search.workers.trial", "ai_edge_litert") if name in sys.modules]
        return address, images.flags.writeable, home, loaded, len(worker.settings.data.test)

    with pool_of(WorkerSettings(sample_data, "float", 0, threads=3)) as pool:
        assert pool.free() == 0  # a job that were given now would wait for the worker
        assert pool.startup() == ""
        events_until(pool, lambda _: pool.slots[0].state is SlotState.IMPORTING)
        assert pool.free() == 0  # it has its place, and still imports TensorFlow
        told_ready = ready(pool)
        assert told_ready.threads == {"OMP": "3", "intra": "3", "inter": "3"}
        assert psutil.Process(told_ready.pid).nice() == psutil.Process().nice()
        before = inside(pool, look)
        _, writeable, home, loaded, test_images = before  # type: ignore[misc]
        assert not writeable
        assert "plasma" in home
        assert loaded == ["tensorflow", "dse.search.workers.trial", "ai_edge_litert"]
        assert test_images == 0
        pool.submit(job(0, tmp_path))
        assert isinstance(events_until(pool, last_of(0))[-1], TrialDone)
        assert inside(pool, look) == before
        said = re.fullmatch(
            r"workers: 1 started in (\d+\.\d) s each \(TensorFlow and the data once per worker\); "
            r"(\d\.\d{3}) s of start-up per trial",
            pool.startup(),
        )
        assert said
        # No speed is asserted: only that the import is in the first figure and not in the second.
        assert float(said[2]) < float(said[1]) / 2


@pytest.mark.ray
def test_a_worker_over_its_memory_costs_only_its_trial(tmp_path: Path, sample_data: Data) -> None:
    with pool_of(WorkerSettings(sample_data, "float", 0, worker_memory=round(1.2 * GIB))) as pool:
        told_ready = ready(pool)
        assert told_ready.memory < GIB  # TensorFlow alone is no reason
        pool.submit(job(0, tmp_path, channels=64, epochs=3, batch_size=1800))
        events = events_until(pool, last_of(0))
        assert [type(event) for event in events] == [TrialFailed]  # at once: a second attempt would take as much
        assert re.fullmatch(r"out of memory: the worker used [\d.]+ GiB, limit 1\.2 GiB", events[0].reason)
        assert ready(pool).pid != told_ready.pid
        pool.submit(job(1, tmp_path))
        assert isinstance(events_until(pool, last_of(1))[-1], TrialDone)


@pytest.mark.ray
def test_a_stuck_trial_is_ended_with_its_worker(tmp_path: Path, sample_data: Data) -> None:
    """Stopped, a process does nothing that it is asked to, as when a native call never returns."""
    with pool_of(WorkerSettings(sample_data, "float", 0, trial_timeout=15)) as pool:
        first = ready(pool).pid
        pool.submit(job(0, tmp_path, epochs=1000))
        before = events_until(pool, lambda events: events)
        os.kill(first, signal.SIGSTOP)
        last = events_until(pool, last_of(0))[-1]
        assert isinstance(before[0], EpochEnded)
        assert isinstance(last, TrialFailed)
        assert re.fullmatch(r"took longer than the 15 s of a trial, \d+ of 1000 epochs done", last.reason)
        assert "trial, 0 of" not in last.reason
        wait_for(lambda: not psutil.pid_exists(first), 30)
        events_until(pool, lambda _: pool.free())
        pool.submit(job(1, tmp_path))
        assert isinstance(events_until(pool, last_of(1))[-1], TrialDone)


@pytest.mark.ray
def test_a_slow_trial_ends_by_itself_and_its_worker_goes_on(tmp_path: Path, sample_data: Data) -> None:
    with pool_of(WorkerSettings(sample_data, "float", 0, trial_timeout=5)) as pool:
        first = ready(pool).pid
        pool.submit(job(0, tmp_path, epochs=10_000))
        last = events_until(pool, last_of(0))[-1]
        assert last.reason.startswith("took longer than the 5 s of a trial, ")
        assert pool.free() == 1
        assert ready(pool).pid == first


@pytest.mark.ray
def test_a_worker_without_a_place_holds_up_nobody(
    tmp_path: Path, sample_data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two workers that each want half of what memory is free, Ray has room for one: it keeps some for its objects."""
    monkeypatch.setattr(ray_pool, "PATIENCE", 10.0)
    half = psutil.virtual_memory().available // 2
    with pool_of(WorkerSettings(sample_data, "float", 0, worker_memory=half), 2) as pool:
        events = events_until(pool, lambda _: pool.free())
        events += events_until(pool, lambda more: any("1 of 2" in text for text in notes(events + more)))
        note = next(text for text in notes(events) if "1 of 2" in text)
        assert re.fullmatch(
            r"1 of 2 workers wait for a place: each needs \d+ CPU and [\d.]+ GiB of memory on one node, "
            r"and all nodes together have [\d.]+ CPU and [\d.]+ [GM]iB of memory free",
            note,
        )
        assert pool.free() == 1
        for number in (0, 1):
            pool.submit(job(number, tmp_path))
            assert pool.free() == 0
            assert isinstance(events_until(pool, last_of(number))[-1], TrialDone)


@pytest.mark.ray
@pytest.mark.parametrize(
    ("memory", "problem"),
    [(100 * 2**20, "before any trial: `worker_memory` 100.0 MiB is too little"), (2**50, "GiB is too much: Ray has")],
)
def test_an_impossible_memory_is_one_message(memory: int, problem: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=problem):
        search(settings(tmp_path, workers=1, worker_memory=memory), Watcher())


# -- the bookkeeping of losses


class FakeRay:
    """As much of Ray as a pool needs to count losses; its nodes are what a test says."""

    def __init__(self) -> None:
        self.alive = {"a", "b"}
        self.exceptions = SimpleNamespace(OutOfMemoryError=MemoryError)

    def nodes(self) -> list[dict[str, object]]:
        return [{"NodeID": name, "Alive": name in self.alive} for name in ("a", "b")]

    def kill(self, actor: object) -> None:
        pass


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> RayPool:
    monkeypatch.setattr(RayPool, "__init__", lambda self: None)
    monkeypatch.setattr(RayPool, "_start", lambda self, slot: None)
    made = RayPool()  # type: ignore[call-arg]
    made.ray, made.again, made.slots = FakeRay(), ray_pool.deque(), []
    return made


def lose(pool: RayPool, task: Task, node: str, error: Exception | None = None) -> Event:
    pool.again.clear()
    return pool._lost(WorkerSlot(ready=WorkerReady(node, 1, {}, 0), task=task), task, error or RuntimeError())


def test_a_trial_whose_workers_die_fails(pool: RayPool, tmp_path: Path) -> None:
    task = Task(job(7, tmp_path))
    assert [type(lose(pool, task, "a")) for _ in range(MAX_ATTEMPTS - 1)] == [TrialRetried] * (MAX_ATTEMPTS - 1)
    assert list(pool.again) == [task]
    assert lose(pool, task, "b") == TrialFailed(7, "its worker died 3 times (RuntimeError)")
    assert not pool.again


def test_nodes_that_leave_cost_no_attempt(pool: RayPool, tmp_path: Path) -> None:
    """Nor when it is known only later that it was the node."""
    task = Task(job(7, tmp_path))
    assert lose(pool, task, "b").reason == "its worker died (RuntimeError), attempt 2"
    pool.ray.alive = {"a"}
    for _ in range(5):
        assert lose(pool, task, "b").reason == "the node of its worker left the cluster; it is tried again"
    assert lose(pool, task, "a").reason == "its worker died (RuntimeError), attempt 2"


def test_a_limit_is_the_reason_whatever_ended_the_worker(pool: RayPool, tmp_path: Path) -> None:
    assert lose(pool, Task(job(7, tmp_path), end_reason="took too long"), "a").reason == "took too long"
    assert "memory monitor" in lose(pool, Task(job(8, tmp_path)), "a", MemoryError()).reason
    assert not pool.again


def test_a_worker_that_cannot_start_is_asked_for_thrice(pool: RayPool) -> None:
    pool.slots = [WorkerSlot(), WorkerSlot()]
    error = RuntimeError("the actor died\nModuleNotFoundError: No module named 'dse'\n")
    notes = [pool._not_started(pool.slots[0], error).text for _ in range(MAX_ATTEMPTS)]
    assert notes[0] == "a worker could not start, and is asked for again: ModuleNotFoundError: No module named 'dse'"
    assert notes[-1] == "a worker could not start 3 times: going on with 1: ModuleNotFoundError: No module named 'dse'"
    for _ in range(MAX_ATTEMPTS - 1):
        pool._not_started(pool.slots[0], error)
    with pytest.raises(RunError, match="no worker could start: ModuleNotFoundError: No module named 'dse'"):
        pool._not_started(pool.slots[0], error)


# -- clusters

CLUSTER = """
import os, sys
import psutil
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # loopback only
from ray.cluster_utils import Cluster
quick = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 1000, "health_check_failure_threshold": 3}
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "_system_config": quick})
node = cluster.add_node(num_cpus=1)
print(cluster.address, flush=True)
for line in sys.stdin:
    if line == "kill a node\\n":
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        for process in [raylet, *raylet.children(recursive=True)]:
            process.kill()
    if line == "add a node\\n":
        cluster.add_node(num_cpus=1)
    if line == "kill the head\\n":
        cluster.head_node.all_processes["gcs_server"][0].process.kill()
    print(line, flush=True)
"""


@contextmanager
def cluster_of_two() -> Iterator[tuple[str, Callable[[str], None]]]:
    """The address of a cluster of two nodes with one CPU each, and a way to tell it what to do."""
    with subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as cluster:
        assert cluster.stdin is not None
        assert cluster.stdout is not None

        def tell(what: str) -> None:
            assert cluster.stdin is not None
            assert cluster.stdout is not None
            cluster.stdin.write(f"{what}\n")
            cluster.stdin.flush()
            while cluster.stdout.readline().strip() != what:
                assert cluster.poll() is None

        try:
            yield cluster.stdout.readline().strip(), tell
        finally:
            nodes = psutil.Process(cluster.pid).children(recursive=True)
            cluster.kill()
            for process in nodes:
                with suppress(psutil.NoSuchProcess):
                    process.kill()


@pytest.mark.ray
def test_a_search_on_a_cluster_of_two_nodes(tmp_path: Path) -> None:
    with cluster_of_two() as (address, _):
        arguments = [*command(tmp_path, trials=2, epochs=1, workers=2), "--ray-address", address]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert load_summary(tmp_path / "run").count("complete") == 2


def running(folder: Path, count: int) -> bool:
    """Whether so many trials have a checkpoint, and still run."""
    if len([*(folder / "run" / "checkpoints").glob("*/*")]) < count:
        return False  # the study, which may not be whole yet, is better not looked at
    now = standing(folder)
    return now is not None and now.count("running") >= count


@pytest.mark.ray
def test_a_node_that_is_killed_costs_nothing(tmp_path: Path) -> None:
    """Its trial is tried again on what is left, and a node that joins takes its place."""
    with cluster_of_two() as (address, tell):
        arguments = [*command(tmp_path, trials=2, epochs=30, workers=2), "--ray-address", address]
        driver = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        wait_for(lambda: running(tmp_path, 2) or driver.poll() is not None)
        tell("kill a node")
        time.sleep(1)
        tell("add a node")
        output = driver.communicate(timeout=200)[0]
    assert driver.returncode == 0, output
    summary = load_summary(tmp_path / "run")
    assert (summary.count("complete"), summary.count("failed")) == (2, 0)
    assert "the node of its worker left the cluster; it is tried again" in output
    assert "(raylet)" not in output  # Ray's own paragraphs about it
    # Each epoch was trained once, but for the one or two that were lost with the node.
    epochs = [line for line in output.splitlines() if re.match(r"trial \d+: epoch", line)]
    assert 2 * 30 <= len(epochs) <= 2 * 30 + 2


@pytest.mark.ray
def test_a_lost_head_is_one_message(tmp_path: Path) -> None:
    with cluster_of_two() as (address, tell):
        arguments = [*command(tmp_path, trials=2, epochs=10_000, workers=2), "--ray-address", address]
        arguments[2] = f"from dse.search.workers import ray_pool; ray_pool.LOST_AFTER = 4.0; {arguments[2]}"
        driver = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        wait_for(lambda: running(tmp_path, 1) or driver.poll() is not None)
        tell("kill the head")
        output = driver.communicate(timeout=200)[0]
    assert driver.returncode == 2, output
    assert "dse: Ray was lost (" in output
    assert "refused" in output  # found out by us, in good time
    assert "the same command goes on" in output
    assert "Traceback" not in output
