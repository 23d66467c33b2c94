"""How large the tensor arena has to be on the target: by what runs there, and with room for what may be compiled
otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dse.cost.tflm.arena import Arena
from dse.cost.tflm.arena import arena_of as arena_in
from dse.cost.tflm.build import Build
from dse.cost.tflm.graph import OperatorGraph
from dse.hardware.boards import Board
from dse.hardware.builds import load_build

USUAL = ("tflm", "tflm-cmsis-nn")  # build profiles that every bundle has room for
USUAL_CORE = "cortex-m4"  # where no board is known


@dataclass(frozen=True)
class FirmwareArena:
    """Bytes of the arena on a 32-bit target."""

    by_build: Mapping[str, Arena]  # by the name of the build profile; of several cores the one that takes most
    num_bytes: int  # what to allocate: enough for each of them
    plan: str

    @property
    def needed_bytes(self) -> int:
        """What the build that takes most needs."""
        return max(arena.num_bytes for arena in self.by_build.values())

    @property
    def margin_bytes(self) -> int:
        """What is allocated beyond that."""
        return self.num_bytes - self.needed_bytes

    @property
    def how(self) -> str:
        """What stands behind these figures."""
        return (
            "Found by TensorFlow Lite Micro's own rules for this file; the margin is for compilers whose enums have "
            "four bytes, and for sources from October 2026 on."
        )


def arena_of(graph: OperatorGraph, boards: Sequence[Board] = ()) -> FirmwareArena:
    """The arena of a file, on these boards."""
    cores = list(dict.fromkeys(board.core for board in boards)) or [USUAL_CORE]
    names = dict.fromkeys((*USUAL, *(name for board in boards for name in board.builds or ())))
    by_build, most = dict[str, Arena](), 0
    for profile in map(load_build, names):
        if profile.engine == "tflm":
            libraries = [profile.library(core) for core in cores]
            by_build[profile.name] = max((arena_in(graph, one) for one in libraries), key=lambda one: one.num_bytes)
            most = max(most, *(arena_in(graph, _widest(one)).num_bytes for one in libraries))
    plan = "planned by dse, the plan is in the file" if graph.offline else "planned by TensorFlow Lite Micro"
    return FirmwareArena(by_build, most, plan)


def _widest(library: Build) -> Build:
    """The same kernels as they take most: by another compiler, from newer sources."""
    return replace(library, enum_bytes=4, has_long_params=True)
