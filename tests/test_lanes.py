"""The guard of the lanes: a test that does what its markers do not say fails, and is told which marker is missing."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.lanes import HEAVY, LANES
from tests.helpers.paths import PACKAGE

TESTS = """
import os, subprocess, sys
import pytest

def test_light():
    pass

def test_imports_keras():
    import keras

def test_gets_over_it():
    try:
        import tensorflow
    except ImportError:
        pass

def test_converts():
    from tflite_micro import runtime

def test_starts_ray():
    import ray

def test_starts_a_process():
    subprocess.run([sys.executable, "-c", ""], check=True)

def test_forks():
    if not (child := os.fork()):
        os._exit(0)

@pytest.fixture
def child():
    return subprocess.run([sys.executable, "-c", ""], check=True)

def test_whose_fixture_starts_a_process(child):
    pass

@pytest.mark.process
def test_may_start_one(child):
    assert child.returncode == 0

@pytest.mark.ray
def test_may_start_ray():
    import ray
    assert ray.FAKE
"""
WHOLE = """
import pytest
import keras
pytestmark = [pytest.mark.keras]

def test_of_a_heavy_module():
    assert keras.FAKE
"""


def pytest_of(folder: Path, *options: str) -> dict[str, str]:
    """What becomes of the tests of a folder, by name, and of its modules that cannot be imported."""
    for name in ("keras", "tensorflow", "tflite_micro", "ray"):  # none of the real ones is needed to be refused
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "__init__.py").write_text("FAKE = True")
    command = [sys.executable, "-m", "pytest", "-p", "tests.helpers.lanes", "-p", "no:cacheprovider"]
    command += ["-c", str(folder / "none.ini"), "--strict-markers", "-rA", "--tb=line", *options, str(folder)]
    (folder / "none.ini").write_text("[pytest]\n")
    places = os.pathsep.join([str(folder), str(PACKAGE.parent)])
    environment = os.environ | {"PYTHONPATH": places}
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
    found = re.findall(r"^(PASSED|FAILED|ERROR) (?:\S*?::)?(\w+)(.*)$", done.stdout, re.MULTILINE)
    return {
        name: outcome + "".join(re.findall(rf"{name}(?:\.py)? .*without the marker '(\w+)'", done.stdout)[:1])
        for outcome, name, _ in found
    }


@pytest.mark.process
def test_a_missing_marker_is_named(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(TESTS)
    assert pytest_of(tmp_path) == {
        "test_light": "PASSED",
        "test_imports_keras": "FAILEDkeras",
        "test_gets_over_it": "FAILEDkeras",
        "test_converts": "FAILEDtflm",
        "test_starts_ray": "FAILEDray",
        "test_starts_a_process": "FAILEDprocess",
        "test_forks": "FAILEDprocess",
        "test_whose_fixture_starts_a_process": "ERRORprocess",
        "test_may_start_one": "PASSED",
        "test_may_start_ray": "PASSED",
    }


@pytest.mark.process
def test_a_heavy_module_is_not_imported_in_the_fast_lane(tmp_path: Path) -> None:
    (tmp_path / "test_whole.py").write_text(WHOLE)
    assert pytest_of(tmp_path) == {"test_of_a_heavy_module": "PASSED"}
    assert pytest_of(tmp_path, "--lane", "training") == {"test_of_a_heavy_module": "PASSED"}
    assert pytest_of(tmp_path, "--lane", "fast") == {}
    (tmp_path / "test_whole.py").write_text(WHOLE.replace("pytestmark", "marks"))
    assert pytest_of(tmp_path, "--lane", "fast") == {"test_whole": "ERRORkeras"}


def test_every_test_has_one_lane() -> None:
    """Whatever its markers; those of the smoke lane have another one too."""
    names = [*HEAVY, "slow", "smoke"]
    for chosen in itertools.product([False, True], repeat=len(names)):
        marks = {name for name, there in zip(names, chosen, strict=True) if there}
        lanes = {lane for lane, text in LANES.items() if holds(text, marks)}
        assert len(lanes - {"smoke"}) == 1
        assert ("smoke" in lanes) == ("smoke" in marks)
        assert ("fast" in lanes) == (not marks - {"smoke"})


def holds(text: str, marks: set[str]) -> bool:
    return bool(eval(text, {"__builtins__": {}}, {name: name in marks for name in [*HEAVY, "slow", "smoke"]}))
