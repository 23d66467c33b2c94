"""What tests of explorers share."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from dse.search.explorers.names import EXPLORERS
from dse.search.study.database import Place
from dse.search.study.trial_log import Proposal, TrialLog
from dse.space.space import Space, parse_space

OBJECTIVES = ["accuracy", "params"]


SMALL = """
space: small
stem: {block: conv, channels: 8, stride: 4}
stages:
  - block:
      choice:
        - conv: {channels: {choice: [8, 16, 64]}, kernel: {choice: [1, 3]}}
        - bneck: {channels: {int: [8, 16], step: 8}, expansion: {choice: [2, 3]}}
    stride: 2
  - {block: separable, channels: {choice: [8, 16]}}
"""


REAL = SMALL + "training: {learning_rate: {log: [1e-4, 1e-1]}}\n"


NEEDS = {"optuna:gp": "torch", "nni:anneal": "hyperopt"}


MISSING = {name: package for name, package in NEEDS.items() if not importlib.util.find_spec(package)}


NAMES = [
    pytest.param(name, marks=pytest.mark.skipif(name in MISSING, reason=f"{name} needs {MISSING.get(name)}"))
    for name in EXPLORERS
]


def space_for(name: str) -> Space:
    return parse_space(SMALL if name in ("grid", "optuna:grid") else REAL, "small.yaml")


def end(log: TrialLog, proposal: Proposal) -> None:
    """A trial ends well, breaks a limit or fails, by its number."""
    index = proposal.number
    values = {"accuracy": 0.1 + 0.01 * index, "params": 10.0 * index}
    if index % 3 == 0:
        log.tell_infeasible(index, values, {"params": 0.5}, "params 5 > 1")
    elif index % 3 == 1:
        log.tell_failed(index, "no reason")
    else:
        log.tell_complete(index, values, {"params": -0.5})


def log_in(folder: Path, objectives: list[str]) -> TrialLog:
    """The log of a run that has its database in its folder."""
    return TrialLog(Place.in_folder(folder), objectives)
