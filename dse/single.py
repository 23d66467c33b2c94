"""A candidate as the space of size one that it came from, so that it can be trained like any other."""

from __future__ import annotations

from typing import Any

import yaml

from dse.candidate import Candidate
from dse.space import COLORS, Space, parse_space


def space_of(candidate: Candidate, name: str, about: str = "", **training: Any) -> Space:
    """A space of that name in which nothing is open; `training` are settings in place of the candidate's own."""
    height, _, channels = candidate.input_shape
    tree = {
        "space": name,
        "about": about,
        "resolution": height,
        "color": next(color for color, count in COLORS.items() if count == channels),
        "stages": [{"block": b.kind} | b.model_dump(mode="json", exclude_defaults=True) for b in candidate.blocks],
        "head": candidate.head.model_dump(mode="json", exclude_defaults=True),
        "training": candidate.training.to_dict() | training,
    }
    return parse_space(yaml.safe_dump(tree, sort_keys=False), f"{name}.yaml")
