"""plan.json in the folder of a run: what was planned, and how long it took, over all commands that worked on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dse._util.files import write_atomic
from dse._util.units import duration_text
from dse.search.planning.plan import Plan
from dse.search.planning.speed import Speed

NAME = "plan.json"


def write_plan(folder: Path, asked: Mapping[str, Any], plan: Plan, speed: Speed) -> None:
    """Keep a plan, beside what it was made for and by."""
    body = {
        "asked": dict(asked),
        "networks": plan.networks,
        "epochs": plan.epochs,
        "text": plan.text,
        "planned": {"search": round(plan.search), "export": round(plan.export)},
        "took": read_plan(folder).get("took", {}),
        "measured": [vars(one) for one in speed.measured],
    }
    write_atomic(folder / NAME, json.dumps(body, indent=2) + "\n")


def read_plan(folder: Path) -> dict[str, Any]:
    """What stands there; nothing where there is no plan, or none that can be read."""
    try:
        body = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}


def add_time(folder: Path, stage: str, seconds: float) -> None:
    """A stage took so many seconds more. Without a plan nobody wants to know."""
    if body := read_plan(folder):
        took = body.setdefault("took", {})
        took[stage] = round(took.get(stage, 0.0) + seconds)
        write_atomic(folder / NAME, json.dumps(body, indent=2) + "\n")


def time_left(folder: Path, budget: float | None) -> float | None:
    """Seconds of a budget that are left for the search, after what it has taken and before the export."""
    if budget is None:
        return None
    body = read_plan(folder)
    export, took = body.get("planned", {}).get("export", 0.0), body.get("took", {}).get("search", 0.0)
    return budget - float(export) - float(took)


def time_text(folder: Path) -> str:
    """How long each stage took, beside what was planned; empty without a plan."""
    body = read_plan(folder)
    parts = [
        f"{stage} {duration_text(seconds)} ({duration_text(body['planned'].get(stage, 0))} planned)"
        for stage, seconds in body.get("took", {}).items()
    ]
    return ", ".join(parts)
