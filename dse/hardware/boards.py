"""Boards: how much SRAM and flash a model may use, and where every figure comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dse._util.shipped import find, shipped
from dse._util.strict_yaml import load
from dse.errors import DseError

FOLDER = "objectives/boards"


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


class Board(BaseModel):
    """A board as its YAML file describes it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    name: str
    title: str
    core: str
    clock_mhz: Figure
    sram_bytes: Figure
    sram_reserved_bytes: Figure
    flash_bytes: Figure
    flash_reserved_bytes: Figure
    runtime: Literal["tflm", "tflm-cmsis-nn", "tinyengine", "linux"]
    # Both or neither: energy is their product with the latency, and only a sourced figure is given.
    supply_volts: Amount | None = None
    active_milliamps: Amount | None = None
    about: str = ""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        for what in ("sram", "flash"):
            total, reserved = getattr(self, f"{what}_bytes").value, getattr(self, f"{what}_reserved_bytes").value
            if reserved >= total:
                raise ValueError(f"{what}_reserved_bytes {reserved} leave nothing of {what}_bytes {total}")
        if (self.supply_volts is None) != (self.active_milliamps is None):
            raise ValueError("supply_volts and active_milliamps need each other: give both or neither")
        return self

    @property
    def arena_bytes(self) -> int:
        """SRAM that a model's tensor arena may use, or what stands for it with a runtime that has none."""
        return self.sram_bytes.value - self.sram_reserved_bytes.value

    @property
    def model_bytes(self) -> int:
        """Flash that a model file may use."""
        return self.flash_bytes.value - self.flash_reserved_bytes.value


def load_board(name: str) -> Board:
    """The board in a file, or a shipped one by its name. Raises FileError, UnknownNameError."""
    document = load(find(FOLDER, name))
    return document.check(Board, document.value)


def load_boards(names: Iterable[str]) -> list[Board]:
    """Several boards, each once. Raises DseError for two that differ and have one name."""
    found: dict[str, Board] = {}
    for name in names:
        board = load_board(name)
        if found.setdefault(board.name, board) != board:
            raise DseError(f"two different boards are called {board.name!r}; give the one in {name} a name of its own")
    return list(found.values())


def list_boards() -> Iterator[Path]:
    """The files of the shipped boards."""
    return shipped(FOLDER)
