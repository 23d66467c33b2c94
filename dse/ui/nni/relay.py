"""A trial as NNI sees it: `python -I -S relay.py SPOOL`, started by NNI in place of a training.

It passes on what the spool says of its trial, and ends as the trial ends: 0 when it is complete, 1 when it failed,
killed by NNI when it was dropped (NNI has no other way to show a trial as stopped early). The standard library only:
importing NNI would take more than a second of a core for every trial. What it sends is what NNI's own channel sends.

It finds its trial by its number in the experiment. The parameters that NNI hands out on request are those of whichever
trial asks first, which is how NNI comes to pair parameters with the results of others.
"""

import http.client
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

POLL_S = 0.5
KNOWN_WITHIN_S = 60.0


class Nni:
    """What NNI hears of this trial."""

    def __init__(self) -> None:
        self.number = int(os.environ["NNI_TRIAL_SEQ_ID"])
        self.trial = os.environ["NNI_TRIAL_JOB_ID"]
        self.log_file = Path(os.environ["NNI_OUTPUT_DIR"]) / "trial.log"
        self.url = urlsplit(os.environ["NNI_TRIAL_COMMAND_CHANNEL"])
        self.sequence = 0

    def _ask(self, method: str, path: str, body: str | None = None) -> bytes:
        connection = http.client.HTTPConnection(self.url.netloc, timeout=60)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            return connection.getresponse().read()
        finally:
            connection.close()

    def wait_until_known(self) -> None:
        """NNI starts a trial before it knows of it, and drops what it hears in between; its pages fail on the gap."""
        deadline = time.monotonic() + KNOWN_WITHIN_S
        while b'"trialJobId"' not in self._ask("GET", f"/api/v1/nni/trial-jobs/{self.trial}"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"NNI does not know trial {self.trial}")
            time.sleep(0.2)

    def _send(self, metric: dict[str, Any]) -> None:
        body = json.dumps({"type": "metric", "metric": json.dumps({"trial_job_id": self.trial} | metric)})
        self._ask("PUT", self.url.path, body)

    def report(self, kind: str, value: dict[str, float]) -> None:
        """An intermediate result (PERIODICAL) or the FINAL one."""
        self._send({"parameter_id": self.number, "type": kind, "sequence": self.sequence, "value": json.dumps(value)})
        self.sequence += 1

    def ask_to_be_stopped(self) -> None:
        """A message that NNI passes to the advisor and does not record."""
        self._send({"type": "REQUEST_PARAMETER", "sequence": 0, "parameter_index": 0})

    def log(self, text: str) -> None:
        """A line of the log that the web UI shows."""
        with self.log_file.open("a", encoding="utf-8") as file:
            file.write(f"[{time.strftime('%Y-%m-%d %H:%M:%S')}] {text}\n")


def lines(path: Path, parent: int) -> Iterator[dict[str, Any]]:
    """What is written to a file, line by line, until the file is removed or NNI's manager, our parent, has died."""
    with path.open(encoding="utf-8") as file:
        unfinished = ""
        while True:
            line = unfinished + file.readline()
            if line.endswith("\n"):
                unfinished = ""
                yield json.loads(line)
                continue
            unfinished = line
            if os.getppid() != parent or not path.exists():
                return
            time.sleep(POLL_S)


def main(spool: Path) -> int:
    """Relays one trial to its end; its exit code."""
    nni, parent = Nni(), os.getppid()
    nni.wait_until_known()
    for line in lines(spool / f"{nni.number}.jsonl", parent):
        if "log" in line:
            nni.log(line["log"])
        if "epoch" in line:
            nni.report("PERIODICAL", line["epoch"])
        if outcome := line.get("end"):
            return end(nni, outcome, line["values"])
    return 1


def end(nni: Nni, outcome: str, values: dict[str, float]) -> int:
    """Tells NNI how the trial ended; the exit code."""
    if outcome in ("complete", "repeated") and values:
        nni.report("FINAL", values)
        return 0
    if outcome == "infeasible":
        if values:
            nni.report("PERIODICAL", values)
        nni.ask_to_be_stopped()
        time.sleep(60)  # killed by then
    return 1


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # how NNI ends it: without a traceback
    sys.exit(main(Path(sys.argv[1])))
