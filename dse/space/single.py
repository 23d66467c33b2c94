"""A candidate as the space of size one that it came from, so that it can be trained like any other."""

from __future__ import annotations

from typing import Any

import yaml

from dse.errors import DseError
from dse.network.candidate import Candidate
from dse.network.recipes import by_recipe, without_recipe
from dse.network.training import Training
from dse.space.space import Space, parse_space
from dse.space.template import COLORS


def space_of(candidate: Candidate, name: str, about: str = "", **training: Any) -> Space:
    """A space of that name in which nothing is open; `training` are settings in place of the candidate's own.

    Raises DseError for images that no space describes.
    """
    height, width, channels = candidate.input_shape
    color = next((color for color, count in COLORS.items() if count == channels), None)
    if height != width or color is None:
        raise DseError(
            f"candidate {candidate.id} takes images of {height}x{width}x{channels}; "
            "expected square ones in colour or grey"
        )
    own = candidate.training.model_dump()
    # Another length wants another recipe, where one gave its settings.
    known = without_recipe(own) if "epochs" in training else own
    settings = Training().model_dump() | by_recipe(known | training, candidate.training.epochs)
    tree = {
        "space": name,
        "about": about,
        "resolution": height,
        "color": color,
        "stages": [{"block": b.kind} | b.model_dump(mode="json", exclude_defaults=True) for b in candidate.blocks],
        "head": candidate.head.model_dump(mode="json", exclude_defaults=True),
        "training": settings,  # all of them: nothing is the task's to choose
    }
    return _written(tree, f"{name}.yaml")


def with_training(space: Space, **training: Any) -> Space:
    """A space with other training settings, which are part of its text and so of what a run is made of."""
    changed = space.at(**{f"training.{name}": value for name, value in training.items()})
    return _written(changed.tree, space.document.file)


def _written(tree: dict[str, Any], file: str) -> Space:
    return parse_space(yaml.safe_dump(tree, sort_keys=False), file)
