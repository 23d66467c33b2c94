"""A PostgreSQL server of its own for tests and measurements, when the machine has the programs."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PASSWORD = "a-secret-word"


def programs() -> Path | None:
    """The folder of initdb and postgres."""
    found = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    if on_path := shutil.which("initdb"):
        found.append(Path(on_path).parent)
    return next((folder for folder in found if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


def account() -> str | None:
    """Who runs the server: it refuses to run as root."""
    if os.getuid():
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@contextmanager
def server() -> Iterator[str]:
    """The address of an empty database on loopback, until the end of the block; it asks for a password."""
    folder, user = programs(), account()
    assert folder
    with tempfile.TemporaryDirectory() as name, socket.socket() as free:
        root = Path(name)
        (root / "password").write_text(PASSWORD)
        for path in (root, root / "password"):
            if user:
                shutil.chown(path, user)
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        subprocess.run(
            [folder / "initdb", "-D", root / "data", "-U", "dse", "-A", "scram-sha-256", "--pwfile", root / "password"],
            user=user, check=True, capture_output=True, cwd="/",
        )  # fmt: skip
        with (root / "log").open("w") as log:
            running = subprocess.Popen(
                [folder / "postgres", "-D", root / "data", "-k", root, "-h", "127.0.0.1", "-p", str(port)],
                user=user, stdout=log, stderr=log, cwd="/",
            )  # fmt: skip
        try:
            deadline = time.monotonic() + 60
            while "ready to accept connections" not in (root / "log").read_text():
                assert time.monotonic() < deadline, (root / "log").read_text()
                assert running.poll() is None, (root / "log").read_text()
                time.sleep(0.1)
            yield f"postgresql://dse:{PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            running.send_signal(signal.SIGINT)  # ends at once, in order
            running.wait(60)
