"""Every block's layers, parameters and MACs, worked out by hand for one small input."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from dse.cost.formulas import layer_costs
from dse.errors import FileError, NetworkError
from dse.network.blocks import BLOCKS
from dse.network.builder import NetworkBuilder
from dse.network.candidate import Candidate
from dse.space.space import load_space, parse_space

IN = 8  # input channels of the block under test, on an 8x8 map


def block_cost(text: str) -> tuple[int, int, tuple[int, ...]]:
    """Trainable parameters, MACs and output shape of one block behind a fixed input of 8x8x8."""
    values = yaml.safe_load(text)
    block = BLOCKS[values.pop("block")].model_validate(values)
    graph = NetworkBuilder((8, 8, IN))
    out = block.canonical((8, 8, IN)).lower(graph, "input")
    costs = [cost for _, cost in layer_costs(graph.network())]
    return sum(c.trainable for c in costs), sum(c.macs for c in costs), graph.shapes[out]


@pytest.mark.parametrize(
    ("block", "params", "macs", "shape"),
    [
        # 3x3 convolution 8 -> 16: 9*8*16 kernel + 2*16 batch norm; 64 positions
        ("{block: conv, channels: 16}", 9 * 8 * 16 + 32, 64 * 9 * 8 * 16, (8, 8, 16)),
        # grouped in 4: each output sees 2 inputs
        ("{block: conv, channels: 16, groups: 4, stride: 2}", 9 * 2 * 16 + 32, 16 * 9 * 2 * 16, (4, 4, 16)),
        # valid padding: 8 - 5 + 1 = 4; a bias instead of batch norm
        ("{block: conv, channels: 4, kernel: 5, padding: valid, batch_norm: false}", 25 * 8 * 4 + 4, 16 * 25 * 8 * 4, (4, 4, 4)),
        ("{block: depthwise, kernel: 5, multiplier: 2}", 25 * 16 + 32, 64 * 25 * 16, (8, 8, 16)),
        ("{block: separable, channels: 16, stride: 2}", 9 * 8 + 16 + 8 * 16 + 32, 16 * (9 * 8 + 8 * 16), (4, 4, 16)),
        ("{block: max_pool, stride: 2}", 0, 0, (4, 4, 8)),
        ("{block: avg_pool, kernel: 3, stride: 1, padding: valid}", 0, 0, (6, 6, 8)),
        # expand 8 -> 24, depthwise 5x5, SE 24 -> 6 -> 24 with biases on one pixel, project 24 -> 8, add
        (
            "{block: bneck, channels: 8, kernel: 5, expansion: 3, squeeze_excite: 0.25}",
            (8 * 24 + 48) + (25 * 24 + 48) + (24 * 6 + 6) + (6 * 24 + 24) + (24 * 8 + 16),
            64 * (8 * 24 + 25 * 24 + 24 * 8) + 2 * 24 * 6,
            (8, 8, 8),
        ),
        # expansion 1 has no first convolution, and the SE no biases
        (
            "{block: bneck, channels: 16, stride: 2, squeeze_excite: 0.5, squeeze_excite_bias: false}",
            (9 * 8 + 16) + 8 * 4 + 4 * 8 + (8 * 16 + 32),
            16 * (9 * 8 + 8 * 16) + 2 * 8 * 4,
            (4, 4, 16),
        ),
        # depthwise x3 -> 24, pointwise -> 16, depthwise at stride 2
        (
            "{block: dpd, channels: 16, multiplier: 3, stride: 2}",
            (9 * 24 + 48) + (24 * 16 + 32) + (9 * 16 + 32),
            64 * (9 * 24 + 24 * 16) + 16 * 9 * 16,
            (4, 4, 16),
        ),
        # pool to 4x4, squeeze 8 -> 4, expand 1x1 -> 8 and 3x3 -> 8, complex bypass 8 -> 16; no batch norm
        (
            "{block: fire, channels: 16, squeeze_ratio: 0.25, bypass: complex, stride: 2, batch_norm: false}",
            (8 * 4 + 4) + (4 * 8 + 8) + (9 * 4 * 8 + 8) + (8 * 16 + 16),
            16 * (8 * 4 + 4 * 8 + 9 * 4 * 8 + 8 * 16),
            (4, 4, 16),
        ),
        # squeeze 8 -> 4 -> 2, 1x3 -> 4, 3x1 -> 4, expand -> 16, shortcut 8 -> 16
        (
            "{block: sqnxt, channels: 16}",
            (8 * 4 + 8) + (4 * 2 + 4) + (3 * 2 * 4 + 8) + (3 * 4 * 4 + 8) + (4 * 16 + 32) + (8 * 16 + 32),
            64 * (8 * 4 + 4 * 2 + 3 * 2 * 4 + 3 * 4 * 4 + 4 * 16 + 8 * 16),
            (8, 8, 16),
        ),
        # 8 -> 16 at stride 2 and 16 -> 16, 3x3 with batch norm; the bypass 1x1 with a bias
        (
            "{block: residual, channels: 16, stride: 2}",
            (9 * 8 * 16 + 32) + (9 * 16 * 16 + 32) + (8 * 16 + 16),
            16 * (9 * 8 * 16 + 9 * 16 * 16 + 8 * 16),
            (4, 4, 16),
        ),
        # the shape stays: no shortcut convolution
        ("{block: residual, channels: 8}", 2 * (9 * 8 * 8 + 16), 64 * 2 * 9 * 8 * 8, (8, 8, 8)),
        # stride 1, same channels: grouped 8 -> 4, depthwise 4, grouped 4 -> 8, add
        (
            "{block: shuffle, channels: 8, groups: 2, bottleneck: 0.5}",
            (4 * 4 + 8) + (9 * 4 + 8) + (2 * 8 + 16),
            64 * (4 * 4 + 9 * 4 + 2 * 8),
            (8, 8, 8),
        ),
        # stride 2: the branch makes 24 - 8 channels, the pooled input is the rest; inside 24 * 0.25 -> 6
        (
            "{block: shuffle, channels: 24, groups: 2, bottleneck: 0.25, stride: 2}",
            (4 * 6 + 12) + (9 * 6 + 12) + (3 * 16 + 32),
            64 * 4 * 6 + 16 * (9 * 6 + 3 * 16),
            (4, 4, 24),
        ),
    ],
)  # fmt: skip
def test_cost_by_hand(block: str, params: int, macs: int, shape: tuple[int, ...]) -> None:
    assert block_cost(block) == (params, macs, shape)


def test_groups_must_divide() -> None:
    graph = NetworkBuilder((8, 8, 9))
    with pytest.raises(NetworkError, match="groups 2 do not divide 9 input channels of 'c'"):
        graph.conv("input", "c", 8, groups=2)


# Compressed MobileNet V3, literal table, at five widths: parameters, trainable ones, MACs at 32x32, and the whole-number
# multipliers of its four DPD blocks.
CMV3 = {
    0.35: (61_874, 60_066, 12_388_944, [2, 5, 6, 6]),
    0.5: (117_050, 114_426, 22_657_248, [3, 5, 6, 6]),
    0.75: (238_730, 234_938, 41_956_384, [2, 5, 5, 6]),
    1.0: (408_330, 403_242, 70_282_496, [2, 6, 6, 6]),
    1.5: (879_154, 871_586, 147_946_592, [2, 5, 6, 6]),
}


def first_choice(path: str, domain) -> object:  # type: ignore[no-untyped-def]
    return 1 if path.endswith("repeats") else next(iter(domain.values()))


@pytest.mark.parametrize("width", CMV3)
def test_cmv3s_table_is_a_point_of_its_space(width: float) -> None:
    space = load_space("cmv3")
    if width not in space.domains["width"].values():
        text = space.document.text.replace("choice: [0.5,", f"choice: [{width}, 0.5,", 1)
        space = parse_space(text, "cmv3-wider.yaml")
    candidate = space.candidate(lambda path, domain: width if path == "width" else first_choice(path, domain))
    costs = [cost for _, cost in layer_costs(candidate.network)]
    multipliers = [block.multiplier for block in candidate.blocks if block.kind == "dpd"]  # type: ignore[attr-defined]
    found = (sum(c.params for c in costs), sum(c.trainable for c in costs), sum(c.macs for c in costs), multipliers)
    assert found == CMV3[width]


def test_cmv3s_table_row_by_row() -> None:
    """Operator, kernel, channels and stride of every row at width 1.0."""
    candidate = load_space("cmv3").candidate(lambda p, d: 1.0 if p == "width" else first_choice(p, d))
    rows = [(b.kind, b.kernel, b.channels, b.stride, b.activation) for b in candidate.blocks]  # type: ignore[attr-defined]
    assert rows == [
        ("conv", 3, 16, 1, "hswish"),
        ("bneck", 3, 32, 1, "hswish"),
        ("dpd", 3, 40, 1, "mish"),
        ("dpd", 3, 40, 1, "mish"),
        ("bneck", 5, 48, 2, "hswish"),
        ("dpd", 5, 96, 1, "mish"),
        ("dpd", 5, 128, 1, "mish"),
    ]
    assert (candidate.head.channels, candidate.head.features, candidate.head.dropout) == (256, 576, 0.8)
    assert np.prod(candidate.network.output.shape) == 10


def test_a_skip_is_no_block_where_the_shape_stays() -> None:
    """So networks that skip at different places, and are the same, are one candidate."""
    space = parse_space(
        """
space: skipping
stem: {block: conv, channels: 8, stride: 2}
stages:
  - {block: &layer {choice: [skip, conv, wide: {block: bneck, kernel: 5, expansion: 6}]}, channels: 8}
  - {block: *layer, channels: 8}
  - {block: *layer, channels: 16, stride: 2}
""",
        "skipping.yaml",
    )
    paths = [f"stages[{index}].block" for index in range(3)]

    def candidate(*names: str) -> Candidate:
        return space.build(dict(zip(paths, names, strict=True)))

    assert candidate("skip", "conv", "conv").id == candidate("conv", "skip", "conv").id
    assert [block.kind for block in candidate("skip", "skip", "skip").blocks] == ["conv", "skip"]
    wide = candidate("wide", "skip", "wide")
    assert [(block.kind, getattr(block, "kernel", None)) for block in wide.blocks] == [
        ("conv", 3),
        ("bneck", 5),
        ("bneck", 5),
    ]
    assert Candidate.from_json(wide.to_json()).network == wide.network
    assert len({candidate.id for _, candidate in space.candidates()}) == (1 + 2 + 2 * 2) * 3


def test_an_error_behind_a_skip_names_its_stage() -> None:
    with pytest.raises(FileError, match=r"t.yaml:6: stages\[1\]: impossible network: groups 3 do not divide 8 input"):
        parse_space(
            """
space: broken
stem: {block: conv, channels: 8, stride: 2}
stages:
  - {block: skip, channels: 8}
  - {block: conv, groups: 3, channels: 9}
""",
            "t.yaml",
        )
