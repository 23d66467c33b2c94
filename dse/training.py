"""How a candidate is trained: plain, checked values, part of every candidate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


@dataclass(frozen=True)
class QatSettings:
    """How a trained network is fine-tuned in int8: by Adam, with a cosine to zero. All else is as it was trained."""

    epochs: int = 3
    learning_rate: float = 3e-4
    batch_size: int = 64


class Training(BaseModel):
    """Training settings. Every default is what we would advise for a small network on small images."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 30
    optimizer: Literal["adam", "adamw", "nadam", "sgd"] = "adam"
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 3e-3
    schedule: Literal["constant", "cosine", "step"] = "cosine"  # step: a tenth from the middle, a hundredth from 3/4 on
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 64
    l2: Annotated[float, Field(ge=0, le=1)] = 1e-5  # added to the loss, on convolution and dense kernels
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    # Batch norm's first scale at the end of a residual branch. Below 1 a deep network begins nearly as its shortcuts,
    # and its first gradients stay small (Goyal et al. 2017, section 5.1, who take 0).
    residual_gamma: Annotated[float, Field(gt=0, le=1)] = 1.0
    augment: Literal["none", "flip", "flip_crop"] = "flip_crop"
    # balanced: an image counts the more the rarer its class is, so that all classes together count the same
    class_weight: Literal["none", "balanced"] = "none"

    def to_dict(self) -> dict[str, Any]:
        """Plain data. Settings that came later are left out at their defaults: ids and settings of old runs stay."""
        later = {"residual_gamma", "class_weight"}
        values = self.model_dump()
        return {name: value for name, value in values.items() if name not in later or value != _default(name)}


def _default(name: str) -> Any:
    return Training.model_fields[name].default
