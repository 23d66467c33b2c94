"""The networks whose training is timed: small and large, of every kind of convolution."""

from __future__ import annotations

from dse.network.candidate import Candidate
from dse.references.networks import load_network
from dse.space.space import parse_space
from tests.helpers.networks import only_candidate

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
    text = SPACES.get(name)
    return only_candidate(parse_space(f"space: {name}{text}", name) if text else load_network(REFERENCES[name]))
