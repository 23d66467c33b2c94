"""The tensor arena that a graph takes in a build of TFLM."""

from __future__ import annotations

from dataclasses import dataclass

from dse.cost.tflm.build import Build
from dse.cost.tflm.graph import OperatorGraph
from dse.cost.tflm.planner import arena_bytes, greedy_offsets, head_of, lifetimes
from dse.cost.tflm.tail import starting_bytes, tail_bytes, tail_parts


@dataclass(frozen=True, slots=True)
class Arena:
    """Bytes of an arena."""

    head_bytes: int  # activations, and what kernels ask for while they run
    tail_bytes: int  # what is kept for good
    starting_bytes: int  # all of it while TFLM prepares operators and plans memory

    @property
    def num_bytes(self) -> int:
        """The least that works, a multiple of 16: head and tail together, or what starting takes where that is more."""
        return arena_bytes(self.head_bytes, self.tail_bytes, self.starting_bytes)


def arena_of(graph: OperatorGraph, build: Build) -> Arena:
    """The arena in a build. Raises UnknownNameError for an operator that is not known."""
    tensors = lifetimes(graph, build)
    return Arena(
        head_of(tensors, greedy_offsets(tensors, graph.offline)),
        tail_bytes(graph, build),
        starting_bytes(tail_parts(graph, build), len(tensors), build),
    )
