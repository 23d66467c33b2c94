"""Spaces: what may vary, what is refused and in which words."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.errors import DseError, FileError, NetworkError, UnknownNameError
from dse.network.blocks import BLOCKS
from dse.network.layers import Conv2D
from dse.references.networks import load_reference
from dse.space.domains import Choice, FloatRange, IntRange
from dse.space.space import Defaults, Space, list_spaces, load_space, parse_space

SMALL = """
space: small
stages:
  - block: conv
    channels: {choice: [8, 16]}
    repeats: {int: [1, 2]}
  - block:
      choice:
        - bneck: {kernel: {choice: [3, 5]}, expansion: 2}
        - fire: {bypass: {choice: [none, simple, complex]}}
        - max_pool: {kernel: 2}
    stride: 2
head: {channels: {choice: [0, 32]}}
"""


def with_block(text: str) -> str:
    return f"space: x\nstages:\n  - {text}\n"


# 32 -> 8 -> 2 -> 1, and then a stride of 2; and 32 -> 7 before a kernel of 11
TOO_SMALL = (
    "space: x\nstages:\n" + "  - {block: conv, channels: 8, stride: 4}\n" * 3 + "  - {block: max_pool, stride: 2}\n"
)
TOO_NARROW = (
    "space: x\nstages:\n  - {block: max_pool, kernel: 7, padding: valid, stride: 4}\n"
    "  - {block: conv, channels: 8, kernel: 11, padding: valid}\n"
)


def error_of(text: str) -> str:
    with pytest.raises(FileError) as caught:
        parse_space(text, "s.yaml")
    return str(caught.value)


# max_pool knows no channels, so the families of SMALL share only the stride
SHARED = SMALL.replace("- bneck: {", "- bneck: {channels: 16, ").replace("- fire: {", "- fire: {channels: 16, ")


@pytest.fixture(scope="module")
def small() -> Space:
    return parse_space(SHARED, "small.yaml")


def test_domains_have_the_path_of_their_value(small: Space) -> None:
    assert small.domains == {
        "stages[0].channels": Choice((8, 16)),
        "stages[0].repeats": IntRange(1, 2),
        "stages[1].block": small.domains["stages[1].block"],
        "stages[1].block.bneck.kernel": Choice((3, 5)),
        "stages[1].block.fire.bypass": Choice(("none", "simple", "complex")),
        "head.channels": Choice((0, 32)),
    }


def test_size_counts_values_of_a_family_only_with_it(small: Space) -> None:
    assert small.size() == 2 * 2 * (2 + 3 + 1) * 2


def test_values_of_other_families_are_not_asked_for(small: Space) -> None:
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(40):
        assignment, candidate = small.sample(rng)
        family = assignment["stages[1].block"]
        nested = {path for path in assignment if path.startswith("stages[1].block.")}
        assert all(f".{family}." in path for path in nested)
        assert candidate.blocks[-1].kind == family
        seen.add(family)
    assert seen == {"bneck", "fire", "max_pool"}


def test_an_assignment_leads_back_to_its_candidate(small: Space) -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        assignment, candidate = small.sample(rng)
        assert small.build(assignment).id == candidate.id
    with pytest.raises(NetworkError, match=r"stages\[0\].channels: came 12, expected one of 8, 16"):
        small.build(dict(assignment) | {"stages[0].channels": 12})


def test_stride_and_repeats() -> None:
    space = parse_space(with_block("{block: conv, channels: 8, stride: 2, repeats: 3}"), "s.yaml")
    candidate = space.sample(np.random.default_rng(0))[1]
    assert [block.stride for block in candidate.blocks] == [2, 1, 1]
    assert candidate.network.layers[-3].shape == (16, 16, 8)


def test_width_rounds_to_eights_and_leaves_fixed_stages_alone() -> None:
    space = parse_space(
        "space: x\nwidth: 0.35\nstem: {block: conv, channels: 16, scaled: false}\n"
        "stages:\n  - {block: conv, channels: 88}\nhead: {channels: 256}\n",
        "s.yaml",
    )
    candidate = space.sample(np.random.default_rng(0))[1]
    # 88 * 0.35 = 30.8 -> 32; 256 * 0.35 = 89.6 -> 88
    assert [block.channels for block in candidate.blocks] == [16, 32]  # type: ignore[attr-defined]
    assert candidate.head.channels == 88


def test_resolution_is_part_of_the_space() -> None:
    space = parse_space(SHARED + "resolution: {choice: [24, 48]}\n", "s.yaml")
    sizes = {space.sample(np.random.default_rng(seed))[1].input_shape for seed in range(8)}
    assert sizes == {(24, 24, 3), (48, 48, 3)}


def test_training_settings_can_vary() -> None:
    space = parse_space(SHARED + "training: {learning_rate: {log: [1e-4, 1e-2]}, optimizer: nadam}\n", "s.yaml")
    assert space.domains["training.learning_rate"] == FloatRange(1e-4, 1e-2, log=True)
    assert math.isinf(space.size())
    training = space.sample(np.random.default_rng(0))[1].training
    assert training.optimizer == "nadam"
    assert 1e-4 <= training.learning_rate <= 1e-2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stages: []\n", "s.yaml:1: missing key 'space'"),
        ("", "s.yaml: the file is empty"),
        ("space: x\nstage: []\n", "s.yaml:2: stage: unknown key 'stage', did you mean 'stages'? known keys:"),
        ("space: x\nstages:\n  - {block: bnek, channels: 8}\n", "unknown block 'bnek', did you mean 'bneck'?"),
        (with_block("{block: conv, chanels: 8}"), "s.yaml:3: stages[0].chanels: unknown key 'chanels', did you mean 'channels'?"),
        (with_block("{block: {choice: [wide: {block: bnek}]}, channels: 8}"), "unknown block 'bnek', did you mean 'bneck'?"),
        (with_block("{block: {choice: [conv: {block: bneck}]}, channels: 8}"), "came the name 'conv' for a bneck, expected a word"),
        (with_block("{block: conv}"), "s.yaml:3: stages[0]: missing key 'channels' of block 'conv'"),
        (with_block("{block: conv, channels: 8, kernel: 4}"), "stages[0].kernel: came 4, expected 1, 2, 3, 5, 7, 9 or 11"),
        (with_block("{block: conv, channels: wide}"), "stages[0].channels: came 'wide', expected a whole number"),
        (with_block("{block: conv, channels: 8, activation: hswich}"), "did you mean 'hswish'?"),
        (with_block("{block: conv, channels: {choice: [8, -1]}}"), "channels.choice[1]: came -1, expected greater than or equal to 1"),
        (with_block("{block: conv, channels: {int: [8, 20], step: 8}}"), "step: came 8, expected a whole number that divides"),
        (with_block("{block: conv, channels: {log: [0, 20]}}"), "came [0, 20], expected low > 0"),
        (with_block("{block: conv, channels: {choice: []}}"), "came [], expected a list of values"),
        (with_block("{block: conv, channels: {choice: [8, 8]}}"), "expected every value once"),
        (with_block("{block: conv, channels: {choise: [8]}}"), "expected a whole number; an open value is one of {choice: [a, b, ...]}"),
        (with_block("{block: conv, channels: {choise: [8]}}"), "did you mean 'choice'?"),
        (with_block("{block: conv, channels: [8, 16]}"), "expected a whole number; to leave it open write {choice: [8, 16]}"),
        (with_block("{block: conv, channels: 8, repeats: [1, 2]}"), "from 0 to 64; to leave it open write {choice: [1, 2]}"),
        (with_block("{block: conv, channels: 8, repeats: 100}"), "repeats: came 100, expected a whole number from 0 to 64"),
        (with_block("{block: bneck, channels: 8, expansion: 2, expand_channels: 16}"), "came both 'expansion' and 'expand_channels'"),
        (with_block("{block: conv, channels: 8, channels: 16}"), "stages[0].channels: this key stands twice"),
        (with_block("{block: conv, channels: 8, groups: 3}"), "s.yaml:3: stages[0]: impossible network: groups 3 do not divide 8 output"),
        (TOO_SMALL, "s.yaml:6: stages[3]: impossible network: stride 2 below 1x1"),
        (TOO_NARROW, "s.yaml:4: stages[1]: impossible network: kernel 11x11 of 'conv' is larger than its 7x7 input"),
        ("space: x\nstages:\n  - {block: conv, channels: 8}\ntraining: {optimiser: adam}\n", "unknown key 'optimiser', did you mean 'optimizer'?"),
        ("space: ../up\nstages: []\n", "s.yaml:1: space: came '../up', expected a name of letters, digits"),
        (with_block("{block: conv, channels: !!int ''}"), "s.yaml:3: stages[0].channels: '' is no"),
        ("space: [\n", "s.yaml:2: not valid YAML"),
        ("space: x\nwidth: true\nstages:\n  - {block: conv, channels: 8}\n", "width: came True, expected a number from 0.05 to 8.0"),
    ],
)  # fmt: skip
def test_mistakes_have_an_address(text: str, expected: str) -> None:
    assert expected in error_of(text)


MANY = """
space: 5mine
abuot: x
resolution: big
width_divisor: 0
stem: {block: konv, channels: 8}
stages:
  - {block: conv, channels: 8, stride: 3.5, kernal: 3}
  - {block: bneck}
head: {drop: 1}
training: {epochs: many}
"""


def test_all_mistakes_are_told_at_once() -> None:
    told = error_of(MANY).splitlines()
    assert [line.split(": ")[:2] for line in told] == [
        ["s.yaml:2", "space"],
        ["s.yaml:3", "abuot"],
        ["s.yaml:4", "resolution"],
        ["s.yaml:5", "width_divisor"],
        ["s.yaml:6", "stem.block"],
        ["s.yaml:8", "stages[0].kernal"],
        ["s.yaml:8", "stages[0].stride"],
        ["s.yaml:9", "stages[1]"],
        ["s.yaml:10", "head.drop"],
        ["s.yaml:11", "training.epochs"],
    ]


TWO_BODIES = """
space: two
resolution: {choice: [32, 48]}
color: {choice: [rgb, grey]}
backbone:
  choice:
    - wide: {width: {choice: [1.0, 2.0]}, stages: [{block: bneck, channels: 16, expansion: {choice: [2, 3, 4]}}]}
    - plain:
        stages:
          - {block: {choice: [conv: {kernel: {choice: [1, 3]}}, separable]}, channels: {choice: [8, 16]}}
        head: {channels: 32}
"""


def test_a_choice_of_whole_networks() -> None:
    space = parse_space(TWO_BODIES, "two.yaml")
    assert list(space.domains) == [
        *("resolution", "color", "backbone", "backbone.wide.width", "backbone.wide.stages[0].expansion"),
        *("backbone.plain.stages[0].block", "backbone.plain.stages[0].block.conv.kernel"),
        "backbone.plain.stages[0].channels",
    ]
    # Two sizes, two colours, and: six wide ones, or two channels of two kernels or one separable.
    assert space.size() == 2 * 2 * (2 * 3 + 2 * (2 + 1))
    asked = {"resolution": 48, "color": "grey", "backbone": "plain", "backbone.plain.stages[0].block": "separable"}
    candidate = space.build(asked | {"backbone.plain.stages[0].channels": 8})
    assert candidate.input_shape == (48, 48, 1)
    assert [block.kind for block in candidate.blocks] == ["separable"]
    assert space.inputs() == ((32, 32, 1), (48, 48, 3))
    assert load_space("mixed").inputs(Defaults((40, 30, 3))) == ((40, 30, 3), (40, 30, 3))
    fixed = space.at(backbone="wide", **{"backbone.wide.width": 2.0, "resolution": 32, "color": "rgb"})
    assert list(fixed.domains) == ["backbone.wide.stages[0].expansion"]
    assert space.at(**{"backbone.wide.width": 1.0}).size() == 2 * 2 * (3 + 6)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("color: {choice: [rgb, grey]}", "color: sepia", "t.yaml:4: color: came 'sepia', expected rgb or grey"),
        ("color: {choice: [rgb, grey]}", "color: [rgb]", "t.yaml:4: color: came ['rgb'], expected rgb or grey"),
        ("space: two", "space: two\nwidth: 0.5", "t.yaml:3: width: came beside 'backbone', expected 'width' inside"),
        ("block: bneck", "block: bnek", "t.yaml:7: backbone.wide.stages[0].block: unknown block 'bnek', did you mean"),
        ("{channels: 32}", "{chanels: 32}", "t.yaml:11: backbone.plain.head.chanels: unknown key 'chanels', did you"),
        (
            "    - plain:\n",
            "    - plain:\n        stem: 3\n",
            "t.yaml:9: backbone.plain.stem: came 3, expected a mapping",
        ),
        ("    - wide: {", "    - wide: {stages: [], b: {", "not valid YAML"),
        ("    - plain:\n", "    - pla-in:\n", "t.yaml:8: backbone.choice[1]: came {'pla-in'"),
    ],
)
def test_mistakes_inside_a_backbone_have_an_address(old: str, new: str, expected: str) -> None:
    with pytest.raises(FileError) as error:
        parse_space(TWO_BODIES.replace(old, new), "t.yaml")
    assert expected in str(error.value)


def test_vww_has_the_mobilenet_v2_and_the_small_networks_of_the_literature() -> None:
    space = load_space("vww")
    defaults = Defaults(classes=1)
    for width in (0.35, 1.0):
        values = {"resolution": 96, "color": "rgb", "backbone": "mobilenet_v2", "training.learning_rate": 1e-3}
        found = space.build(values | {"backbone.mobilenet_v2.width": width}, defaults)
        published = load_reference("mobilenet_v2_vww").candidate(width=width)
        assert found.architecture == published.architecture
    for layers in (3, 4, 5):
        small = space.at(backbone=f"cnn_{layers}", **{f"backbone.cnn_{layers}.width": 1.0, "resolution": 96})
        candidate = small.sample(np.random.default_rng(0), defaults)[1]
        published = load_reference(f"simple_cnn_{layers - 2}").candidate()
        kernels = [layer for layer in candidate.network if isinstance(layer, Conv2D)]
        wanted = [layer for layer in published.network if isinstance(layer, Conv2D)]
        assert [layer.shape for layer in kernels] == [layer.shape for layer in wanted]


def test_an_unknown_space_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown space 'cmv2', did you mean 'cmv3'\? known: .*cmv3, .*mixed, "):
        load_space("cmv2")
    with pytest.raises(FileError, match="no such file"):
        load_space("nowhere/cmv3.yaml")


def test_some_impossible_candidates_are_allowed_and_counted() -> None:
    """Six strides of 1 or 2 on 32x32: only the candidate with all six at 2 is none, one in 64."""
    space = parse_space(
        "space: x\nstages:\n" + "  - {block: conv, channels: 8, stride: {choice: [1, 2]}}\n" * 6, "s.yaml"
    )
    assert 0 <= space.impossible < 0.1
    with pytest.raises(NetworkError, match="stride 2 below 1x1"):
        space.build(dict.fromkeys(space.domains, 2))


def test_a_value_that_a_family_overrides_is_not_asked_for() -> None:
    space = parse_space(
        with_block("{block: {choice: [conv: {channels: 8}, separable: {channels: 8}]}, channels: {choice: [8, 16]}}"),
        "s",
    )
    assignment, _ = space.sample(np.random.default_rng(0))
    assert set(assignment) == {"stages[0].block"} == set(space.domains)


@pytest.mark.parametrize("path", list_spaces(), ids=lambda path: path.stem)
def test_every_shipped_space_loads_and_samples(path) -> None:  # type: ignore[no-untyped-def]
    space = load_space(str(path))
    assert space.name == path.stem
    assert space.about
    rng = np.random.default_rng(0)
    for size in (32, 96):
        assert space.sample(rng, Defaults((size, size, 3), 2))[1].classes == 2


def test_mixed_has_every_family_at_every_stage() -> None:
    space = load_space("mixed")
    families = {"bneck", "dpd", "fire", "sqnxt", "shuffle", "separable", "conv"}
    for stage in range(3):
        assert set(space.domains[f"stages[{stage}].block"].values()) == families
    assert families <= set(BLOCKS)


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_space_or_one_message(text: str) -> None:
    try:
        parse_space(text, "s.yaml")
    except DseError as error:
        assert str(error).startswith("s.yaml")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["block", "choice", "int", "step", "channels", "conv", "bneck", "stride", "x"]),
                inner,
                max_size=3,
            )
        ),
        max_leaves=12,
    )
)
@settings(max_examples=300, deadline=None)
def test_any_stage_is_read_or_refused_in_one_message(stage: object) -> None:
    import yaml

    try:
        parse_space(yaml.safe_dump({"space": "x", "stages": [stage]}), "s.yaml")
    except DseError as error:
        assert str(error).startswith("s.yaml")


def test_a_file_is_bounded(tmp_path) -> None:  # type: ignore[no-untyped-def]
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdef", "bcdefg", strict=True)
    )
    assert "more than 50000 values" in error_of(bomb)
    large = tmp_path / "large.yaml"
    large.write_text("#" * (1 << 20) + "\n")
    with pytest.raises(FileError, match="larger than 1048576 bytes"):
        load_space(str(large))
