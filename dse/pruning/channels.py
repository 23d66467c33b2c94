"""Which channels of a network belong together: those that are added, gated or normalised channel by channel.

A class is a set of convolutions whose output channels must be kept or removed together (the groups of Li et al. 2017,
section 3.2, for residual networks). Where channels are put side by side, multiplied, shuffled or grouped, what is kept
follows from what is kept before, and can only be followed, not chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from dse.network.layers import (
    Add,
    ChannelShuffle,
    Concat,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Flatten,
    Input,
    Layer,
    Multiply,
    Network,
)

Kept = dict[str, np.ndarray]  # by tensor, the channels that are kept of it, ascending


@dataclass
class ChannelClasses:
    """The classes of a network: for every convolution its class, which is the name of one of its members."""

    network: Network
    parent: dict[str, str] = field(default_factory=dict)  # of a tensor whose channels can be chosen
    frozen: set[str] = field(default_factory=set)  # classes that must keep all channels

    def __post_init__(self) -> None:
        free: dict[str, str | None] = {}  # by tensor, a member of its class; None where it can only be followed
        behind: dict[str, frozenset[str]] = {}  # by tensor, the convolutions that its channels come from
        for layer in self.network:
            first = layer.inputs[0] if layer.inputs else ""
            before = frozenset[str]().union(*(behind[name] for name in layer.inputs))
            match layer:
                case Input() | Dense():
                    free[layer.name], before = None, frozenset()
                case Conv2D():
                    self.parent[layer.name] = free[layer.name] = layer.name
                    if layer.groups > 1:
                        self.frozen |= {layer.name, *before}
                    before = frozenset([layer.name])
                case DepthwiseConv2D():
                    free[layer.name] = free[first] if layer.multiplier == 1 else None
                case Add() | Multiply():
                    free[layer.name] = self._together(*(free[name] for name in layer.inputs))
                    if free[layer.name] is None:
                        self.frozen |= before
                case ChannelShuffle():
                    self.frozen |= before
                    free[layer.name] = None
                case Concat():
                    free[layer.name] = None
                case _:
                    free[layer.name] = free[first]
            behind[layer.name] = before
        self.frozen = {self.of(name) for name in self.frozen}

    def of(self, name: str) -> str:
        """The class of a convolution."""
        while self.parent[name] != name:
            name = self.parent[name]
        return name

    def members(self) -> dict[str, list[str]]:
        """The convolutions of every class."""
        found: dict[str, list[str]] = {}
        for name in self.parent:
            found.setdefault(self.of(name), []).append(name)
        return found

    def _together(self, first: str | None, second: str | None) -> str | None:
        """One class of two tensors; none where one of them can only be followed."""
        if first is None or second is None:
            return None
        self.parent[self.of(second)] = self.of(first)
        return first


def sizes(network: Network) -> dict[str, int]:
    """The output channels of every convolution."""
    return {layer.name: layer.shape[-1] for layer in network if isinstance(layer, Conv2D)}


def is_narrower(old: Network, new: Network, classes: ChannelClasses) -> bool:
    """Whether `new` is `old` with fewer channels, so that weights can be cut to it; `classes` are those of `old`."""
    if [(type(a), a.name, a.inputs) for a in old] != [(type(b), b.name, b.inputs) for b in new]:
        return False
    before, after = sizes(old), sizes(new)
    for kind, members in classes.members().items():
        counts = {after[name] for name in members}
        if len(counts) > 1 or min(counts) > before[kind] or (kind in classes.frozen and counts != {before[kind]}):
            return False
    return all(
        (a.groups, a.kernel) == (b.groups, b.kernel)
        for a, b in zip(old, new, strict=True)
        if isinstance(a, Conv2D) and isinstance(b, Conv2D)
    )


def kept_channels(old: Network, new: Network, importance: Mapping[str, np.ndarray]) -> Kept:
    """Of every tensor the channels that `new` keeps: of a class those that matter most.

    `importance` has a value for each output channel of every convolution; `is_narrower` must hold.
    """
    classes = ChannelClasses(old)
    wanted = sizes(new)
    chosen: dict[str, np.ndarray] = {}
    for kind, members in classes.members().items():
        total = np.sum([importance[name] for name in members], axis=0)
        chosen[kind] = np.sort(np.argsort(-total, kind="stable")[: wanted[kind]])
    shapes = {layer.name: layer.shape for layer in old}
    kept: Kept = {}
    for layer in old:
        kept[layer.name] = _of_layer(layer, [kept[name] for name in layer.inputs], chosen, classes, shapes)
    return kept


def _of_layer(
    layer: Layer,
    inputs: list[np.ndarray],
    chosen: Mapping[str, np.ndarray],
    classes: ChannelClasses,
    shapes: Mapping[str, tuple[int, ...]],
) -> np.ndarray:
    match layer:
        case Input() | Dense():
            return np.arange(layer.shape[-1])
        case Conv2D():
            return chosen[classes.of(layer.name)]
        case DepthwiseConv2D():
            return np.asarray((inputs[0][:, None] * layer.multiplier + np.arange(layer.multiplier)).reshape(-1))
        case Concat():
            starts = np.cumsum([0, *(shapes[name][-1] for name in layer.inputs)])
            return np.concatenate([start + part for start, part in zip(starts, inputs, strict=False)])
        case Flatten():
            source = shapes[layer.inputs[0]]
            pixels = layer.shape[0] // source[-1]
            return np.asarray((np.arange(pixels)[:, None] * source[-1] + inputs[0]).reshape(-1))
        case _:
            return inputs[0]
