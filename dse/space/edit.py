"""Changes the values of a space file at some places, such as `stages.2.repeats`."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from dse._util.strict_yaml import Document

OPTIONAL = ("head", "training")  # a file need not have them


def edited(document: Document, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a file with others at some places; that of `backbone` is the name of the one that is left.

    Raises FileError when there is nothing at a place.
    """
    tree: dict[str, Any] = copy.deepcopy(document.value)
    if "backbone" in values:
        name = values["backbone"]
        tree["backbone"] = {name: _below(tree["backbone"], name)}
    for place, value in values.items():
        if place == "backbone":
            continue
        *path, last = (int(part) if part.isdecimal() else part for part in place.split("."))
        at: Any = tree
        for depth, part in enumerate(path):
            of_body = depth == 2 and path[0] == "backbone"
            if isinstance(at, dict) and part in OPTIONAL and (depth == 0 or of_body):
                at.setdefault(part, {})
            at = _below(at, part)
        # A key may be new, an element of a list may not.
        if not (isinstance(at, dict) and isinstance(last, str)) and _below(at, last) is None:
            raise document.error((), f"there is nothing at {place!r} to be changed")
        at[last] = value
    return tree


def _below(tree: Any, part: str | int) -> Any:
    """What stands below a key, a place of a list, or a name that may be chosen; None for nothing."""
    if isinstance(tree, list):
        return tree[part] if isinstance(part, int) and part < len(tree) else None
    if not isinstance(tree, dict):
        return None
    if part in tree or not isinstance(tree.get("choice"), list):
        return tree.get(part)
    return next((option[part] for option in tree["choice"] if isinstance(option, dict) and part in option), None)
