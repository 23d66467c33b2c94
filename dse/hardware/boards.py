"""Boards: how much SRAM and flash a model may use, and where every figure comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from dse._util.shipped import find, shipped
from dse._util.strict_yaml import load
from dse.cost.tflm.build import Build
from dse.errors import DseError, did_you_mean
from dse.hardware.builds import CORES, BuildProfile, load_build
from dse.hardware.figures import Amount, Figure

FOLDER = "objectives/boards"
ALL = "all"
MOST_DEMANDING = "esp32-s3"  # of the cores with kernels of ESP-NN
GENERIC = "generic"  # no board in particular: only limits that are given count


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
    # Build profiles that are usual there; what fits and how long it takes is meant with the first.
    builds: Annotated[list[str], Field(min_length=1)] | None = None
    runtime: str | None = None  # the only one, in files from before there were build profiles
    # Both or neither: energy is their product with the latency, and only a sourced figure is given.
    supply_volts: Amount | None = None
    active_milliamps: Amount | None = None
    about: str = ""

    @field_validator("core")
    @classmethod
    def _in_one_case(cls, value: str) -> str:
        core = value.lower()
        if core not in CORES:  # taken for a plain one, it would be said to need less memory than its kernels take
            hint = did_you_mean(core, CORES)
            raise ValueError(f"unknown core {value!r}{hint} known: {', '.join(sorted(CORES))}")
        return core

    @field_validator("builds", "runtime")
    @classmethod
    def _known(cls, value: list[str] | str | None) -> list[str] | str | None:
        for name in [value] if isinstance(value, str) else value or []:
            try:
                load_build(name)
            except DseError as error:
                raise ValueError(str(error)) from None
        return value

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if (self.builds is None) == (self.runtime is None):
            raise ValueError("builds is missing: expected the build profiles that are usual there (dse list builds)")
        for what in ("sram", "flash"):
            total, reserved = getattr(self, f"{what}_bytes").value, getattr(self, f"{what}_reserved_bytes").value
            if reserved >= total:
                raise ValueError(f"{what}_reserved_bytes {reserved} leave nothing of {what}_bytes {total}")
        for name in self.builds or []:
            if not load_build(name).suits(self.core):
                raise ValueError(
                    f"build {name} has kernels of {load_build(name).kernels}, which {self.core} does not run"
                )
        if (self.supply_volts is None) != (self.active_milliamps is None):
            raise ValueError("supply_volts and active_milliamps need each other: give both or neither")
        return self

    @property
    def build(self) -> BuildProfile:
        """The build profile that is meant where none is named."""
        return load_build(self.builds[0] if self.builds else str(self.runtime))

    def library(self, build: str = "") -> Build:
        """The TFLM library that runs there, by its own build profile or another; one that stands for it where none
        does."""
        return (load_build(build) if build else self.build).library(self.core)

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


def load_boards(names: Iterable[str], build: str | None = None) -> list[Board]:
    """Several boards, each once, with another build profile where one is named; `all` are those that ship with dse,
    of which those without that build are left out. Raises DseError for two that differ and have one name."""
    found: dict[str, Board] = {}
    names = list(names)
    if build and not names:
        raise DseError("`build` is what runs on a board, and no board is named; expected `board` too (dse list boards)")
    profile = load_build(build) if build else None
    every = [path.stem for path in list_boards()] if ALL in names else []
    for name in [one for one in names if one != ALL] + every:
        board = load_board(name)
        if profile and board.name == GENERIC and not profile.suits(board.core):
            board = board.model_copy(update={"core": MOST_DEMANDING})
        if profile and not profile.suits(board.core):
            if name in names:
                raise DseError(
                    f"`build` {profile.name}: it has kernels of {profile.kernels}, and {name} is {board.core}"
                )
            continue
        if profile:
            board = board.model_copy(update={"builds": [profile.name], "runtime": None})
        if found.setdefault(board.name, board) != board:
            raise DseError(f"two different boards are called {board.name!r}; give the one in {name} a name of its own")
    return list(found.values())


def list_boards() -> Iterator[Path]:
    """The files of the shipped boards, without that of none in particular."""
    return (path for path in shipped(FOLDER) if path.stem != GENERIC)
