"""The folder through which a driver tells NNI's experiment about its trials. The standard library only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

READY = "ready"  # the experiment takes trials
OVER = "over"  # no more trials will come
SPACE = "space.json"


def append(folder: Path, number: int, line: dict[str, Any]) -> None:
    """Adds a line to a trial's file; the first has its `parameters`."""
    with (folder / f"{number}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, allow_nan=False) + "\n")


def proposed(folder: Path, number: int) -> dict[str, Any] | None:
    """The parameters of a trial; None when it has not begun."""
    try:
        with (folder / f"{number}.jsonl").open(encoding="utf-8") as file:
            line = file.readline()
    except FileNotFoundError:
        return None
    return dict(json.loads(line)["parameters"]) if line.endswith("\n") else None


def mark(folder: Path, name: str) -> None:
    """Says READY or OVER."""
    (folder / name).touch()


def is_marked(folder: Path, name: str) -> bool:
    """Whether it was said."""
    return (folder / name).exists()
