"""A space file is read; a candidate is chosen from it by an explorer; written out as a network it has a cost
on a board; if it fits it is built, trained, evaluated and recorded as a trial of a run; trials form a front; a
candidate on the front is exported as a bundle.

The names below are the public ones; the heavy ones are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Candidate": "dse.network.candidate",
    "Space": "dse.space.space",
    "load_space": "dse.space.space",
    "Board": "dse.hardware.boards",
    "Budget": "dse.hardware.budget",
    "estimate": "dse.cost.report",
    "load_board": "dse.hardware.boards",
    "load_task": "dse.tasks",
    "build_model": "dse.training.model",
    "load_summary": "dse.search.run_folder",
}
__all__ = [
    "Board",
    "Budget",
    "Candidate",
    "Space",
    "build_model",
    "estimate",
    "load_board",
    "load_space",
    "load_summary",
    "load_task",
]

if TYPE_CHECKING:
    from dse.cost.report import estimate
    from dse.hardware.boards import Board, load_board
    from dse.hardware.budget import Budget
    from dse.network.candidate import Candidate
    from dse.search.run_folder import load_summary
    from dse.space.space import Space, load_space
    from dse.tasks import load_task
    from dse.training.model import build_model


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'dse' has no attribute {name!r}")
