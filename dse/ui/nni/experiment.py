"""A run on NNI's web UI, from the driver's side: starts the server, and writes into the spool what NNI shows."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from dse._util.child import module_command
from dse.search.record import TrialRecord
from dse.space.domains import Domain, FloatRange
from dse.space.space import Space
from dse.ui.nni import spool

EXPLORER = "explorer"  # shown among the hyper-parameters


class NniExperiment:
    """An experiment that shows what it is told. `say` gets its address, and a word when it ends of itself."""

    def __init__(
        self, name: str, space: Space, explorers: Iterable[str], port: int, workers: int, say: Callable[[str], None]
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="dse-nni-"))
        self.say = say
        self._numbers: dict[int, int] = {}  # a trial's in the experiment: a later step of it is one more there
        self._count = 0
        self._ended: set[int] = set()
        self._with_epochs: set[int] = set()
        self._closing = False
        (self.folder / spool.SPACE).write_text(json.dumps(search_space(space.domains, explorers)), encoding="utf-8")
        self._log = (self.folder / "server.log").open("wb")
        self._server = subprocess.Popen(
            module_command("dse.ui.nni.server", str(self.folder), str(port), str(workers), name),
            stdin=subprocess.PIPE,  # closed by the kernel when this process dies: then the server ends
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,  # Ctrl-C is for the search, which closes this in its turn
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        """Passes on the address when there is one, or why not, and the end when it was not asked for."""
        assert self._server.stdout is not None
        with self._server.stdout as lines:
            for line in lines:
                self.say(f"ui:   {line.decode().strip()}")
        code = self._server.wait()
        if not self._closing:
            self.say(f"ui:   NNI's web UI has ended (exit code {code}); nothing else depends on it")

    @property
    def alive(self) -> bool:
        """Whether there is a server."""
        return self._server.poll() is None

    def show(self, record: TrialRecord) -> None:
        """A trial, new or ended."""
        if record.number not in self._numbers:
            self._begin(record)
        if record.outcome != "running" and record.number not in self._ended:
            self._ended.add(record.number)
            if record.number not in self._with_epochs:
                for epoch, metrics in enumerate(_epochs(record.history), 1):
                    self.epoch(record.number, epoch, metrics)
            ending = {"end": record.outcome, "values": final_values(record), "log": _ending(record)}
            self._write(record.number, ending)

    def go_on(self, record: TrialRecord) -> None:
        """A later step of a trial: another trial here, since one that has ended stays so."""
        self._begin(record)
        self._ended.discard(record.number)
        self._with_epochs.add(record.number)

    def _begin(self, record: TrialRecord) -> None:
        self._numbers[record.number] = self._count
        self._count += 1
        parameters = {EXPLORER: record.explorer} | record.params
        self._write(record.number, {"parameters": parameters, "log": _beginning(record)})

    def epoch(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        """An epoch of a trial has ended."""
        self._with_epochs.add(number)
        known = {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
        text = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        line = {"epoch": {"default": known.get("val_accuracy", 0.0)} | known, "log": f"epoch {epoch}: {text}"}
        self._write(number, line)

    def _write(self, number: int, line: dict[str, Any]) -> None:
        try:
            spool.append(self.folder, self._numbers[number], line)
        except OSError as error:
            if not self._closing:
                self.say(f"ui:   NNI's web UI cannot be told of more ({error})")
                self._closing = True
                self._server.terminate()

    def close(self) -> None:
        """Ends the server and all its processes, and removes what they wrote."""
        self._closing = True
        assert self._server.stdin is not None
        self._server.stdin.close()
        try:
            self._server.wait(20)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._listener.join()
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def search_space(domains: Mapping[str, Domain], explorers: Iterable[str]) -> dict[str, Any]:
    """What may vary, as NNI writes it, and the explorer, so that the web UI can show who proposed what."""
    space: dict[str, Any] = {EXPLORER: {"_type": "choice", "_value": list(explorers)}}
    for path, domain in domains.items():
        if isinstance(domain, FloatRange):
            space[path] = {"_type": "loguniform" if domain.log else "uniform", "_value": [domain.low, domain.high]}
        else:
            space[path] = {"_type": "choice", "_value": list(domain.values())}
    return space


def final_values(record: TrialRecord) -> dict[str, float]:
    """All that is known of a trial that has ended, by name; `default` is what NNI ranks by. Empty without values.

    With the seconds that it took to train: NNI's own duration is that of a relay.
    """
    if "accuracy" not in record.values:
        return {}
    return {"default": record.values["accuracy"]} | record.values | {"seconds": record.seconds}


def _epochs(history: Mapping[str, list[float]]) -> list[dict[str, float]]:
    return [dict(zip(history, values, strict=True)) for values in zip(*history.values(), strict=True)]


def _beginning(record: TrialRecord) -> str:
    candidate = record.candidate.to_json() if record.candidate else "no network"
    what = f", {record.more.text}" if record.more else ""
    return f"trial {record.number} {record.id}, proposed by {record.explorer}{what}\n{candidate}"


def _ending(record: TrialRecord) -> str:
    parts = [record.outcome, *([record.reason] if record.reason else [])]
    return ": ".join(parts) + "".join(f"\n  {name} {value:g}" for name, value in record.values.items())
