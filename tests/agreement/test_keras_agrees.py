"""Keras, built from a network, has the shapes and parameters that the network and its cost say."""

from __future__ import annotations

import numpy as np
import pytest

from dse.cost.formulas import FORMULAS, layer_costs
from dse.cost.report import estimate
from dse.network.blocks import BLOCKS
from dse.network.candidate import Candidate
from dse.network.layers import LAYER_KINDS
from dse.training.model import BUILDERS, FUNCTIONS, build_model
from tests.helpers.networks import family_space, only_candidate

pytestmark = pytest.mark.keras

QUICK = slice(0, None, 12)  # of the random candidates: 20, in which every family is seen


def test_every_layer_kind_has_a_builder_and_a_formula() -> None:
    assert set(BUILDERS) == set(FORMULAS) == set(LAYER_KINDS)


@pytest.mark.parametrize("part", [QUICK, *(pytest.param(slice(n, None, 4), marks=pytest.mark.slow) for n in range(4))])
def test_shapes_and_parameters_of_random_candidates(part: slice, random_candidates: list[Candidate]) -> None:
    for candidate in random_candidates[part]:
        model = build_model(candidate.network)
        for layer, cost in layer_costs(candidate.network):
            built = model.get_layer(layer.name)
            assert tuple(built.output.shape[1:]) == layer.shape, f"{candidate.id} {layer.name}"
            assert built.count_params() == cost.params, f"{candidate.id} {layer.name}"
        report = estimate(candidate.network)
        assert model.count_params() == report.params
        assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == report.trainable_params


def test_the_candidates_cover_all_families(random_candidates: list[Candidate]) -> None:
    assert len(random_candidates) >= 200
    seen = {block.kind for candidate in random_candidates for block in candidate.blocks}
    assert seen == set(BLOCKS) - {"depthwise", "max_pool", "avg_pool", "residual", "skip"}
    assert seen == {block.kind for candidate in random_candidates[QUICK] for block in candidate.blocks}


@pytest.mark.parametrize("family", ["depthwise", "max_pool", "avg_pool", "residual", "skip"])
def test_plain_blocks_agree_too(family: str) -> None:
    network = only_candidate(family_space(family)).network
    model = build_model(network)
    for layer in network:
        assert tuple(model.get_layer(layer.name).output.shape[1:]) == layer.shape
    assert model.count_params() == estimate(network).params


def test_the_split_form_of_a_grouped_convolution_is_the_same() -> None:
    network = only_candidate(family_space("shuffle", "{groups: 4}")).network
    split, whole = build_model(network, seed=3), build_model(network, seed=3, for_conversion=True)
    whole.set_weights(split.get_weights())
    image = np.random.default_rng(0).random((1, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(split(image), whole(image), atol=1e-5)


def test_same_seed_same_weights() -> None:
    network = only_candidate(family_space("bneck")).network
    one, same, other = (build_model(network, seed=seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_mish_as_it_deploys_is_close_to_mish() -> None:
    x = np.linspace(-10, 10, 4001).astype(np.float32)
    exact = x * np.tanh(np.log1p(np.exp(x)))
    assert np.abs(np.asarray(FUNCTIONS["mish"](x)) - exact).max() < 0.032
    np.testing.assert_allclose(FUNCTIONS["hswish"](x), x * np.clip(x + 3, 0, 6) / 6, atol=1e-6)
    np.testing.assert_allclose(FUNCTIONS["hard_sigmoid"](x), np.clip(x + 3, 0, 6) / 6, atol=1e-6)
