"""A study in another database than study.db."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from dse.cli import cli
from dse.errors import RunError
from dse.search.loop import search
from dse.search.run_folder import load_summary, read_run, study_place
from dse.search.study import database
from dse.search.study.trial_log import TrialLog
from tests.helpers.postgres import PASSWORD, programs, server
from tests.helpers.searches import Watcher, settings


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    if not programs() or not importlib.util.find_spec("psycopg"):
        pytest.skip("no PostgreSQL here: neither initdb nor /usr/lib/postgresql, or no package psycopg")
    with server() as url:
        yield url


@pytest.mark.keras
@pytest.mark.process
def test_a_run_keeps_its_study_in_postgresql(postgres: str, tmp_path: Path) -> None:
    """It goes on there without being told again, and beside another run of the same name."""
    one, other = tmp_path / "a" / "run", tmp_path / "b" / "run"
    watcher = Watcher()
    summary = search(settings(one, storage=postgres, trials=2), watcher)
    assert summary.count("complete") == 2
    assert load_summary(one).records == summary.records
    again = search(settings(one, trials=3), Watcher())
    assert again.records[: len(summary.records)] == summary.records
    assert again.count("complete") == 3
    search(settings(other, storage=postgres, trials=1, explorers={"random": 1.0}), Watcher())
    assert load_summary(other).count("complete") == 1
    assert load_summary(one).count("complete") == 3
    assert not list(tmp_path.rglob("study.db"))
    result = CliRunner().invoke(cli, ["front", str(one)])
    assert (result.exit_code, "3 complete" in result.output) == (0, True), result.output


@pytest.mark.keras
@pytest.mark.process
def test_a_password_stays_where_it_belongs(postgres: str, tmp_path: Path) -> None:
    search(settings(tmp_path, storage=postgres, trials=1), Watcher())
    holders = [path.name for path in tmp_path.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]
    assert holders == ["local.yaml"]
    assert (tmp_path / "local.yaml").stat().st_mode & 0o777 == 0o600
    assert "storage" not in read_run(tmp_path)["settings"]
    wrong = postgres.replace(PASSWORD, "another-secret")
    for action in (
        lambda: search(settings(tmp_path / "new", storage=wrong), Watcher()),
        lambda: TrialLog(database.Place(wrong, "dse"), ["accuracy"]),
        lambda: database.read_trials(database.Place(wrong, "dse")),
        lambda: database.read_trials(database.Place(postgres, "no such study")),
        lambda: search(settings(tmp_path, storage=postgres.replace("/postgres", "/template1")), Watcher()),
    ):
        with pytest.raises(RunError) as caught:
            action()
        assert "secret" not in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "new" / "run.yaml").exists()  # so that the right address may follow


@pytest.mark.keras
@pytest.mark.process
def test_a_server_that_ended_is_one_message(tmp_path: Path) -> None:
    if not programs() or not importlib.util.find_spec("psycopg"):
        pytest.skip("no PostgreSQL here")
    with server() as url:
        search(settings(tmp_path, storage=url, trials=1), Watcher())
    with pytest.raises(RunError, match=r"not the study of a run: connection failed.*refused") as caught:
        load_summary(tmp_path)
    assert PASSWORD not in str(caught.value)


@pytest.mark.keras
def test_any_file_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is that from which the search was started; the folder may be read from elsewhere."""
    monkeypatch.chdir(tmp_path)
    search(settings(tmp_path / "run", storage="sqlite:///many.db", trials=1), Watcher())
    monkeypatch.chdir("/")
    assert load_summary(tmp_path / "run").count("complete") == 1
    place = study_place(tmp_path / "run")
    assert place
    assert place.name.startswith("dse-run-")
    assert str(place) == str(tmp_path / "many.db")
    assert (tmp_path / "run" / "local.yaml").stat().st_mode & 0o777 == 0o600  # an address may hold a password
    with pytest.raises(RunError, match=r"the study of this run is in .*many.db, not in .*other.db"):
        search(settings(tmp_path / "run", storage=f"sqlite:///{tmp_path}/other.db"), Watcher())
    (tmp_path / "many.db").unlink()
    with pytest.raises(RunError, match=r"many.db: there is no such file"):
        load_summary(tmp_path / "run")
    assert not (tmp_path / "many.db").exists()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "`storage`: `storage` cannot be opened: came no address of a database"),
        ("oracel://me:hidden@host/x", "SQLAlchemy knows no database 'oracel'"),
        ("postgresql+asyncpg://me:hidden@host/x", "driver is not installed .No module named 'asyncpg'.: pip install"),
        ("mysql://me:hidden@host/x", "driver is not installed .No module named 'MySQLdb'.$"),
        ("sqlite://", "expected a file"),
        ("postgresql://me:hidden@127.0.0.1:1/x", r"me:\*\*\*@127.0.0.1:1/x cannot be opened: connection failed"),
    ],
)
def test_what_is_no_database(url: str, message: str, tmp_path: Path) -> None:
    if "127.0.0.1" in url and not importlib.util.find_spec("psycopg"):
        pytest.skip("no psycopg")
    with pytest.raises(RunError, match=message) as caught:
        search(settings(tmp_path, storage=url), Watcher())
    assert "hidden" not in str(caught.value)
    assert not (tmp_path / "local.yaml").exists()


def test_a_missing_driver_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(RunError, match=r"psycopg.*pip install 'dse\[postgresql\]'"):
        search(settings(tmp_path, storage="postgresql://me@host/x"), Watcher())


def test_a_driver_may_repeat_the_password() -> None:
    for url in ("postgresql://me:hidden@host/x", "postgresql://host/x?user=me&password=hidden"):
        assert "hidden" not in database.shown(url)
        assert database.why(ValueError("user=me password=hidden\nhost=host"), url) == "user=me password=*** host=host"


def test_local_yaml_of_an_earlier_version(tmp_path: Path) -> None:
    (tmp_path / "local.yaml").write_text(yaml.safe_dump({"data": None}))
    assert study_place(tmp_path) is None
