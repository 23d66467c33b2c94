"""A space file is read; a candidate is chosen from it by an explorer; written out as a network it has a cost
on a board; if it fits it is built, trained, evaluated and recorded as a trial of a run; trials form a front; a
candidate on the front is exported as a bundle.

The names below are the public ones; the heavy ones are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Candidate": "dse.candidate",
    "Space": "dse.space",
    "load_space": "dse.space",
    "Board": "dse.cost.boards",
    "Budget": "dse.cost.budget",
    "estimate": "dse.cost",
    "load_board": "dse.cost.boards",
    "load_task": "dse.tasks",
    "build_model": "dse.build",
    "load_summary": "dse.run_folder",
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
    from dse.build import build_model
    from dse.candidate import Candidate
    from dse.cost import estimate
    from dse.cost.boards import Board, load_board
    from dse.cost.budget import Budget
    from dse.run_folder import load_summary
    from dse.space import Space, load_space
    from dse.tasks import load_task


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'dse' has no attribute {name!r}")
