"""NNI's manager: the process of its experiment, which serves the web UI.

What `nni.experiment.Experiment` does to start one, without what is in the way here: it waits three seconds for the
manager, which takes longer on a busy machine, keeps the process to itself, and registers an end of its own.
"""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import time
from pathlib import Path

from nni.experiment import management, rest
from nni.experiment.config import ExperimentConfig
from nni.experiment.launcher import NniManagerArgs
from nni.tools.nnictl.config_utils import Experiments

from dse.errors import RunError


class Manager:
    """A running experiment. Raises RunError when the port is taken, or NNI does not answer in so many seconds."""

    def __init__(self, config: ExperimentConfig, port: int, seconds: float) -> None:
        with socket.socket() as probe:
            if probe.connect_ex(("localhost", port)) == 0:
                raise RunError(f"port {port} of 127.0.0.1 is taken")
        self.port = port
        config = config.canonical_copy()
        folder, name = Path(config.experiment_working_directory), management.generate_experiment_id()
        (folder / name / "log").mkdir(parents=True, exist_ok=True)
        found = importlib.util.find_spec("nni_node")
        assert found
        assert found.origin
        node = Path(found.origin).parent
        options = NniManagerArgs("create", name, config, port, False, False, None, None).to_command_line_args()
        started = int(1000 * time.time())
        self.process = subprocess.Popen(
            [node / "node", "--max-old-space-size=4096", "--trace-uncaught", node / "main.js", *options],
            cwd=node,
            process_group=0,
        )
        self._wait_until_it_answers(seconds)
        Experiments().add_experiment(
            name,
            port,
            started,
            "local",
            config.experiment_name,
            pid=self.process.pid,
            logDir=str(folder),
            tag=[],
            prefixUrl=None,
        )
        rest.post(port, "/experiment", config.json())

    def _wait_until_it_answers(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.alive and time.monotonic() < deadline:
            try:
                self.status()
            except OSError:
                time.sleep(0.5)
            else:
                return
        code = self.process.poll()
        self.process.kill()
        ended = f"ended with exit code {code}" if code is not None else f"did not answer within {seconds:.0f} s"
        raise RunError(f"NNI's manager {ended}")

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def status(self) -> str:
        """What NNI says of its experiment: RUNNING, ERROR and others. Raises OSError when it does not answer."""
        return str(rest.get(self.port, "/check-status")["status"])
