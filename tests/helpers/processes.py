"""Processes of dse: started, waited for, looked at."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from dse.errors import RunError
from dse.search.run_folder import load_summary
from dse.search.summary import Summary
from tests.helpers.searches import TINY

LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def wait_for(what: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)


def listening(processes: list[psutil.Process]) -> set[str]:
    return {
        connection.laddr.ip
        for process in processes
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }


def command(folder: Path, trials: int, epochs: int, workers: int = 1) -> list[str]:
    space = folder / "tiny.yaml"
    space.write_text(TINY)
    return [
        *(sys.executable, "-c", "from dse.cli import main; main()", "search", "--space", str(space)),
        *("--board", "nano33ble", "--data", "sample", "--trials", str(trials), "--epochs", str(epochs)),
        *("--workers", str(workers), "--out", str(folder / "run"), "--no-export"),
    ]


def start(arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def standing(folder: Path) -> Summary | None:
    with suppress(RunError):  # not there yet, or not yet whole
        return load_summary(folder / "run")
    return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
