"""Networks that many tests share: one of every family, and random ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dse.errors import NetworkError
from dse.network.candidate import Candidate
from dse.network.layers import Add, GlobalAvgPool
from dse.space.space import Space, load_space, parse_space
from tests.helpers.paths import WIDE

# One network of every family, with what is special about it switched on.
FAMILIES = {
    "bneck": "{expansion: 3, squeeze_excite: 0.25, activation: hswish}",
    "dpd": "{multiplier: 2, activation: mish}",
    "fire": "{bypass: complex}",
    "sqnxt": "{}",
    "shuffle": "{groups: 2}",
    "residual": "{}",
    "separable": "{activation: relu6}",
    "conv": "{}",
    "depthwise": "{multiplier: 2}",
    "max_pool": "{kernel: 3}",
    "avg_pool": "{kernel: 2, padding: valid}",
}


def family_space(family: str, settings: str = "{}") -> Space:
    """A space of one network that is made of one family."""
    channels = "" if family in ("depthwise", "max_pool", "avg_pool") else "channels: {}, "
    first, second = channels.format(16), channels.format(32)
    return parse_space(
        f"""
space: {family}
stem: {{block: conv, channels: 16, stride: 2}}
stages:
  - {{block: {{choice: [{family}: {settings}]}}, {first}repeats: 1}}
  - {{block: {{choice: [{family}: {settings}]}}, {second}stride: 2, repeats: 2}}
head: {{channels: 64}}
""",
        f"{family}.yaml",
    )


def only_candidate(space: Space) -> Candidate:
    """The candidate of a space of size one."""
    return space.sample(np.random.default_rng(0))[1]


def wide_candidates(count: int, seed: int = 7) -> Iterator[Candidate]:
    """Random candidates of everything that the grammar has."""
    space, rng = load_space(str(WIDE)), np.random.default_rng(seed)
    while count:
        try:
            yield space.sample(rng)[1]
        except NetworkError:
            continue
        count -= 1


def has_sum_of_single_pixels(candidate: Candidate) -> bool:
    """Its second summand becomes a vector, where there is more than one channel."""
    sums = [layer for layer in candidate.network if isinstance(layer, Add)]
    return any(layer.shape[:2] == (1, 1) and layer.shape[2] > 1 for layer in sums)


def has_mean_of_single_pixels(candidate: Candidate) -> bool:
    """It is left out."""
    shapes = {layer.name: layer.shape for layer in candidate.network}
    means = [layer for layer in candidate.network if isinstance(layer, GlobalAvgPool)]
    return any(len(mean.shape) == 3 and shapes[mean.inputs[0]][:2] == (1, 1) for mean in means)
