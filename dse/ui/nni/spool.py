"""The folder through which a driver tells NNI's experiment about its trials. The standard library only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

READY = "ready"  # a file that says that the experiment takes trials
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
