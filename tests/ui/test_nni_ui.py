"""NNI's web UI over a run: real searches, the real server, and what is left when processes are killed."""

from __future__ import annotations

import http.client
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest

from dse.search.loop import search
from dse.search.record import TrialRecord
from dse.search.study.trial_log import read_study
from dse.space.domains import Choice, FloatRange, IntRange
from dse.ui.nni import relay
from dse.ui.nni.experiment import search_space
from dse.ui.nni.observer import NniObserver
from tests.helpers.nni_page import STATES, all_ended, ask, jobs
from tests.helpers.processes import LOOPBACK, command, free_port, listening, standing, wait_for
from tests.helpers.searches import Watcher, settings

pytestmark = [pytest.mark.ray, pytest.mark.nni]
FOUR = {"optuna:nsga2": 0.25, "optuna:tpe": 0.25, "nni:evolution": 0.25, "nni:tpe": 0.25}


def intermediates(port: int, job: dict[str, Any]) -> list[dict[str, float]]:
    found = ask(port, f"/api/v1/nni/metric-data/{job['trialJobId']}?type=PERIODICAL")[1]
    return [json.loads(json.loads(m["data"])) for m in sorted(found, key=lambda m: m["sequence"])]


class Looker(Watcher):
    """In every epoch looks at NNI's trials, and at the listening sockets of all processes."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port
        self.live: set[int] = set()  # trials that NNI showed as running, with an epoch, while they were trained
        self.addresses: set[str] = set()
        self.commands: set[str] = set()

    def epoch(self, number: int, epoch: int, epochs: int, metrics: dict[str, float]) -> None:
        super().epoch(number, epoch, epochs, metrics)
        children = psutil.Process().children(recursive=True)
        self.addresses |= listening(children)
        for child in children:
            with suppress(psutil.NoSuchProcess):
                self.commands.add(" ".join(child.cmdline()))
        for seen, job in jobs(self.port).items():
            if job["status"] == "RUNNING" and intermediates(self.port, job):
                self.live.add(seen)


def agrees(port: int, job: dict[str, Any], record: TrialRecord) -> None:
    """Everything that the study knows of a trial is what NNI shows."""
    assert json.loads(job["hyperParameters"][0])["parameters"] == {"explorer": record.explorer} | record.params
    failed_again = record.outcome == "repeated" and not record.values
    assert job["status"] == ("FAILED" if failed_again else STATES[record.outcome])
    values = record.values
    if values:
        values = {"default": values["accuracy"]} | values | {"seconds": record.seconds}
    if job["status"] == "SUCCEEDED":
        assert json.loads(json.loads(job["finalMetricData"][0]["data"])) == values
    told = intermediates(port, job)
    if record.outcome == "infeasible":
        assert told == ([values] if values else [])
    else:
        epochs = [{name: round(value, 4) for name, value in one.items() if name != "default"} for one in told]
        assert epochs == [
            dict(zip(record.history, row, strict=True)) for row in zip(*record.history.values(), strict=True)
        ]
        assert [one["default"] for one in told] == [one["val_accuracy"] for one in told]
    log = ask(port, f"/api/v1/nni/trial-file/{job['trialJobId']}/trial.log")[1]
    assert f"trial {record.number} {record.id}, proposed by {record.explorer}" in log
    assert record.reason in log


def test_two_explorers_of_each_kind_on_two_workers_agree_with_front_and_web_ui(tmp_path: Path) -> None:
    """One search, live in NNI's web UI: field by field the same trials in the study, in `dse front` and there."""
    port = free_port()
    watcher = Looker(port)
    changes = {"workers": 2, "trials": 9, "epochs": 6, "explorers": FOUR}
    with NniObserver(watcher, port) as observer:
        summary = search(settings(tmp_path / "run", **changes), observer)
        records = summary.records
        wait_for(lambda: all_ended(port, len(records)))
        assert summary.count("complete") == 9
        assert {record.explorer for record in records} == set(FOUR)
        shown = jobs(port)
        assert sorted(shown) == [record.number for record in records]
        for record in records:
            agrees(port, shown[record.number], record)
        # Looked at while it ran: epochs were there before trials ended, and nobody listened but on loopback.
        assert watcher.live
        for part in ("nni_node", "raylet", "nni --exp_params", "relay.py"):
            assert any(part in command for command in watcher.commands), part
        assert watcher.addresses
        assert watcher.addresses <= LOOPBACK
        refused_elsewhere(port)
    assert read_study(tmp_path / "run") == records
    rows = {row["trial"]: row for row in front(tmp_path / "run", "--all")}
    assert list(rows) == [record.number for record in records]
    for record in records:
        row = rows[record.number]
        for name in ("outcome", "explorer", "id", "reason", "seconds", "values", "params", "history"):
            assert row[name] == getattr(record, name), name
    best = [record.number for record in summary.front()]
    assert [row["trial"] for row in front(tmp_path / "run")] == best
    assert {number for number, row in rows.items() if row["on_front"]} == set(best)
    wait_for(lambda: not [child for child in psutil.Process().children(recursive=True) if is_nni(child)], 20)


def front(run: Path, *options: str) -> list[dict[str, Any]]:
    """What `dse front` prints."""
    program = "from dse.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "front", str(run), "--json", *options],
        capture_output=True,
        text=True,
        check=True,
    )
    return list(json.loads(done.stdout))


def refused_elsewhere(port: int) -> None:
    """Another address of this machine does not answer on that port."""
    others = [
        address.address
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family == socket.AF_INET and not address.address.startswith("127.")
    ]
    for other in [*others, "127.0.0.2"]:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((other, port), timeout=5).close()


def is_nni(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        line = " ".join(process.cmdline())
        return process.status() != psutil.STATUS_ZOMBIE and any(
            part in line for part in ("nni_node", "nni --exp_params", "relay.py", "dse.ui.nni.server")
        )
    return False


@contextmanager
def started(arguments: list[str], output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A search, killed at the end whatever happens; what it says goes into a file."""
    with output.open("wb") as file:
        driver = subprocess.Popen(arguments, stdout=file, stderr=subprocess.STDOUT)
    try:
        yield driver
    finally:
        driver.kill()
        driver.wait()


def wait_while(driver: subprocess.Popen[bytes], what: Callable[[], Any], output: Path) -> Any:
    """The first truth of `what`, while the search goes on."""
    found: list[Any] = []

    def there() -> bool:
        found[:] = [what()]
        if not found[0] and driver.poll() is not None:
            pytest.fail(f"the search ended early: {output.read_text()}")
        return bool(found[0])

    wait_for(there, 300)
    return found[0]


def child(driver: subprocess.Popen[bytes], part: str) -> psutil.Process | None:
    """A living process below the driver by a part of its command."""
    for process in psutil.Process(driver.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if part in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                return process
    return None


@pytest.mark.timeout(1200)  # two searches, on a machine that may be busy
def test_killing_a_worker_the_manager_and_the_driver_loses_nothing(tmp_path: Path) -> None:
    """One after another; the same command then ends the run, and shows all its trials from the first on.

    The first search has more trials than can be done before the driver is killed, the second ends soon.
    """
    port, output = free_port(), tmp_path / "output.txt"
    arguments = command(tmp_path, trials=12, epochs=45, workers=2)
    for name in FOUR:
        arguments += ["--explorer", name]
    arguments += ["--ui", "nni", "--ui-port", str(port)]
    with started(arguments, output) as driver:
        wait_while(driver, lambda: [job for job in jobs(port).values() if job["status"] == "RUNNING"], output)
        wait_while(driver, lambda: child(driver, "RayWorker.perform"), output).kill()
        wait_while(driver, lambda: "its worker died" in output.read_text(), output)
        manager = wait_while(driver, lambda: child(driver, "nni_node"), output)
        server = child(driver, "dse.ui.nni.server")
        assert server
        children = psutil.Process(driver.pid).children(recursive=True)
        known = set(jobs(port))
        manager.kill()  # another one shows all trials anew, when nothing of this one is left that could talk to it
        wait_while(driver, lambda: "is started anew" in output.read_text(), output)
        assert [process for process in children if is_nni(process)] == [server]
        wait_while(driver, lambda: known <= set(jobs(port)), output)
        children += psutil.Process(driver.pid).children(recursive=True)
        server.kill()  # and now the whole web UI
        wait_for(lambda: not [process for process in children if is_nni(process)], 60)
        wait_while(driver, lambda: (now := standing(tmp_path)) is not None and now.count("complete") >= 1, output)
        driver.kill()
    said = output.read_text()
    assert "NNI has died, and is started anew" in said
    assert "NNI's web UI has ended" in said
    before = {r.number: r for r in read_study(tmp_path / "run") if r.outcome == "complete"}

    enough = len(before) + 3
    with started([*arguments, "--trials", str(enough)], output) as driver:
        shown = wait_while(driver, lambda: (known := jobs(port)) and set(before) <= set(known) and known, output)
        children = psutil.Process(driver.pid).children(recursive=True)
        assert driver.wait(500) == 0, output.read_text()
    assert "goes on after" in output.read_text()
    records = read_study(tmp_path / "run")
    for number, record in before.items():
        assert records[number] == record
        assert shown[number]["status"] in ("WAITING", "RUNNING", "SUCCEEDED")
    assert [record.number for record in records] == list(range(len(records)))
    assert {record.outcome for record in records} <= {"complete", "repeated", "infeasible"}  # none running or failed
    complete = [record.id for record in records if record.outcome == "complete"]
    assert len(complete) == len(set(complete)) == enough
    wait_for(lambda: not [process for process in children if is_nni(process)], 60)


@pytest.fixture
def shown_alone(tmp_path: Path) -> Iterator[tuple[int, list[TrialRecord], Watcher]]:
    """A small search without Ray, shown on NNI's web UI, and its port."""
    port, watcher = free_port(), Watcher()
    with NniObserver(watcher, port) as observer:
        run = settings(tmp_path, trials=3, explorers={"optuna:random": 1.0})
        summary = search(run, observer)
        wait_for(lambda: all_ended(port, len(summary.records)))
        yield port, summary.records, watcher


def test_the_web_ui_answers_its_own_pages_only_and_changes_nothing(
    shown_alone: tuple[int, list[TrialRecord], Watcher],
) -> None:
    port, records, watcher = shown_alone
    assert watcher.notes == [f"ui:   http://127.0.0.1:{port}/ (NNI's web UI)"]
    path = "/api/v1/nni/trial-jobs"
    assert ask(port, path, Host=f"localhost:{port}")[0] == 200
    assert ask(port, path, Host="evil.example")[0] == 403
    assert ask(port, path, Origin="http://evil.example")[0] == 403
    assert ask(port, path, "POST", '{"lr": 1}', Origin=f"http://127.0.0.1:{port}")[0] == 403
    assert ask(port, f"{path}/{jobs(port)[0]['trialJobId']}", "DELETE", Origin=f"http://127.0.0.1:{port}")[0] == 403
    assert len(jobs(port)) == len(records)
    status, page = ask(port, "/oview")
    assert status == 200
    assert "<title>" in page


def test_infeasible_failed_and_repeated_trials_are_shown_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dse.hardware.budget import Budgets
    from dse.search.workers import inline
    from dse.search.workers.events import TrialEnded, TrialFailed
    from dse.search.workers.jobs import Job

    port = free_port()
    done: list[Job] = []
    perform = inline.perform

    def second_fails(job: Job, *rest: Any) -> TrialEnded:
        done.append(job)
        return TrialFailed(job.number, "no luck") if len(done) == 2 else perform(job, *rest)

    monkeypatch.setattr(inline, "perform", second_fails)
    monkeypatch.setattr("dse.search.driver.UNPRODUCTIVE", 30)
    with NniObserver(Watcher(), port) as observer:
        run = settings(tmp_path, trials=4, explorers={"optuna:random": 1.0}, budgets=Budgets.of_boards([], params=900))
        records = search(run, observer).records
        wait_for(lambda: all_ended(port, len(records)))
        shown = jobs(port)
        for record in records:
            agrees(port, shown[record.number], record)
    assert {record.outcome for record in records} >= {"complete", "infeasible", "failed"}


def test_a_port_that_is_taken_costs_the_web_ui_only(tmp_path: Path) -> None:
    watcher = Watcher()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with NniObserver(watcher, port) as observer:
            summary = search(settings(tmp_path), observer)
            wait_for(lambda: len(watcher.notes) == 2)
    assert summary.count("complete") == 3
    assert watcher.notes[0] == f"ui:   NNI's web UI cannot start: port {port} of 127.0.0.1 is taken"
    assert "nothing else depends on it" in watcher.notes[1]


class Recorder(http.server.BaseHTTPRequestHandler):
    """Keeps what is put, and knows a trial when it is asked for the third time."""

    bodies: ClassVar[list[Any]] = []
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"trialJobId": "abc"}' if len(self.asked) > 2 else b"")

    def do_PUT(self) -> None:
        self.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass


def test_a_relay_says_what_nnis_own_channel_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nni.runtime.trial_command_channel.v3 import TrialCommandChannelV3

    value = {"default": 0.5, "macs": 1e6}
    with http.server.HTTPServer(("127.0.0.1", 0), Recorder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/env/local-env/abc"
        for name, text in {
            "NNI_TRIAL_SEQ_ID": "7",
            "NNI_TRIAL_JOB_ID": "abc",
            "NNI_OUTPUT_DIR": str(tmp_path),
            "NNI_TRIAL_COMMAND_CHANNEL": url,
        }.items():
            monkeypatch.setenv(name, text)
        nni = relay.Nni()
        nni.wait_until_known()  # before that NNI drops what it hears
        nni.report("PERIODICAL", value)
        TrialCommandChannelV3(url).send_metric("PERIODICAL", 7, "abc", 0, value)
        server.shutdown()
    assert Recorder.asked == ["/api/v1/nni/trial-jobs/abc"] * 3
    ours, theirs = (json.loads(body.pop("metric")) | body for body in Recorder.bodies)
    assert json.loads(ours.pop("value")) == json.loads(theirs.pop("value")) == value
    assert ours == theirs


def test_a_relay_ends_when_nni_or_its_file_is_gone(tmp_path: Path) -> None:
    (tmp_path / "0.jsonl").write_text('{"parameters": {}}\n{"epoch": {"defau')  # cut short
    assert list(relay.lines(tmp_path / "0.jsonl", parent=os.getppid() + 1)) == [{"parameters": {}}]
    for _ in (lines := relay.lines(tmp_path / "0.jsonl", os.getppid())):
        (tmp_path / "0.jsonl").unlink()
    assert list(lines) == []


def test_the_space_is_described_as_nni_has_it() -> None:
    domains = {
        "a": Choice(("x", 2)),
        "b": IntRange(16, 32, 8),
        "c": FloatRange(0.0, 0.5),
        "d": FloatRange(1e-3, 1e-1, log=True),
    }
    assert search_space(domains, ["random"]) == {
        "explorer": {"_type": "choice", "_value": ["random"]},
        "a": {"_type": "choice", "_value": ["x", 2]},
        "b": {"_type": "choice", "_value": [16, 24, 32]},
        "c": {"_type": "uniform", "_value": [0.0, 0.5]},
        "d": {"_type": "loguniform", "_value": [1e-3, 1e-1]},
    }
