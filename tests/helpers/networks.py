"""Networks that many tests share: one of every family, and random ones."""

from __future__ import annotations

import numpy as np

from dse.network.candidate import Candidate
from dse.quantization.timing import with_plausible_weights as with_plausible_weights
from dse.space.space import Space, parse_space
from tests.helpers.browser import browser as browser  # a fixture of all tests

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
