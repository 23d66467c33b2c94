"""The networks whose training is timed: small and large, of every kind of convolution."""

from __future__ import annotations

import numpy as np

from dse.network.candidate import Candidate
from dse.space.space import Space, load_space, parse_space

SPACES = {
    "bneck": """
stem: {block: conv, channels: 16, activation: hswish}
stages:
  - {block: bneck, channels: 16, expansion: 3, squeeze_excite: 0.25, activation: hswish, stride: 2}
  - {block: bneck, channels: 32, expansion: 4, squeeze_excite: 0.25, activation: hswish, repeats: 2}
  - {block: bneck, channels: 64, kernel: 5, expansion: 4, squeeze_excite: 0.25, activation: hswish, stride: 2, repeats: 2}
head: {channels: 128}
""",
    "shuffle": """
stem: {block: conv, channels: 24}
stages:
  - {block: shuffle, channels: 32, groups: 2, stride: 2, repeats: 3}
  - {block: shuffle, channels: 64, groups: 2, stride: 2, repeats: 3}
  - {block: shuffle, channels: 128, groups: 2, stride: 2, repeats: 2}
""",
    "separable": """
stem: {block: conv, channels: 16}
stages:
  - {block: separable, channels: 32}
  - {block: separable, channels: 64, stride: 2, repeats: 2}
  - {block: separable, channels: 128, stride: 2, repeats: 2}
""",
}
REFERENCES = {"CMV3 x0.5": "cmv3", "ResNet8": "mlperf_resnet8", "MobileNet 96": "mlperf_mobilenet_v1"}
NAMES = ("CMV3 x0.5", *SPACES, "ResNet8", "MobileNet 96")


def network(name: str) -> Candidate:
    """One of the networks, with ten classes."""
    return _space(name).sample(np.random.default_rng(0))[1]


def _space(name: str) -> Space:
    if name in SPACES:
        return parse_space(f"space: {name}{SPACES[name]}", name)
    return load_space(f"search_spaces/reference/{REFERENCES[name]}.yaml")
