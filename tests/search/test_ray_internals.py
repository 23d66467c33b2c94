"""That Ray keeps to this machine, and what is changed inside it does what it is for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

EARLY = """
import ray  # before the search can set Ray's switch
from dse.data.datasets import load_data
from dse.errors import RunError
from dse.search.workers.jobs import WorkerSettings
from dse.search.workers.ray_pool import RayPool
from dse.tasks import load_task

try:
    RayPool(WorkerSettings(load_data(load_task("cifar10"), "sample"), "float", 0), 1)
except RunError as error:
    print(error)
print("initialized:", ray.is_initialized())
"""

LOST = """
import os, sys, time
from dse.search.workers.ray_pool import _set_switches
_set_switches(None)
import ray
from dse.search.workers._ray_internals import keep_quiet

ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="error")
if sys.argv[1:] == ["quiet"]:
    keep_quiet()

@ray.remote(max_retries=0)
def dies():
    os._exit(1)

try:
    ray.get(dies.remote())
except ray.exceptions.RayError as error:
    print("ended:", type(error).__name__)
time.sleep(3)
print("the end", flush=True)
"""


def run(program: str, *arguments: str, **environment: str) -> str:
    import os

    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
        env=os.environ | environment,
    )
    return done.stdout


def outside_addresses() -> list[str]:
    return [a.address for many in psutil.net_if_addrs().values() for a in many if a.family.name == "AF_INET"]


@pytest.mark.ray
@pytest.mark.skipif(outside_addresses() in ([], ["127.0.0.1"]), reason="this machine has no other address")
def test_a_ray_that_others_can_reach_is_refused() -> None:
    """Imported too early, Ray does not hear its switch: the search must not go on, nor leave Ray running."""
    said = run(EARLY, RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="1")
    assert said.startswith("cannot keep Ray on this machine: it listens on ")
    assert "expected a loopback address (Ray reads RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 when it is imported" in said
    assert "initialized: False" in said


@pytest.mark.ray
def test_what_ray_says_of_a_lost_worker_is_not_printed() -> None:
    assert run(LOST, "quiet") == "ended: WorkerCrashedError\nthe end\n"


def test_only_one_file_imports_the_insides_of_ray() -> None:
    from tests.helpers.paths import PACKAGE

    users = {p.name for p in Path(PACKAGE).rglob("*.py") if "ray._private" in p.read_text(encoding="utf-8")}
    assert users == {"_ray_internals.py"}
