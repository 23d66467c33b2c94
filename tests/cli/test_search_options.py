"""The options of `dse search`, its parameters and the fields of `Settings` are one list."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path

import pytest
from click.testing import CliRunner

from dse.cli import cli
from dse.cli.search_command import command
from dse.search.settings import Settings

OF_THE_COMMAND = {"build", "ui", "ui_port", "exporting", "test_images"}  # what is shown and done beside the search
FIELD_OF = {"out": "folder"}  # and all limits make up `budgets`
# Of a trained network: dse train and dse prune; and what follows from --trials and --test-images.
WITHOUT_OPTION = {"classes", "trials_open", "scored"}
OPTIONS = {str(parameter.name) for parameter in command.params}
LIMITS = {name for name in OPTIONS if name.startswith("max_")}
FIELDS = {field.name: field for field in dataclasses.fields(Settings)}

# Every option with a value that is not its default.
GIVEN = {
    "--board": "nano33ble",
    "--task": "cifar100",
    "--data": "here",
    "--explorer": "random",
    "--best-of": "4",
    "--fidelity": "halving",
    "--repeats": "2",
    "--trials": "7",
    "--budget": "2h",
    "--timeout": "1h",
    "--epochs": "3",
    "--workers": "5",
    "--at-once": "2",
    "--ray-address": "ray://there",
    "--threads": "6",
    "--arithmetic": "plain",
    "--trial-timeout": "20m",
    "--worker-memory": "3GiB",
    "--seed": "9",
    "--storage": "sqlite:///study.db",
    "--max-macs": "10M",
}
TAKEN = {
    "data": "here",
    "explorers": {"random": 1.0},
    "best_of": 4,
    "fidelity": "halving",
    "repeats": 2,
    "trials": 7,
    "budget": 7200.0,
    "timeout": 3600.0,
    "epochs": 3,
    "workers": 5,
    "at_once": 2,
    "ray_address": "ray://there",
    "threads": 6,
    "arithmetic": "plain",
    "trial_timeout": 1200.0,
    "worker_memory": 3 << 30,
    "seed": 9,
    "storage": "sqlite:///study.db",
}


def test_every_setting_has_an_option_and_every_option_a_setting() -> None:
    assert {FIELD_OF.get(name, name) for name in OPTIONS - OF_THE_COMMAND - LIMITS} | {"budgets"} == (
        set(FIELDS) - WITHOUT_OPTION
    )


def test_every_option_is_a_parameter_of_the_command() -> None:
    assert command.callback
    parameters = inspect.signature(command.callback).parameters
    assert set(parameters) - {"given_limits"} == OPTIONS - LIMITS


def test_every_option_reaches_its_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Settings] = []

    def stopped(settings: Settings, observer: object) -> None:
        asked.append(settings)
        raise KeyboardInterrupt

    monkeypatch.setattr("dse.search.loop.search", stopped)
    arguments = [part for option in GIVEN.items() for part in option]
    done = CliRunner().invoke(cli, ["search", "--space", "cmv3", "--out", str(tmp_path / "run"), *arguments])
    assert done.exit_code == 130
    [settings] = asked
    assert {name: getattr(settings, name) for name in TAKEN} == TAKEN
    assert not settings.trials_open
    assert settings.scored is None
    assert settings.space.name == "cmv3"
    assert settings.task.task == "cifar100"
    assert [board.name for board in settings.boards] == ["nano33ble"]
    assert settings.folder == tmp_path / "run"
    assert settings.budgets.limits()["nano33ble"]["macs"] == 10_000_000
    assert {*TAKEN, "space", "task", "boards", "folder", "budgets"} == set(FIELDS) - WITHOUT_OPTION
    for name in TAKEN:  # so that a value that is lost on the way is seen
        assert FIELDS[name].default != TAKEN[name]
