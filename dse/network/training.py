"""How a candidate is trained: plain, checked values, part of every candidate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from dse.network.recipes import RECIPES, Recipe, by_recipe


@dataclass(frozen=True)
class QatSettings:
    """How a trained network is fine-tuned in int8: by Adam, with a cosine to zero, on the labels. All else is as it was
    trained."""

    epochs: int = 3
    learning_rate: float = 3e-4
    batch_size: int = 64


class Training(BaseModel):
    """Training settings. The defaults are those of runs before there were recipes, which read them so; what we advise
    for a small network on small images is `recipe: auto`, which tasks have by default."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 30
    # What stands in place of the defaults of what is not given, by the number of epochs with `auto`; see recipes.py.
    recipe: Recipe = "none"
    optimizer: Literal["adam", "adamw", "nadam", "sgd"] = "adam"
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 3e-3
    # cosine and linear: down to zero; step: a tenth from the middle, a hundredth from 3/4 on
    schedule: Literal["constant", "cosine", "linear", "step"] = "cosine"
    warmup: Annotated[float, Field(ge=0, le=0.9)] = 0.0  # share of the steps in which the rate rises to its highest
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0  # of kernels, by each step's rate, apart from the gradient
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0  # the weights are a running mean, of which each step keeps so much
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 64
    l2: Annotated[float, Field(ge=0, le=1)] = 1e-5  # added to the loss, on convolution and dense kernels
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    # Batch norm's first scale at the end of a residual branch. Below 1 a deep network begins nearly as its shortcuts,
    # and its first gradients stay small (Goyal et al. 2017, section 5.1, who take 0).
    residual_gamma: Annotated[float, Field(gt=0, le=1)] = 1.0
    augment: Literal["none", "flip", "flip_crop", "flip_cutout", "flip_crop_cutout", "alternate", "alternate_crop"] = (
        "flip_crop"
    )
    # balanced: an image counts the more the rarer its class is, so that all classes together count the same
    class_weight: Literal["none", "balanced"] = "none"

    # -- from weights that are there already: a .keras file, the folder of a trained candidate, or `imagenet`

    pretrained: Annotated[str, Field(max_length=4096)] = ""
    # What is new is trained alone, until the validation loss has not become less for so many epochs, and then all of it
    # for `epochs` at a share of the learning rate.
    head_epochs: Annotated[int, Field(ge=0, le=10_000)] = 10
    head_patience: Annotated[int, Field(ge=1, le=1_000)] = 3
    fine_tuning_rate: Annotated[float, Field(gt=0, le=1)] = 0.1  # of the learning rate
    sparsity: Annotated[float, Field(ge=0, lt=1)] = 0.0  # share of every kernel that is set to zero before that

    # -- from another network (Hinton et al. 2015), given as for `pretrained`

    teacher: Annotated[str, Field(max_length=4096)] = ""
    teacher_weight: Annotated[float, Field(ge=0, le=1)] = 0.7  # of the loss, against that of the labels
    temperature: Annotated[float, Field(gt=0, le=100)] = 4.0

    @property
    def all_epochs(self) -> int:
        """The most epochs that it takes."""
        return self.epochs + (self.head_epochs if self.pretrained else 0)

    @property
    def given(self) -> dict[str, Any]:
        """The settings that were said, without defaults."""
        return {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set}

    def with_settings(self, settings: Mapping[str, Any]) -> Self:
        """These settings in place of its own, and then what its recipe adds. Raises ValidationError."""
        return self.model_validate(by_recipe(self.given | dict(settings), self.epochs))

    def recipe_text(self) -> str:
        """What its recipe gave, as a sentence; empty without one.

        >>> Training(recipe="auto", augment="none").with_settings({"epochs": 3}).recipe_text()
        'short: optimizer adam, learning_rate 0.01, schedule linear, warmup 0.2'
        """
        given = RECIPES.get(self.recipe, {}).items()
        values = ", ".join(f"{name} {value}" for name, value in given if getattr(self, name) == value)
        return f"{self.recipe}: {values}" if values else ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data. Settings that came later are left out at their defaults, and so are those without effect: ids and
        settings of old runs stay. Of a recipe that is still open only what was given."""
        if self.recipe == "auto":
            return self.given
        values = self.model_dump()
        for name in LATER:
            needs = NEEDS.get(name)
            if values[name] == Training.model_fields[name].default or (needs and not values[needs]):
                del values[name]
        return values


# What settings mean nothing without.
NEEDS = {
    **dict.fromkeys(("head_epochs", "head_patience", "fine_tuning_rate", "sparsity"), "pretrained"),
    **dict.fromkeys(("teacher_weight", "temperature"), "teacher"),
}
LATER = ("recipe", "warmup", "weight_decay", "ema", "residual_gamma", "class_weight", *NEEDS, "pretrained", "teacher")
