"""Lanes of tests, and a guard that keeps the fast lane fast.

A plugin of pytest, loaded by `pyproject.toml`. A test that imports Keras, runs a converter or an interpreter, or starts
a process says so by one of the heavy markers. Without any of them it fails, with the name of the one that is missing.
A module that is heavy as a whole (`pytestmark = pytest.mark.keras`) is not even imported in the fast lane.

An import is noticed once per process. Therefore only the fast lane, in which no test may import Keras, proves all markers.
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Generator, Iterable, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HEAVY = {
    "keras": "imports Keras or TensorFlow: builds, trains or loads models",
    "tflm": "converts to .tflite, or runs LiteRT or TensorFlow Lite Micro",
    "process": "starts processes, of dse or of others",
    "compiler": "compiles the C++ of a bundle",
    "ray": "starts a local Ray",
    "nni": "starts an experiment of NNI",
    "browser": "drives a real Chromium; run alone by make test-browser",
}
OTHERS = {
    "slow": "minutes; run by make test-slow",
    "smoke": "one of the few heavy tests that make check runs too",
}
# What may be imported only with a marker, and which. NNI's tuners are light; its experiments are processes.
MODULES = {
    "keras": "keras",
    "tensorflow": "keras",
    "ai_edge_litert.interpreter": "tflm",
    "tflite_micro": "tflm",
    "ray": "ray",
}
# Whoever asks for one of these fixtures has these markers.
FIXTURES = {"finished_run": {"keras"}, "bundle": {"keras", "tflm"}, "browser": {"browser"}}
STARTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn"}
# Programs that libraries ask about the machine and its fonts.
ASKED = {"uname", "lscpu", "fc-list", "ldconfig"}

_alone, _heavy = "process or ray or nni or browser", " or ".join(HEAVY)
LANES = {
    "fast": f"not ({_heavy} or slow)",
    "smoke": "smoke",
    "training": f"({_heavy}) and not ({_alone} or slow)",
    "processes": f"({_alone}) and not slow",
    "slow": "slow",
}


class Refused(ImportError):
    """A test did what its markers do not allow."""


class Guard(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Refuses heavy imports and all processes while it watches; keeps in `broken` what it refused."""

    def __init__(self) -> None:
        self.watches = False
        self.broken: list[str] = []

    def watch(self, markers: Iterable[str] | None) -> None:
        """Watches something with these markers from now on; None: nothing."""
        self.watches = markers is not None and not {*HEAVY, "slow"} & set(markers)
        self.broken = []

    def refuse(self, what: str, marker: str) -> None:
        self.broken.append(f"{what} without the marker {marker!r} (@pytest.mark.{marker}); see tests/helpers/lanes.py")
        raise Refused(self.broken[-1])

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """A module that is refused when it is loaded; whether it is there may be asked by anyone."""
        if self.watches and name in MODULES:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        self.refuse(f"imports {spec.name}", MODULES[spec.name])

    def exec_module(self, module: ModuleType) -> None:
        raise AssertionError

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Told of everything that Python does."""
        if self.watches and event in STARTS:
            program = str(arguments[0] if arguments else "")
            if Path(program).name not in ASKED:
                self.refuse(f"starts a process ({program or event})", "process")


GUARD = Guard()


@cache
def module_markers(path: Path) -> frozenset[str]:
    """Heavy markers of a module as a whole, by its text: its `pytestmark`, and what it imports if it is no test."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets):
            found |= {part.attr for part in ast.walk(node.value) if isinstance(part, ast.Attribute)}
        if isinstance(node, ast.Import | ast.ImportFrom) and not path.name.startswith("test_"):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module]
            found |= {MODULES[name] for name in names if name in MODULES}
    return frozenset(found & set(HEAVY))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--lane", choices=LANES, help="run the tests of one lane: " + ", ".join(LANES))


def pytest_configure(config: pytest.Config) -> None:
    for name, meaning in (HEAVY | OTHERS).items():
        config.addinivalue_line("markers", f"{name}: {meaning}")
    if lane := config.option.lane:
        config.option.markexpr = LANES[lane]
    if GUARD not in sys.meta_path:
        sys.meta_path.insert(0, GUARD)
        sys.addaudithook(GUARD.audit)


def pytest_sessionstart(session: pytest.Session) -> None:
    """What is imported already, by a conftest or a plugin, would not be noticed in tests."""
    if session.config.option.lane == "fast" and (loaded := sorted(MODULES.keys() & sys.modules.keys())):
        raise pytest.UsageError(f"the fast lane begins with {', '.join(loaded)} imported")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """In the fast lane, modules that are heavy as a whole; everywhere, modules of dse without a doctest."""
    if collection_path.suffix != ".py":
        return None
    if config.rootpath / "dse" in collection_path.parents and ">>> " not in collection_path.read_text("utf-8"):
        return True
    return True if config.option.lane == "fast" and module_markers(collection_path) else None


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    """A module is imported with the markers that it has as a whole."""
    GUARD.watch(module_markers(collector.path) if collector.path.suffix == ".py" else ())
    report = yield
    if GUARD.broken:
        report.outcome, report.longrepr = "failed", f"{collector.nodeid} {GUARD.broken[0]}"
    GUARD.watch(None)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        fixtures = FIXTURES.keys() & set(getattr(item, "fixturenames", ()))
        # Those of doctests, and those of fixtures.
        for name in module_markers(item.path).union(*(FIXTURES[name] for name in fixtures)):
            item.add_marker(name)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    GUARD.watch(mark.name for mark in item.iter_markers())
    result = yield
    GUARD.watch(None)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """What was refused is a failure, also where the test or a library got over it; ends of fixtures are free."""
    report = yield
    if GUARD.broken and call.when != "teardown":
        report.outcome, report.longrepr = "failed", f"{item.nodeid} {GUARD.broken[0]}"
        GUARD.broken = []
    if call.when == "call":
        GUARD.watch(None)
    return report
