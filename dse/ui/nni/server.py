"""The process around NNI's experiment: `python -m dse.ui.nni.server SPOOL PORT WORKERS NAME`.

It ends, with all that it started, when its standard input is closed: so when the driver ends, however that ends. A
process of its own, so that nothing that happens to NNI happens to the search.
"""

from __future__ import annotations

import json
import os
import select
import signal
import site
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import psutil

from dse.errors import RunError
from dse.ui.nni import spool

if TYPE_CHECKING:
    from dse.ui.nni.manager import Manager

HERE = Path(__file__).parent
CATCHING_UP = 32  # trials that NNI may run beside those in training, so that earlier ones are soon shown
ATTEMPTS = 3
START_S = 180.0  # until it takes trials, on a machine that does much else


def prepare(folder: Path) -> None:
    """What the processes of the experiment find in their environment."""
    # NNI keeps a list of all experiments in the home folder; this one is nobody's to resume.
    os.environ["PYTHONUSERBASE"] = site.getuserbase()
    os.environ["HOME"] = str(folder / "home")
    os.environ["NODE_OPTIONS"] = f'--require "{HERE / "guard.js"}"'
    os.environ |= {"DSE_NNI_PYTHON": sys.executable, "DSE_NNI_SPOOL": str(folder)}


def start(folder: Path, port: int, workers: int, name: str) -> Manager:
    """NNI's manager, when its experiment takes trials. Raises RunError when it does not."""
    from nni.experiment.config import CustomAlgorithmConfig, ExperimentConfig

    from dse.ui.nni.manager import Manager

    for _ in range(ATTEMPTS):
        (folder / spool.READY).unlink(missing_ok=True)
        config = ExperimentConfig("local")
        config.experiment_name = name
        config.experiment_working_directory = folder / "experiments"
        config.search_space = json.loads((folder / spool.SPACE).read_text(encoding="utf-8"))
        config.trial_command = 'exec "$DSE_NNI_PYTHON" -I -S relay.py "$DSE_NNI_SPOOL"'
        config.trial_code_directory = HERE
        config.trial_concurrency = workers + CATCHING_UP
        config.advisor = CustomAlgorithmConfig(
            class_name="dse.ui.nni.advisor.Mirror",
            code_directory=HERE.parent.parent.parent,
            class_args={"folder": str(folder)},
        )
        manager = Manager(config, port, START_S)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and manager.status() != "ERROR":
            if (folder / spool.READY).exists():
                return manager
            time.sleep(0.2)
        end_others()
    raise RunError(f"NNI's experiment did not start in {ATTEMPTS} attempts")


def end_others() -> None:
    """Ends every other process of this one's session: all that it started, and theirs, orphans too.

    NNI's tuner tries for ten seconds and more to reach a manager that has died, and would find the next one, which
    listens on the same port and has a tuner of its own.
    """
    others = [process for process in psutil.process_iter() if process.pid != os.getpid() and is_ours(process.pid)]
    for process in others:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(others, timeout=5)


def is_ours(pid: int) -> bool:
    """Whether a process is of this one's session."""
    try:
        return os.getsid(pid) == os.getsid(0)
    except OSError:  # it has ended, or is of another user
        return False


def watch(manager: Manager) -> bool:
    """Waits until the driver closes the pipe (True), or NNI's manager dies or gives up (False)."""
    asked = time.monotonic()
    while manager.alive:
        if select.select([sys.stdin], [], [], 0.5)[0] and not os.read(sys.stdin.fileno(), 1024):
            return True
        if time.monotonic() - asked > 10:
            asked = time.monotonic()
            with suppress(OSError):  # it may be busy
                if manager.status() == "ERROR":
                    return False
    return False


def main(folder: Path, port: int, workers: int, name: str) -> int:
    """Runs the experiment until the driver closes the pipe (0). When NNI dies it is started anew, a few times."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    if os.getsid(0) != os.getpid():
        os.setsid()  # whoever started it: what ends with it is its own only
    driver = os.fdopen(os.dup(1), "w")  # for what the user should know: NNI prints its log there
    os.dup2(2, 1)
    prepare(folder)
    try:
        for _ in range(ATTEMPTS):
            manager = start(folder, port, workers, name)
            print(f"http://127.0.0.1:{port}/ (NNI's web UI)", file=driver, flush=True)
            if watch(manager):
                return 0
            end_others()
            print("NNI has died, and is started anew", file=driver, flush=True)
    except Exception as error:
        print(f"NNI's web UI cannot start: {error}", file=driver, flush=True)
    finally:
        end_others()
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
