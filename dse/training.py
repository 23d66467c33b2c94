"""How a candidate is trained: plain, checked values, part of every candidate."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Training(BaseModel):
    """Training settings. Every default is what we would advise for a small network on small images."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 30
    optimizer: Literal["adam", "adamw", "nadam", "sgd"] = "adam"
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 3e-3
    schedule: Literal["constant", "cosine"] = "cosine"
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 64
    l2: Annotated[float, Field(ge=0, le=1)] = 1e-5  # added to the loss, on convolution and dense kernels
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    augment: Literal["none", "flip", "flip_crop"] = "flip_crop"
