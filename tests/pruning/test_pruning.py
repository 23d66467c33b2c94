"""Structured pruning: what may go together, that limits are kept, and that weights are cut and not mixed up."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from dse.cost.report import estimate
from dse.errors import DseError
from dse.network.candidate import Candidate
from dse.network.layers import Add, Conv2D
from dse.pruning.channels import ChannelClasses, is_narrower, sizes
from dse.pruning.plan import TARGETS, prune
from dse.pruning.weights import channel_importance, cut
from dse.quantization.timing import with_plausible_weights
from dse.space.space import load_space, parse_space
from dse.training.model import build_model
from tests.helpers.networks import FAMILIES, family_space, only_candidate

pytestmark = pytest.mark.keras


def candidates() -> list[Candidate]:
    found = [only_candidate(family_space(family, text)) for family, text in FAMILIES.items()]
    rng = np.random.default_rng(5)
    found += [load_space("mixed").sample(rng)[1] for _ in range(12)]
    return found + [load_space("cmv3").sample(rng)[1] for _ in range(6)]


def prunable(target: str, share: float = 0.7) -> list[tuple[Candidate, dict[str, np.ndarray], Candidate]]:
    """Candidates with the importance of their channels, and what is left of them."""
    found = []
    rng = np.random.default_rng(1)
    for candidate in candidates():
        importance = {name: rng.random(size) for name, size in sizes(candidate.network).items()}
        limit = int(getattr(estimate(candidate.network), target) * share)
        try:
            found.append((candidate, importance, prune(candidate, importance, target, limit).candidate))
        except DseError as error:
            assert "cannot be pruned to" in str(error)
    return found


@pytest.mark.parametrize("target", TARGETS)
def test_the_limit_is_kept_by_a_candidate_of_the_same_grammar(target: str) -> None:
    found = prunable(target)
    assert len(found) > 15
    for whole, _, smaller in found:
        assert getattr(estimate(smaller.network), target) <= 0.7 * getattr(estimate(whole.network), target)
        assert [layer.name for layer in smaller.network] == [layer.name for layer in whole.network]
        assert [block.kind for block in smaller.blocks] == [block.kind for block in whole.blocks]
        assert Candidate.from_json(smaller.to_json()).id == smaller.id
    if target == "params":
        for whole, importance, smaller in found:
            cut(whole.network, build_model(whole.network), smaller.network, importance)


@pytest.mark.parametrize(
    "before",
    [
        "{block: fire, channels: 64}",
        "{block: depthwise, multiplier: 2}",
        "{block: residual, channels: 64}",
    ],
)
@pytest.mark.parametrize("grouped", ["{block: conv, channels: 64, groups: 2}", "{block: shuffle, channels: 64}"])
def test_what_a_grouped_convolution_reads_stays_as_wide_as_it_is(before: str, grouped: str) -> None:
    text = f"space: s\nstem: {{block: conv, channels: 32, stride: 2}}\nstages: [{before}, {grouped}]\nhead: {{channels: 64}}\n"
    candidate = only_candidate(parse_space(text, "s.yaml"))
    importance = {name: np.ones(size) for name, size in sizes(candidate.network).items()}
    smaller = prune(candidate, importance, "params", int(estimate(candidate.network).params * 0.95)).candidate
    cut(candidate.network, build_model(candidate.network), smaller.network, importance)
    whole, left = ({layer.name: layer.shape for layer in c.network} for c in (candidate, smaller))
    read = next(layer.inputs[0] for layer in candidate.network if isinstance(layer, Conv2D) and layer.groups > 1)
    assert left[read] == whole[read]
    assert sum(map(np.prod, left.values())) < sum(map(np.prod, whole.values()))


def test_a_limit_that_holds_changes_nothing_and_one_too_small_is_said() -> None:
    candidate = only_candidate(family_space("bneck", FAMILIES["bneck"]))
    importance = {name: np.ones(size) for name, size in sizes(candidate.network).items()}
    cost = estimate(candidate.network)
    assert prune(candidate, importance, "macs", cost.macs).candidate is candidate
    with pytest.raises(
        DseError, match=r"cannot be pruned to 10 parameters: it still has [\d,]+ where nothing more can go"
    ):
        prune(candidate, importance, "params", 10)


def silenced(candidate: Candidate, smaller: Candidate, seed: int) -> tuple[keras.Model, dict[str, np.ndarray]]:
    """A model in which the channels that `smaller` does not have say nothing, so that it must give the same."""
    rng = np.random.default_rng(seed)
    model = with_plausible_weights(build_model(candidate.network, seed=seed))
    classes = ChannelClasses(candidate.network)
    after = sizes(smaller.network)
    importance: dict[str, np.ndarray] = {}
    for kind, members in classes.members().items():
        size = sizes(candidate.network)[kind]
        silent = rng.permutation(size)[: size - after[kind]]
        for name in members:
            importance[name] = rng.random(size) + 1
            importance[name][silent] = 0
    norms = {layer.inputs[0]: layer.name for layer in candidate.network if type(layer).__name__ == "BatchNorm"}
    for layer in candidate.network:
        # Of what comes next, nothing may depend on them: the simplest is that no kernel reads them.
        if isinstance(layer, Conv2D) and layer.name in importance:
            silent = np.flatnonzero(importance[layer.name] == 0)
            weights = model.get_layer(layer.name).get_weights()
            weights[0][..., silent] = 0
            for bias in weights[1:]:
                bias[silent] = 0
            model.get_layer(layer.name).set_weights(weights)
            if layer.name in norms:
                gamma, beta, mean, variance = model.get_layer(norms[layer.name]).get_weights()
                beta[silent] = mean[silent] = 0
                model.get_layer(norms[layer.name]).set_weights([gamma, beta, mean, variance])
    return model, importance


RELU = {
    "bneck": "{expansion: 3, squeeze_excite: 0.25, activation: relu}",
    "dpd": "{multiplier: 2, activation: relu}",
    "fire": "{squeeze_ratio: 0.5}",
    "sqnxt": "{}",
    "residual": "{}",
    "separable": "{activation: relu6}",
    "conv": "{}",
}


HEADS = ("{pooling: flatten}", "{features: 24}", "{classifier: conv}")


@pytest.mark.parametrize(
    "candidate",
    [
        *(pytest.param(only_candidate(family_space(family, text)), id=family) for family, text in RELU.items()),
        *(
            pytest.param(
                only_candidate(
                    parse_space(f"space: s\nstages: [{{block: conv, channels: 16, stride: 4}}]\nhead: {head}", "s")
                ),
                id=head,
            )
            for head in HEADS
        ),
    ],
)
def test_channels_that_say_nothing_can_go_without_a_change(candidate: Candidate) -> None:
    """Depthwise kernels and batch norm behind them must not make something of nothing, so their shifts are taken off."""
    flat = {name: np.ones(size) for name, size in sizes(candidate.network).items()}
    smaller = prune(candidate, flat, "params", int(estimate(candidate.network).params * 0.75)).candidate
    model, importance = silenced(candidate, smaller, seed=2)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, _, mean, variance = layer.get_weights()
            layer.set_weights([gamma, np.zeros_like(gamma), np.zeros_like(mean), variance])
        elif isinstance(layer, keras.layers.Conv2D) and len(layer.get_weights()) == 2:
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, np.zeros_like(bias)])
    images = np.random.default_rng(0).random((4, 32, 32, 3)).astype(np.float32)
    pruned = cut(candidate.network, model, smaller.network, importance)
    np.testing.assert_allclose(
        pruned.predict(images, verbose=0), model.predict(images, verbose=0), rtol=1e-4, atol=1e-5
    )
    assert pruned.count_params() < model.count_params()


def test_what_is_added_is_cut_alike() -> None:
    """In a chain of residual blocks every tensor that is added keeps the same channels, whatever each would choose."""
    space = parse_space(
        "space: s\nstem: {block: conv, channels: 16, stride: 2}\n"
        "stages: [{block: bneck, channels: 16, expansion: 2, repeats: 3}]\n",
        "s.yaml",
    )
    candidate = only_candidate(space)
    classes = ChannelClasses(candidate.network)
    adds = [layer for layer in candidate.network if isinstance(layer, Add)]
    assert len(adds) == 3
    chain = ["b0_conv_conv", "b1_bneck_project", "b2_bneck_project", "b3_bneck_project"]
    assert len({classes.of(name) for name in chain}) == 1
    importance = {name: np.arange(size, dtype=float) for name, size in sizes(candidate.network).items()}
    for name in chain:
        importance[name] = importance[name] * 1e-3
    importance["b0_conv_conv"] = np.arange(16, 0, -1) * 1e-2  # which outweighs the others of the chain
    smaller = prune(candidate, importance, "macs", int(estimate(candidate.network).macs * 0.6)).candidate
    assert is_narrower(candidate.network, smaller.network, classes)
    model = with_plausible_weights(build_model(candidate.network))
    pruned = cut(candidate.network, model, smaller.network, importance)
    left = smaller.blocks[0].channels  # type: ignore[attr-defined]
    assert left < 16
    for name in chain:
        kernel, whole = pruned.get_layer(name).get_weights()[0], model.get_layer(name).get_weights()[0]
        inputs = kernel.shape[2]
        found = {tuple(np.round(kernel[0, 0, :, i], 5)) for i in range(left)}
        if inputs == whole.shape[2]:
            assert found == {tuple(np.round(whole[0, 0, :, i], 5)) for i in range(left)}  # the first ones, of all


def test_importance_counts_batch_norm_and_not_the_scale_of_a_layer() -> None:
    candidate = only_candidate(family_space("conv"))
    model = with_plausible_weights(build_model(candidate.network))
    first = channel_importance(candidate.network, model)
    assert all(values.sum() == pytest.approx(1) for values in first.values())
    layer = model.get_layer("b1_conv_conv")
    layer.set_weights([7 * layer.get_weights()[0]])
    np.testing.assert_allclose(
        channel_importance(candidate.network, model)["b1_conv_conv"], first["b1_conv_conv"], rtol=1e-4
    )
    norm = model.get_layer("b1_conv_conv_bn")
    gamma, *rest = norm.get_weights()
    gamma[3] = 0
    norm.set_weights([gamma, *rest])
    assert channel_importance(candidate.network, model)["b1_conv_conv"][3] == 0
