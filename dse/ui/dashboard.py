"""Optuna's dashboard on one run, for browsers of this machine: nothing that it is asked changes the run.

A server without a password is reached by every web page that its user has open. So it listens on 127.0.0.1 alone,
answers no request that was meant for another name (DNS rebinding), and refuses whatever would write; beneath it
the database is open for reading only. The only file that imports optuna_dashboard, which brings all its pages
along and needs no internet.

`serve` works in this process. `Dashboard` is a process of its own beside a search: neither waits for the other, and
the dashboard ends when its search does, however that ends.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from socketserver import ThreadingMixIn
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import optuna_dashboard

from dse._util.child import module_command
from dse._util.loopback import HOST, address, listen
from dse.search.run_folder import place_of
from dse.search.study.database import ReadOnlyStorage

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


def serve(folder: Path, listener: socket.socket) -> None:
    """Shows the run in a folder until it is interrupted. Raises RunError when the folder has no study."""
    with _Server(listener, application(folder, listener.getsockname()[1])) as server:
        server.serve_forever()


def application(folder: Path, port: int) -> WSGIApplication:
    """The dashboard of a run behind its guard. Raises RunError when the folder has no study."""
    storage = _Shown(folder)
    return guard(optuna_dashboard.wsgi(storage), port, f"/dashboard/studies/{storage.study_id}")


class _Shown(ReadOnlyStorage):
    """The study as the dashboard is to show it: under the name of its folder, each trial's record in columns."""

    def __init__(self, folder: Path) -> None:
        super().__init__(place_of(folder))
        self.folder = folder

    def get_all_studies(self) -> list[Any]:
        studies = [study for study in super().get_all_studies() if study.study_name == self.place.name]
        for study in studies:
            study.study_name = self.folder.resolve().name
        return studies

    def get_all_trials(self, *arguments: Any, **named: Any) -> list[Any]:
        trials = super().get_all_trials(*arguments, **named)
        for trial in trials:
            ending = trial.user_attrs.get("ending", {})
            outcome, values = ending.get("outcome", "running"), dict(ending.get("values", {}))
            if outcome == "infeasible":
                # Dropped before any training: its accuracy of 0 is for samplers, and would only spoil the plots.
                trial.state, trial.values = type(trial.state).PRUNED, None
                values.pop("accuracy", None)
            trial.intermediate_values = dict(enumerate(ending.get("history", {}).get("val_accuracy", []), 1))
            # The candidate stays away: a line of a thousand characters, which pushes all else out of the window.
            shown = {"outcome": outcome, "reason": ending.get("reason", ""), "seconds": ending.get("seconds", "")}
            shown["share"] = ending.get("share", "")
            shown |= {name: trial.user_attrs.get(name, "") for name in ("explorer", "id")} | values
            trial.user_attrs = {name: value for name, value in shown.items() if value != ""}
        return trials


def guard(app: WSGIApplication, port: int, start: str = "/") -> WSGIApplication:
    """Lets through what reads, and was addressed to this server by its own name; '/' leads to `start`."""
    hosts = {f"{HOST}:{port}", f"localhost:{port}"} | ({HOST, "localhost"} if port == 80 else set())

    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def refuse(status: str, reason: str) -> Iterable[bytes]:
            start_response(status, [("Content-Type", "application/json")])
            return [json.dumps({"reason": reason}).encode()]

        if environ.get("HTTP_HOST", "").lower() not in hosts:
            return refuse("421 Misdirected Request", f"this server is http://{HOST}:{port}/ and nothing else")
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return refuse("403 Forbidden", "the record of a run is only shown here, and never changed")
        if environ["PATH_INFO"] == "/" != start:
            start_response("302 Found", [("Location", start)])
            return []
        return app(environ, start_response)

    return guarded


class _Handler(WSGIRequestHandler):
    timeout = 60  # seconds: browsers open connections that they may never use

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Server(ThreadingMixIn, WSGIServer):
    """wsgiref on a socket that listens already, with a thread for each connection."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, app: WSGIApplication) -> None:
        super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_name, self.server_port = listener.getsockname()
        self.setup_environ()
        self.set_app(app)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # a browser that hung up is no news
            super().handle_error(request, client_address)


class Dashboard:
    """The dashboard of a run in a process of its own. Its port is taken at once; `start` when the run has a study.

    Raises RunError when the port cannot be had.
    """

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder
        self._listener = listen(port)
        self.url = address(self._listener)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns at once; a browser that comes too early waits for the server."""
        handle = self._listener.fileno()
        self._process = subprocess.Popen(
            module_command("dse.ui.dashboard", str(self.folder), str(handle)),
            stdin=subprocess.PIPE,  # never written to: it closes when this process ends, and the other one sees that
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[handle],
            start_new_session=True,  # Ctrl-C is for the search, which closes the dashboard when it is done
        )
        self._listener.close()  # the port is the child's now, and free when that ends

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """Ends it. May be called again."""
        self._listener.close()
        if self._process is not None:
            self._process.kill()  # it only reads
            self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    serve(Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])))
