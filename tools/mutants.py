"""Breaks the code on purpose, one line at a time, and sees the tests go red: `python -m tools.mutants`, or `make mutants`.

`mutants.toml` has a row for each: what is broken, the file, the text that stands there once and what replaces it, and
the test (or the command) that must fail for it. All of it happens in a copy of the checkout, so a kill leaves nothing
behind. A test runs once without any mutation first, and must pass. What ran is kept in `.mutants.json`, so that an
interrupted run is resumed as long as no file has changed; `--anew` forgets it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import queue
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

from tests.helpers.paths import GROUND_TRUTH, ROOT

TABLE = Path(__file__).with_suffix(".toml")
STATE = ROOT / ".mutants.json"
SELF = ("tools/mutants.toml", "tests/test_mutants.py")  # no test of a row reads these
SECONDS = 900  # that a test may take
PYTEST = (sys.executable, "-m", "pytest", "-q", "-m", "", "--tb=line", "-rfE", "-p", "no:cacheprovider")
# What a mutation that is no longer Python, or names what is not there, ends in: that shows nothing about the test.
NO_MUTATION = ("SyntaxError", "IndentationError", "NameError", "ImportError", "ModuleNotFoundError")


@dataclass(frozen=True)
class Row:
    """One line that is broken, and what must notice."""

    what: str
    file: str
    old: str
    new: str
    test: tuple[str, ...] = ()  # pytest's node ids
    command: str = ""  # in place of a test; a program of this environment that ends with 1 when it is red
    lane: str = ""  # "slow": left out unless --slow

    @property
    def group(self) -> str:
        """What is tried first without the mutation: a test file, or the command."""
        return self.test[0].split("::")[0] if self.test else self.command

    @property
    def arguments(self) -> tuple[str, ...]:
        """The command line that must go red."""
        return (*PYTEST, "-x", *self.test) if self.test else tuple(shlex.split(self.command))

    def mutated(self, root: Path = ROOT) -> str:
        """The text of the file with the mutation. Raises ValueError when the old text does not stand in it once."""
        path = root / self.file
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        if (count := text.count(self.old)) != 1:
            raise ValueError(f"{self.what!r}: expected 'old' once in {self.file}, found it {count} times")
        return text.replace(self.old, self.new)


@dataclass(frozen=True)
class Result:
    """How a row ended: "red" is what is wanted."""

    ended: str  # red, green, skipped or wrong
    seconds: float
    why: str = ""


def load_rows(path: Path = TABLE) -> list[Row]:
    """The rows of the table, those of one test file together. Raises ValueError for a row that is no row."""
    rows = []
    for entry in tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]:
        test = entry.pop("test", ())
        try:
            row = Row(**entry, test=(test,) if isinstance(test, str) else tuple(test))
        except TypeError as error:
            raise ValueError(f"{entry.get('what', entry)!r}: {error}") from None
        if bool(row.test) == bool(row.command) or row.lane not in ("", "slow"):
            raise ValueError(f"{row.what!r}: expected a test or a command, and no lane but 'slow'")
        rows.append(row)
    first: dict[str, int] = {}
    for row in rows:
        first.setdefault(row.group, len(first))
    return sorted(rows, key=lambda row: first[row.group])


def part_of(rows: list[Row], part: str) -> list[Row]:
    """The rows of a part such as "2/4"; those of one test file stay together where they can."""
    number, _, of = part.partition("/")
    size = -(-len(rows) // int(of))
    return rows[(int(number) - 1) * size : int(number) * size]


# -- running


class Copy:
    """A copy of the checkout in which rows are tried, one at a time."""

    process: subprocess.Popen[str] | None = None
    stopped = False

    def __init__(self, root: Path, files: list[str]) -> None:
        self.root = root
        for name in files:
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = os.environ | {
            "PYTHONPATH": str(root),
            "DSE_GROUNDTRUTH": str(GROUND_TRUTH),
            "PATH": programs,
        }
        # Compiled files that hold for their source's content: two mutations may have one size and one second.
        compiling = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "checked-hash", "dse", "tests"]
        subprocess.run(compiling, cwd=root, check=True)
        self.environment["PYTHONDONTWRITEBYTECODE"] = "1"
        found = subprocess.run(
            [sys.executable, "-c", "import dse; print(dse.__file__)"],
            cwd=tempfile.gettempdir(), env=self.environment, check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip
        if not Path(found).is_relative_to(root):
            raise RuntimeError(f"tests would import {found}, not the copy in {root}")

    @contextmanager
    def broken(self, row: Row) -> Iterator[None]:
        """The copy with the mutation of a row."""
        path = self.root / row.file
        before = path.read_bytes()
        path.write_text(row.mutated(self.root), encoding="utf-8")
        try:
            yield
        finally:
            path.write_bytes(before)

    def run(self, arguments: Iterable[str]) -> tuple[int, str]:
        """Exit code and output; 124 when it takes too long. What it started in its session ends with it."""
        if self.stopped:
            return 130, "stopped"
        self.process = subprocess.Popen(
            list(arguments), cwd=self.root, env=self.environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
        try:
            if self.stopped:  # just now
                self._kill()
            output, _ = self.process.communicate(timeout=SECONDS)
            return self.process.returncode, output
        except subprocess.TimeoutExpired:
            return 124, f"more than {SECONDS} s"
        finally:
            self._kill()
            self.process.communicate()

    def stop(self) -> None:
        """End what runs here, for good."""
        self.stopped = True
        self._kill()

    def _kill(self) -> None:
        if self.process:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)


def reason_of(output: str) -> str:
    """The line of a failing run that says most: pytest's first failure, else the last one."""
    lines = [line.strip() for line in output.strip().splitlines()] or [""]
    found = (re.match(r"(?:E\s+|\S+:\d+: )(\S.*)", line) for line in lines)
    return next((match[1] for match in found if match), lines[-1])


def try_row(row: Row, copy: Copy) -> Result:
    """Breaks what the row says, and looks for red."""
    began = time.monotonic()
    with copy.broken(row):
        code, output = copy.run(row.arguments)
    seconds, why = time.monotonic() - began, reason_of(output)
    if code == 0 and row.test and not re.search(r"\d+ passed", output):
        return Result("skipped", seconds, why)
    if code == 0:
        return Result("green", seconds, why)
    # pytest: 1 is a failed test; 2, 4 and 5 are collection errors, wrong usage and no tests.
    if code != 1 or why.startswith(NO_MUTATION):
        return Result("wrong", seconds, f"exit code {code}: {why}")
    return Result("red", seconds, why)


def unbroken(rows: list[Row], copy: Copy) -> dict[Row, str]:
    """Of rows of one group those that are red, or do not run, without any mutation, and why."""
    tests = list(dict.fromkeys(test for row in rows for test in row.test))
    code, _ = copy.run((*PYTEST, *tests) if tests else rows[0].arguments)
    if code == 0:
        return {}
    failed = {}
    for row in rows:
        code, output = copy.run(row.arguments)
        if code:
            failed[row] = f"red without the mutation, exit code {code}: {reason_of(output)}"
    return failed


# -- the table of results


class State:
    """Results of this very checkout, on disk after each row."""

    def __init__(self, files: list[str], anew: bool) -> None:
        digest = hashlib.sha256()
        for name in files:
            if name not in SELF:
                digest.update(f"{name}\0".encode() + hashlib.sha256((ROOT / name).read_bytes()).digest())
        self.checkout, self.lock = digest.hexdigest(), threading.Lock()
        kept = json.loads(STATE.read_text(encoding="utf-8")) if STATE.is_file() and not anew else {}
        self.results = kept["results"] if kept.get("checkout") == self.checkout else {}

    def of(self, row: Row) -> Result | None:
        """How a row ended before, where it need not run again."""
        found = self.results.get(self._key(row))
        return Result(**found) if found and found["ended"] in ("red", "skipped") else None

    def keep(self, row: Row, result: Result) -> None:
        with self.lock:
            self.results[self._key(row)] = asdict(result)
            unfinished = STATE.with_suffix(".part")
            unfinished.write_text(json.dumps({"checkout": self.checkout, "results": self.results}, indent=1), "utf-8")
            unfinished.replace(STATE)

    @staticmethod
    def _key(row: Row) -> str:
        return hashlib.sha256(json.dumps(asdict(row), sort_keys=True).encode()).hexdigest()[:16]


def show(row: Row, result: Result) -> None:
    """One line for a row."""
    why = f" ({result.why[:160]})" if result.ended != "red" else ""
    print(f"{result.ended:8}{result.seconds:6.0f} s  {row.file}: {row.what}{why}", flush=True)


def checkout_files() -> list[str]:
    """What is tracked and what git does not ignore, as it is on disk now."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return sorted({name for name in names if name and (ROOT / name).is_file()})


def run_rows(rows: list[Row], jobs: int, anew: bool) -> dict[Row, Result]:
    """Every row's result; those that are known are not run again."""
    files = checkout_files()
    state = State(files, anew)
    results: dict[Row, Result] = {}

    def done(row: Row, result: Result) -> None:
        results[row] = result
        state.keep(row, result)
        show(row, result)

    for row in rows:
        if result := state.of(row):
            results[row] = result
            show(row, result)
    waiting = [row for row in rows if row not in results]
    groups = [list(found) for _, found in groupby(waiting, key=lambda row: row.group)]
    if not groups:
        return results
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as folder:
        copies = [Copy(Path(folder) / str(number), files) for number in range(min(jobs, len(groups)))]
        free: queue.Queue[Copy] = queue.Queue()
        for copy in copies:
            free.put(copy)

        def try_group(group: list[Row]) -> None:
            copy = free.get()
            try:
                failed = unbroken(group, copy)
                for row in group:
                    result = Result("wrong", 0.0, failed[row]) if row in failed else try_row(row, copy)
                    if copy.stopped:
                        return
                    done(row, result)
            finally:
                free.put(copy)

        with ThreadPoolExecutor(len(copies)) as pool:
            try:
                for _ in pool.map(try_group, groups):
                    pass
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for copy in copies:
                    copy.stop()
                raise
    return results


def main(arguments: list[str] | None = None) -> int:
    """Runs what is asked for; 1 when a row is anything but red (or cannot run on this machine)."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as after Ctrl-C, nothing is left behind
    parser = argparse.ArgumentParser("python -m tools.mutants", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--part", metavar="N/M", help="the Nth of M parts")
    parser.add_argument("--only", metavar="TEXT", action="append", help="rows with this in the sentence, file or test")
    parser.add_argument("--list", action="store_true", help="show the rows and run none")
    parser.add_argument("--jobs", type=int, default=1, help="rows at a time")
    parser.add_argument("--slow", action="store_true", help="those of the slow lane too")
    parser.add_argument("--anew", action="store_true", help="forget what has run")
    asked = parser.parse_args(arguments)
    if asked.part and not re.fullmatch(r"[1-9]\d*/[1-9]\d*", asked.part):
        parser.error(f"invalid --part {asked.part!r}: expected N/M, as in 1/4")
    try:
        rows = load_rows()
        for row in rows:
            row.mutated()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    rows = [row for row in rows if asked.slow or not row.lane]
    if asked.only:
        rows = [row for row in rows if any(text in " ".join((row.what, row.file, *row.test)) for text in asked.only)]
    if asked.part:
        rows = part_of(rows, asked.part)
    if asked.list:
        for row in rows:
            print(f"{row.file}: {row.what}\n    {' '.join(row.test) or row.command}")
        return 0
    results = run_rows(rows, max(1, asked.jobs), asked.anew)
    counts = {
        kind: [row for row in rows if results[row].ended == kind] for kind in ("red", "green", "wrong", "skipped")
    }
    print("\n" + ", ".join(f"{len(found)} {kind}" for kind, found in counts.items()))
    for kind in ("green", "wrong"):
        for row in counts[kind]:
            show(row, results[row])
    return 1 if counts["green"] or counts["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
