"""The recipes of trainings by their length: what is taken where neither a task nor a space says otherwise.

Compared on validation images of CIFAR-10, in float and as int8 files: `results/training/README.md`, which
`benchmarks/recipes.py` made.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

Recipe = Literal["none", "auto", "short", "long"]

# Without crops a few epochs learn more; with them more epochs do.
SHORT_EPOCHS = 8
_SHORT: dict[str, Any] = {
    "optimizer": "adam",
    "learning_rate": 1e-2,
    "schedule": "linear",
    "warmup": 0.2,
    "augment": "flip",
}
RECIPES: dict[str, dict[str, Any]] = {"short": _SHORT, "long": _SHORT | {"augment": "flip_crop"}}
# Whoever says one of these has a recipe of their own.
OWN = ("optimizer", "pretrained")


def by_recipe(given: Mapping[str, Any], epochs: int) -> dict[str, Any]:
    """Training settings with what their `recipe` adds to them, under its name; `epochs` where they do not say.

    >>> by_recipe({"recipe": "auto", "epochs": 3, "learning_rate": 0.02}, 30)["recipe"]
    'short'
    """
    name = given.get("recipe", "none")
    if name == "auto":
        length = "short" if given.get("epochs", epochs) <= SHORT_EPOCHS else "long"
        name = "none" if any(given.get(own) for own in OWN) else length
    return {**RECIPES.get(name, {}), **given, "recipe": name}


def without_recipe(settings: Mapping[str, Any], given: Collection[str] = ()) -> dict[str, Any]:
    """Settings without what their recipe gave, which is `auto` again: to be trained for another time. Those that are
    known to be `given` stay, even where the recipe says the same."""
    taken = RECIPES.get(settings.get("recipe", "none"))
    if taken is None:
        return dict(settings)
    kept = {name: value for name, value in settings.items() if name in given or taken.get(name) != value}
    return kept | {"recipe": "auto"}
