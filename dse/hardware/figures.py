"""Numbers that stand with their source in files about hardware."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Figure(BaseModel):
    """A number with its source."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    value: Annotated[int, Field(ge=0)]
    source: Annotated[str, Field(min_length=1)]


class Amount(BaseModel):
    """A number that need not be whole, with its source."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    value: Annotated[float, Field(gt=0)]
    source: Annotated[str, Field(min_length=1)]
