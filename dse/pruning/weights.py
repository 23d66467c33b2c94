"""The weights of a pruned network: how much each channel of a trained one matters, and what is kept of its weights."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from dse.network.layers import BatchNorm, Conv2D, Dense, DepthwiseConv2D, Network
from dse.pruning.channels import Kept, kept_channels
from dse.training.model import build_model


def channel_importance(network: Network, trained: keras.Model) -> dict[str, np.ndarray]:
    """For every convolution how much each of its output channels matters, (channels,); they sum to 1.

    The squared norm of its filter (Li et al. 2017 take the norm), batch norm folded, in proportion to the whole layer:
    without that a layer would count the more the larger its weights happen to be (Molchanov et al. 2017, section 2.2).
    """
    norms = {layer.inputs[0]: layer.name for layer in network if isinstance(layer, BatchNorm)}
    found = {}
    for layer in network:
        if isinstance(layer, Conv2D):
            kernel = trained.get_layer(layer.name).get_weights()[0]
            power = np.square(kernel).sum((0, 1, 2))
            if layer.name in norms:
                norm = trained.get_layer(norms[layer.name])
                gamma, _, _, variance = norm.get_weights()
                power = power * np.square(gamma) / (variance + norm.epsilon)
            found[layer.name] = power / max(power.sum(), 1e-30)
    return found


def cut(old: Network, trained: keras.Model, new: Network, importance: Mapping[str, np.ndarray]) -> keras.Model:
    """A model of `new`, `old` with fewer channels, that has the weights of the channels that are kept."""
    kept = kept_channels(old, new, importance)
    model = build_model(new)
    inputs = {layer.name: kept[layer.inputs[0]] for layer in old if layer.inputs}
    for layer in old:
        if isinstance(layer, Conv2D | DepthwiseConv2D | Dense | BatchNorm):
            weights = trained.get_layer(layer.name).get_weights()
            model.get_layer(layer.name).set_weights(_cut(layer, weights, inputs[layer.name], kept))
    return model


def _cut(
    layer: Conv2D | DepthwiseConv2D | Dense | BatchNorm, weights: list[np.ndarray], before: np.ndarray, kept: Kept
) -> list[np.ndarray]:
    after = kept[layer.name]
    match layer:
        case Conv2D():
            kernel = weights[0] if layer.groups > 1 else weights[0][:, :, before]
            return [kernel[..., after], *(bias[after] for bias in weights[1:])]
        case DepthwiseConv2D():
            return [weights[0][:, :, before], *(bias[after] for bias in weights[1:])]
        case Dense():
            return [weights[0][before], *weights[1:]]
        case BatchNorm():
            return [values[before] for values in weights]
