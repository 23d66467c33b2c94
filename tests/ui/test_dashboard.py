"""Optuna's dashboard on a run: who reaches it, that it changes nothing, how it ends, and what a person sees."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from optuna.exceptions import StorageInternalError
from selenium import webdriver
from selenium.webdriver.common.by import By

from dse._util import loopback
from dse._util.loopback import listen
from dse.errors import RunError
from dse.search.study.database import Place, ReadOnlyStorage
from dse.search.study.trial_log import read_study
from dse.ui.dashboard import Dashboard, guard
from tests.helpers.browser import complaints, wait_for_elements, wait_for_text
from tests.helpers.paths import RUN
from tests.helpers.processes import LOOPBACK, command, free_port, listening, start, wait_for

pytestmark = pytest.mark.process

DSE = [sys.executable, "-c", "from dse.cli import main; main()"]


def ask(port: int, path: str, method: str = "GET", host: str | None = None, body: str | None = None) -> tuple[int, str]:
    """A status and a text. Headers are what the server is told; the connection always goes to 127.0.0.1."""
    headers = {"Host": f"127.0.0.1:{port}" if host is None else host, "Content-Type": "application/json"}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def port_in(output: str) -> int:
    found = re.search(r"http://127\.0\.0\.1:(\d+)/", output)
    assert found, output
    return int(found[1])


@contextmanager
def shown(folder: Path) -> Iterator[tuple[psutil.Process, int]]:
    """`dse ui` as a person starts it: the process, and its port."""
    port = free_port()
    arguments = [*DSE, "ui", str(folder), "--port", str(port)]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert port_in(process.stderr.readline()) == port
        try:
            yield psutil.Process(process.pid), port
        finally:
            process.kill()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the committed run, in a folder whose name is no easy one for an address."""
    folder = tmp_path_factory.mktemp("runs") / "a run? 50%20 #1 {é}"
    folder.mkdir()
    for name in ("run.yaml", "study.db"):
        shutil.copy(RUN / name, folder)
    return folder


@pytest.fixture(scope="module")
def server(run: Path) -> Iterator[tuple[psutil.Process, int]]:
    with shown(run) as (process, port):
        yield process, port


def other_addresses() -> list[str]:
    """IPv4 addresses of this machine that others could reach."""
    every = [address for addresses in psutil.net_if_addrs().values() for address in addresses]
    return [a.address for a in every if a.family == socket.AF_INET and not a.address.startswith("127.")]


def test_it_listens_on_loopback_only(server: tuple[psutil.Process, int]) -> None:
    process, port = server
    assert ask(port, "/api/studies")[0] == 200
    found = listening([process, *process.children(recursive=True)])
    assert found  # otherwise the next line proves nothing
    assert found <= LOOPBACK
    if not other_addresses():
        pytest.skip("this machine has no address but loopback, so nobody can be turned away at another")
    for address in other_addresses():
        with pytest.raises(OSError), socket.create_connection((address, port), timeout=10):
            pass


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_it_answers_to_its_own_names(name: str, server: tuple[psutil.Process, int]) -> None:
    status, body = ask(server[1], "/api/studies", host=f"{name}:{server[1]}")
    assert status == 200
    assert [study["study_id"] for study in json.loads(body)["study_summaries"]] == [1]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:80", "127.0.0.1:{port}.evil.example", ""])  # fmt: skip
def test_it_answers_to_no_other_name(host: str, server: tuple[psutil.Process, int]) -> None:
    """A page of another site, whose name was made to mean 127.0.0.1, sends that name."""
    status, body = ask(server[1], "/api/studies", host=host.format(port=server[1]))
    assert status == 421
    assert "study" not in body


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "/api/studies/1", {}),
        ("POST", "/api/studies", {"study_name": "mine", "directions": ["minimize"]}),
        ("POST", "/api/studies/1/rename", {"study_name": "mine"}),
        ("PUT", "/api/studies/1/note", {"version": 1, "body": "mine"}),
        ("POST", "/api/trials/1/user-attrs", {"user_attrs": {"mine": 1}}),
        ("PATCH", "/api/studies/1", {}),
        ("BREW", "/api/studies/1", {}),
    ],
)
def test_it_changes_nothing(
    method: str, path: str, body: dict[str, Any], run: Path, server: tuple[psutil.Process, int]
) -> None:
    before = (run / "study.db").read_bytes()
    status, answer = ask(server[1], path, method, body=json.dumps(body))
    assert (status, json.loads(answer)) == (
        403,
        {"reason": "the record of a run is only shown here, and never changed"},
    )
    assert (run / "study.db").read_bytes() == before
    assert len(read_study(run)) == 18


def test_the_database_beneath_it_cannot_be_written(run: Path) -> None:
    """Were a request to come through that writes, this is what it would meet."""
    storage = ReadOnlyStorage(Place.in_folder(run))
    for write in (lambda: storage.delete_study(1), lambda: storage.set_study_user_attr(1, "mine", 1)):
        with pytest.raises(StorageInternalError) as refused:
            write()
        assert "readonly database" in str(refused.value.__cause__)
    storage.engine.dispose()
    assert len(read_study(run)) == 18
    assert sorted(path.name for path in run.iterdir()) == ["run.yaml", "study.db"]


def test_a_run_is_read_whose_search_was_killed_while_it_wrote(run: Path, tmp_path: Path) -> None:
    shutil.copy(run / "study.db", tmp_path / "study.db")
    with closing(sqlite3.connect(tmp_path / "study.db")) as writing:
        writing.execute("PRAGMA cache_size = 1")  # what is not committed goes into the file at once
        writing.execute("UPDATE trial_user_attributes SET value_json = '0'")
        (tmp_path / "killed").mkdir()
        for name in ("study.db", "study.db-journal"):
            shutil.copy(tmp_path / name, tmp_path / "killed")
        writing.rollback()
    assert (tmp_path / "killed" / "study.db").read_bytes() != (run / "study.db").read_bytes()
    assert read_study(tmp_path / "killed") == read_study(run)


def test_a_refused_request_never_reaches_the_dashboard() -> None:
    """The guard by itself, also on the port whose number browsers leave out."""

    def status(host: str, method: str = "GET", port: int = 80) -> str:
        said = []

        def app(environ: Any, start_response: Any) -> list[bytes]:
            start_response("200 OK", [])
            return []

        environ = {"HTTP_HOST": host, "REQUEST_METHOD": method, "PATH_INFO": "/api"}
        guard(app, port)(environ, lambda text, _: said.append(text))  # type: ignore[arg-type, func-returns-value, return-value]
        return str(*said)

    assert [status(host) for host in ("localhost", "127.0.0.1:80")] == ["200 OK"] * 2
    assert [status(host) for host in ("evil.example", "", "localhost:8080")] == ["421 Misdirected Request"] * 3
    assert status("localhost", port=8080) == "421 Misdirected Request"
    assert [status("localhost", method) for method in ("HEAD", "OPTIONS", "POST")] == ["200 OK", *["403 Forbidden"] * 2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly(number: signal.Signals, run: Path) -> None:
    port = free_port()
    with start([*DSE, "ui", str(run), "--port", str(port)]) as process:
        assert process.stdout is not None
        assert f"http://127.0.0.1:{port}/ until you press Ctrl-C" in process.stdout.readline()
        assert ask(port, "/api/studies")[0] == 200
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        output = process.communicate(timeout=60)[0]
    assert (process.returncode, output) == (130, "\ndse: stopped\n")
    assert not [child for child in children if child.is_running()]
    with pytest.raises(ConnectionRefusedError):
        ask(port, "/api/studies")


def test_a_port_that_is_taken(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(listen(None)) as first:
        taken = first.getsockname()[1]
        monkeypatch.setattr(loopback, "PORT", taken)
        with closing(listen(None)) as second:  # nobody asked for a port: the next free one
            assert taken < second.getsockname()[1] < taken + 20
        arguments = ["ui", str(run), "--port", str(taken)]
        done = subprocess.run([*DSE, *arguments], capture_output=True, text=True, timeout=60)
        problem = "cannot be used (Address already in use); choose another port"
        assert done.stderr == f"dse: port {taken} of 127.0.0.1 {problem}\n"
        assert done.returncode == 2
        monkeypatch.setattr(loopback, "TRIED", 1)
        with pytest.raises(RunError, match=f"ports {taken} to {taken} of 127.0.0.1 cannot be used"):
            listen(None)


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    for arguments in (["ui", "/nowhere"], ["ui", str(tmp_path)]):
        done = subprocess.run([*DSE, *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 2
        assert re.fullmatch(r"dse: \S+: no run.yaml, so this is no run; .*\n", done.stderr)
    shutil.copy(RUN / "run.yaml", tmp_path)
    done = subprocess.run([*DSE, "ui", str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.count("no study.db"), "Traceback" in done.stderr) == (2, 1, False)


def test_a_dashboard_of_a_process_ends_with_it(run: Path) -> None:
    with Dashboard(run) as watched:
        assert not watched.alive()
        watched.start()
        assert watched.alive()
        port = port_in(watched.url)
        assert ask(port, "/api/studies")[0] == 200  # waits until the server is there
    assert not watched.alive()
    with pytest.raises(ConnectionRefusedError):
        ask(port, "/api/studies")


def one_done(driver: subprocess.Popen[str], folder: Path) -> bool:
    if driver.poll() is not None:
        pytest.fail("the search ended early")
    with suppress(RunError):
        return any(record.outcome == "complete" for record in read_study(folder))
    return False


@contextmanager
def watched_search(
    folder: Path, trials: int, epochs: int, workers: int
) -> Iterator[tuple[subprocess.Popen[str], Path, int]]:
    """A search with a dashboard, one trial of which is done: its process, its output, the dashboard's port."""
    output, port = folder / "output", free_port()
    arguments = [*command(folder, trials, epochs, workers), "--ui", "optuna", "--ui-port", str(port)]
    with (
        output.open("w") as file,
        subprocess.Popen(arguments, stdout=file, stderr=subprocess.STDOUT, text=True) as driver,
    ):
        try:
            wait_for(lambda: one_done(driver, folder / "run"), 400)
            yield driver, output, port
        finally:
            driver.kill()


def child(driver: subprocess.Popen[str]) -> psutil.Process:
    """The dashboard of a search."""
    children = psutil.Process(driver.pid).children(recursive=True)
    return next(process for process in children if "dse.ui.dashboard" in process.cmdline())


@pytest.mark.ray
def test_kill_9_of_a_search_takes_its_dashboard_along(tmp_path: Path) -> None:
    with watched_search(tmp_path, trials=200, epochs=1, workers=1) as (driver, output, port):
        assert f"http://127.0.0.1:{port}/" in output.read_text()
        shown = json.loads(ask(port, "/api/studies/1")[1])
        assert shown["name"] == "run"
        assert shown["trials"][0]["state"] in ("Complete", "Pruned")
        process = child(driver)
        assert listening([process]) == {"127.0.0.1"}
        driver.kill()
        driver.wait()
        wait_for(lambda: not process.is_running(), 30)
    with pytest.raises(ConnectionRefusedError):
        ask(port, "/api/studies")


def test_a_search_outlives_its_dashboard(tmp_path: Path) -> None:
    with watched_search(tmp_path, trials=3, epochs=2, workers=0) as (driver, output, _):
        child(driver).kill()
        assert driver.wait(400) == 0
        said = output.read_text()
    assert said.count(f"the dashboard has ended; dse ui {tmp_path / 'run'} opens it again") == 1
    assert sum(record.outcome == "complete" for record in read_study(tmp_path / "run")) == 3


@pytest.mark.browser
def test_a_person_sees_the_trials(browser: webdriver.Chrome) -> None:
    records = read_study(RUN)
    with shown(RUN) as (_, port):
        complaints(browser)  # of other pages
        browser.get(f"http://127.0.0.1:{port}/")
        overview = wait_for_text(browser, "Pareto Front", "Objective X:", "Best Trials", "Hyperparameter Importance")
        assert RUN.name in overview
        for name in ("accuracy", "params", "macs", "arena_bytes"):
            assert name in overview
        browser.get(f"http://127.0.0.1:{port}/dashboard/studies/1/trials?numbers=6")
        page = wait_for_text(browser, f"{len(records)} Trials", "Trial 6 (trial_id=7)", "User Attributes")
        trial = records[6]
        values = [trial.values[name] for name in ("accuracy", "params", "macs", "arena_bytes")]
        assert ", ".join(f"{value:g}" if value < 1 else f"{value:.0f}" for value in values) in page
        lines = page.splitlines()
        assert trial.params
        for name, value in trial.params.items():
            assert f"{name} {value}" in lines
        assert f"id {trial.id}" in lines
        browser.get(f"http://127.0.0.1:{port}/dashboard/studies/1/trials?numbers=1")
        page = wait_for_text(browser, "Trial 1 (trial_id=2)", "outcome infeasible")
        assert f"reason {records[1].reason}" in page.splitlines()
        assert page.splitlines().count("Pruned") == 3  # trials 1 and 16 in the list, and trial 1 on its page
        assert "None" in page.splitlines()  # its accuracy of 0 is no measurement
        # What the dashboard lists as a best trial is what fits.
        best = {int(link.get_attribute("href").split("=")[-1]) for link in _best_trials(browser, port)}
        assert best
        assert all(records[number].outcome == "complete" for number in best)
        assert complaints(browser) == []  # every file came, and from this machine


def _best_trials(browser: webdriver.Chrome, port: int) -> list[Any]:
    browser.get(f"http://127.0.0.1:{port}/")
    wait_for_text(browser, "Best Trials", "Objective Values")
    return browser.find_elements(By.CSS_SELECTOR, "a[href*='trials?numbers=']")


@pytest.mark.browser
def test_a_person_who_writes_is_told(browser: webdriver.Chrome) -> None:
    with shown(RUN) as (_, port):
        browser.get(f"http://127.0.0.1:{port}/dashboard/studies/1/note")
        wait_for_text(browser, "Note")
        wait_for_elements(browser, "button")[-1].click()  # the pencil
        next(area for area in wait_for_elements(browser, "textarea") if area.is_displayed()).send_keys("mine")
        next(button for button in wait_for_elements(browser, "button") if button.text == "SAVE").click()
        wait_for_text(browser, "Failed: the record of a run is only shown here, and never changed")
        complaints(browser)  # the refusal is one
