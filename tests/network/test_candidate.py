"""Candidates: canonical form, stable ids, plain data."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dse.errors import DseError
from dse.network.candidate import Candidate
from dse.space.space import parse_space


def candidate_of(stages: str, rest: str = "") -> Candidate:
    return parse_space(f"space: x\n{rest}\nstages:\n{stages}", "s.yaml").sample(np.random.default_rng(0))[1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # the width multiplier, or the widths themselves
        (("- {block: conv, channels: 32}", "width: 0.5"), ("- {block: conv, channels: 16}", "")),
        # a ratio, or the channels that it gives
        (
            ("- {block: conv, channels: 16}\n- {block: bneck, channels: 16, expansion: 3}", ""),
            ("- {block: conv, channels: 16}\n- {block: bneck, channels: 16, expand_channels: 48}", ""),
        ),
        (("- {block: fire, channels: 32, squeeze_ratio: 0.25}", ""), ("- {block: fire, channels: 32, squeeze_channels: 8}", "")),
        # repeats, or the stage written twice
        (("- {block: conv, channels: 8, repeats: 2}", ""), ("- {block: conv, channels: 8}\n- {block: conv, channels: 8}", "")),
        # two ratios that mean the same channels, in a block and in the head; a window of one has no edge
        (
            ("- {block: bneck, channels: 8, expand_channels: 16, squeeze_excite: 0.25}", ""),
            ("- {block: bneck, channels: 8, expand_channels: 16, squeeze_excite: 0.27}", ""),
        ),
        (
            ("- {block: conv, channels: 8}", "head: {channels: 16, squeeze_excite: 0.25}"),
            ("- {block: conv, channels: 8}", "head: {channels: 16, squeeze_excite: 0.3}"),
        ),
        (("- {block: conv, channels: 8, kernel: 1, padding: valid}", ""), ("- {block: conv, channels: 8, kernel: 1}", "")),
        # values without effect: a bypass around changing channels, a residual at stride 2, a shuffle of one group
        (("- {block: fire, channels: 32, bypass: simple}", ""), ("- {block: fire, channels: 32}", "")),
        (
            ("- {block: bneck, channels: 8, stride: 2, residual: true}", ""),
            ("- {block: bneck, channels: 8, stride: 2, residual: false}", ""),
        ),
        (
            ("- {block: shuffle, channels: 8, groups: 1, shuffle: true}", ""),
            ("- {block: shuffle, channels: 8, groups: 1, shuffle: false}", ""),
        ),
        (
            ("- {block: conv, channels: 8}", "head: {activation: hswish}"),
            ("- {block: conv, channels: 8}", "head: {activation: relu}"),
        ),
        # a stage of no repeats is no stage
        (
            ("- {block: conv, channels: 8}\n- {block: dpd, channels: 24, repeats: 0}", ""),
            ("- {block: conv, channels: 8}", ""),
        ),
    ],
)  # fmt: skip
def test_two_spellings_are_one_candidate(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert candidate_of(*one).id == candidate_of(*other).id


def test_a_difference_is_a_difference() -> None:
    ids = {
        candidate_of(text).id
        for text in (
            "- {block: conv, channels: 8}",
            "- {block: conv, channels: 16}",
            "- {block: conv, channels: 8, kernel: 5}",
            "- {block: conv, channels: 8, activation: hswish}",
            "- {block: separable, channels: 8}",
        )
    }
    assert len(ids) == 5
    assert candidate_of("- {block: conv, channels: 8}", "training: {learning_rate: 0.1}").id not in ids


def structure(candidate: Candidate) -> str:
    """Everything of a candidate that matters, read from the layers instead of the blocks."""
    layers = [
        (type(layer).__name__, *(getattr(layer, slot) for slot in layer_slots(layer))) for layer in candidate.network
    ]
    position = {layer.name: index for index, layer in enumerate(candidate.network)}
    wires = [[position[name] for name in layer.inputs] for layer in candidate.network]
    return json.dumps([layers, wires, candidate.training.model_dump()], default=str)


def layer_slots(layer) -> list[str]:  # type: ignore[no-untyped-def]
    names = [slot for kind in type(layer).__mro__ for slot in getattr(kind, "__slots__", ())]
    return sorted(set(names) - {"name", "inputs"})


def test_ids_are_equal_exactly_when_networks_are(random_candidates: list[Candidate]) -> None:
    by_id: dict[str, str] = {}
    by_structure: dict[str, str] = {}
    for candidate in random_candidates:
        shape = structure(candidate)
        assert by_id.setdefault(candidate.id, shape) == shape
        assert by_structure.setdefault(shape, candidate.id) == candidate.id


def test_json_round_trips(random_candidates: list[Candidate]) -> None:
    for candidate in random_candidates:
        again = Candidate.from_json(candidate.to_json())
        assert again.to_json() == candidate.to_json()
        assert again.network == candidate.network


@pytest.mark.parametrize(
    ("stages", "problem"),
    [
        ("- {block: conv, channels: 1024}\n- {block: bneck, channels: 8, expansion: 6}", "expand_channels: came 6144"),
        ("- {block: conv, channels: 1}\n- {block: dpd, channels: 8, expand_channels: 64}", "multiplier: came 64"),
        ("- {block: conv, channels: 1}\n- {block: sqnxt, channels: 8}", "squeeze: came 2.0"),
    ],
)
def test_what_could_not_be_read_back_is_no_candidate(stages: str, problem: str) -> None:
    with pytest.raises(DseError) as caught:
        candidate_of(stages)
    assert problem in str(caught.value)
    assert "impossible network" in str(caught.value)


def test_the_id_is_stable() -> None:
    """A changed id makes every stored run forget what it has trained: change this only on purpose."""
    assert candidate_of("- {block: conv, channels: 8}").to_json() == (
        '{"blocks":[{"block":"conv","channels":8}],"classes":10,"head":{},"input":[32,32,3],"training":'
        '{"augment":"flip_crop","batch_size":64,"epochs":30,"l2":1e-05,"label_smoothing":0.0,"learning_rate":0.003,'
        '"optimizer":"adam","schedule":"cosine"}}'
    )
    assert candidate_of("- {block: conv, channels: 8}").id == "28cb5e58c5c6"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "not a candidate: Expecting property name"),
        ("[]", "expected an object with the keys blocks, classes, head, input, training"),
        ('{"input":[32,32,3],"classes":10,"blocks":[{"block":"cnov"}],"head":{},"training":{}}', "unknown block 'cnov'"),
        ('{"input":[32,32,3],"classes":10,"blocks":[{"block":[]}],"head":{},"training":{}}', "unknown block []"),
        ("9" * 5000, "not a candidate"),
        ('{"input":[32,32,3],"classes":10,"blocks":[{"block":"conv"}],"head":{},"training":{}}', "blocks[0].channels: missing key"),
        ('{"input":[32,1e9,3],"classes":10,"blocks":[],"head":{},"training":{}}', "'input' is [height, width, channels]"),
    ],
)  # fmt: skip
def test_other_json_is_refused(text: str, expected: str) -> None:
    with pytest.raises(DseError) as caught:
        Candidate.from_json(text)
    assert expected in str(caught.value)
