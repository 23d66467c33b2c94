"""Build profiles: what runs a model on a board, and how that was compiled."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from dse._util.shipped import find, shipped
from dse._util.strict_yaml import load
from dse.cost.tflm.build import MICROCONTROLLER, Build, Core, Kernels
from dse.hardware.figures import Figure

FOLDER = "objectives/builds"
# What the instructions of a core offer to CMSIS-NN (Arm's technical reference manuals): with DSP two multiplications at
# once in 16 bits, with MVE (Helium) vectors. All others are plain.
DSP = ("cortex-m4", "cortex-m7", "cortex-m33", "cortex-m35p")
ESP: dict[str, Core] = {"esp32-s3": "s3", "esp32-p4": "p4"}
MVE = ("cortex-m52", "cortex-m55", "cortex-m85")
PLAIN = (
    *("cortex-m0", "cortex-m0plus", "cortex-m3", "cortex-m23", "cortex-a7", "cortex-a53", "cortex-a72"),
    *("esp32", "esp32-s2", "esp32-c3", "esp32-c6", "esp32-h2", "rv32", "other"),
)
CORES = (*DSP, *MVE, *ESP, *PLAIN)


class BuildProfile(BaseModel):
    """What runs a model on a board, as its YAML file describes it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    name: str
    title: str
    engine: Literal["tflm", "tinyengine", "vendor", "linux"]
    version: str  # of the sources whose memory and speed that are
    latency: str  # the runtime among the measurements of `hardware.latency`; empty where none is
    # Of TFLM:
    kernels: Kernels = "reference"
    enum_bytes: Figure | None = None
    has_long_params: bool = True
    about: str = ""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if (self.engine == "tflm") != (self.enum_bytes is not None):
            raise ValueError("enum_bytes belongs to engine tflm: give it there, and only there")
        return self

    @property
    def memory(self) -> str:
        """The cost that a board's memory limits: an arena, or what stands for it."""
        return "inplace_bytes" if self.engine == "tinyengine" else "arena_bytes"

    def suits(self, core: str) -> bool:
        """Whether a core has what the kernels are written for."""
        return core.startswith({"cmsis-nn": "cortex-m", "esp-nn": "esp32"}.get(self.kernels, ""))

    def library(self, core: str) -> Build:
        """The TFLM library on a core, such as `cortex-m4`; for what is no TFLM the one that stands for it."""
        if self.enum_bytes is None:
            return MICROCONTROLLER
        return Build(
            4, self.enum_bytes.value, kernels=self.kernels, core=core_of(core), has_long_params=self.has_long_params
        )


def core_of(core: str) -> Core:
    """What a core offers to optimised kernels.

    >>> core_of("cortex-m4"), core_of("cortex-m0plus"), core_of("cortex-m55")
    ('dsp', 'plain', 'mve')
    """
    if core in ESP:
        return ESP[core]
    return "dsp" if core in DSP else "mve" if core in MVE else "plain"


@cache
def load_build(name: str) -> BuildProfile:
    """The build profile in a file, or a shipped one by its name. Raises FileError, UnknownNameError."""
    document = load(find(FOLDER, name))
    return document.check(BuildProfile, document.value)


def list_builds() -> Iterator[Path]:
    """The files of the shipped build profiles."""
    return shipped(FOLDER)
