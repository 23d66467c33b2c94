"""What was published of networks and can be counted on them: a function of a network by the name of each quantity.

Some are of a part of the network, named in brackets without spaces: a block such as `b2_fire`, a single layer, or
several of them with commas, as in `params[b2_fire,b3_fire]`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

from dse.cost.flash import float_file_bytes
from dse.cost.formulas import LayerCost, conv2d_weights, depthwise_weights, layer_costs
from dse.cost.report import estimate
from dse.cost.tflm.lowering import lower
from dse.cost.tflm.planner import greedy_offsets, head_of, lifetimes
from dse.errors import UnknownNameError
from dse.network.layers import AvgPool, Conv2D, Dense, DepthwiseConv2D, Layer, MaxPool, Network, Shape
from dse.references.h5_size import h5_bytes

Kind = Literal["1x1", "conv", "depthwise", "dense"]
KINDS: tuple[Kind, ...] = ("1x1", "conv", "depthwise", "dense")
Priced = list[tuple[Layer, LayerCost]]


def quantity(name: str) -> Callable[[Network], float]:
    """The function that counts a quantity. Raises UnknownNameError."""
    match = re.fullmatch(r"(\w+)\[([\w,]+)\]", name)
    if name in QUANTITIES:
        return QUANTITIES[name]
    if match and match[1] in OF_A_PART:
        return partial(OF_A_PART[match[1]], match[2])
    raise UnknownNameError("quantity", name, [*QUANTITIES, *(f"{part}[...]" for part in OF_A_PART)])


# -- sums over layers


def _total(of: Callable[[LayerCost], int]) -> Callable[[Network], float]:
    return lambda network: sum(of(cost) for _, cost in layer_costs(network))


def _kernels(network: Network) -> Iterator[tuple[Kind, int, int]]:
    """Of every layer with a kernel its kind, the values in the kernel, and its MACs."""
    shapes: dict[str, Shape] = {layer.name: layer.shape for layer in network}
    for layer, cost in layer_costs(network):
        source = shapes[layer.inputs[0]] if layer.inputs else layer.shape
        match layer:
            case Conv2D():
                yield "1x1" if layer.kernel == (1, 1) else "conv", conv2d_weights(layer, source), cost.macs
            case DepthwiseConv2D():
                yield "depthwise", depthwise_weights(layer), cost.macs
            case Dense():
                yield "dense", source[-1] * layer.shape[-1], cost.macs


def _kernel_values(network: Network) -> float:
    return sum(values for _, values, _ in _kernels(network))


def _kernels_and_dense_bias(network: Network) -> float:
    return _kernel_values(network) + sum(layer.shape[-1] for layer in network if isinstance(layer, Dense))


def _share(what: Literal["values", "macs"], kind: Kind) -> Callable[[Network], float]:
    def share(network: Network) -> float:
        amounts = [(found, values if what == "values" else macs) for found, values, macs in _kernels(network)]
        return sum(amount for found, amount in amounts if found == kind) / sum(amount for _, amount in amounts)

    return share


def _without_norm(layers: Priced, shortcuts: bool = False) -> float:
    """Kernels and biases, as tables list them that leave batch norm and shortcuts out."""
    return sum(cost.params for layer, cost in layers if _has_kernel(layer) and (shortcuts or not _is_shortcut(layer)))


def _has_kernel(layer: Layer) -> bool:
    return isinstance(layer, Conv2D | DepthwiseConv2D | Dense)


def _is_shortcut(layer: Layer) -> bool:
    return layer.name.endswith("_shortcut")


# -- parts of a network


def _layers(parts: str, network: Network) -> Priced:
    """The layers of some parts with their costs. Raises UnknownNameError."""
    costs = {layer.name: (layer, cost) for layer, cost in layer_costs(network)}
    found: dict[str, tuple[Layer, LayerCost]] = {}
    for part in parts.split(","):
        names = [part] if part in costs else [name for name in costs if name.startswith(f"{part}_")]
        if not names:
            raise UnknownNameError("layer", part, costs)
        found |= {name: costs[name] for name in names}
    return list(found.values())


def _operations(parts: str, network: Network) -> float:
    """Two per MAC, and one per value in the window of a pooling."""
    return sum(
        math.prod(layer.kernel) * math.prod(layer.shape) if isinstance(layer, MaxPool | AvgPool) else 2 * cost.macs
        for layer, cost in _layers(parts, network)
    )


def _output(of: Callable[[Shape], int]) -> Callable[[str, Network], float]:
    """Something of the shape that a part gives."""
    return lambda parts, network: of(_layers(parts, network)[-1][0].shape)


def _layer_number(which: Literal[0, -1]) -> Callable[[str, Network], float]:
    """Of a part the first or last layer with a kernel, numbered from 1 without the shortcuts, as papers list them."""

    def place(parts: str, network: Network) -> float:
        names = {layer.name for layer, _ in _layers(parts, network)}
        listed = [layer.name for layer in network if _has_kernel(layer) and not _is_shortcut(layer)]
        return [number for number, name in enumerate(listed, 1) if name in names][which]

    return place


def _map_bytes(side: str, network: Network) -> float:
    """Bytes of the largest tensor between blocks whose map has this many pixels on a side, two per value."""
    ends = {layer.name.split("_")[0]: layer.shape for layer in network}  # the last layer of every block
    return max(2 * math.prod(shape) for shape in ends.values() if shape[0] == int(side))


# -- memory


def _greedy_head(network: Network) -> float:
    tensors = lifetimes(lower(network))
    return head_of(tensors, greedy_offsets(tensors))


QUANTITIES: dict[str, Callable[[Network], float]] = {
    "params": _total(lambda cost: cost.params),  # as Keras counts them, running statistics included
    "trainable_params": _total(lambda cost: cost.trainable),
    "deployed_params": lambda network: estimate(network).deployed_params,  # batch norm folded
    "kernels": _kernel_values,  # no bias, no batch norm
    "kernels_and_dense_bias": _kernels_and_dense_bias,
    "conv_params": lambda network: _without_norm(layer_costs(network)),
    "conv_and_shortcut_params": lambda network: _without_norm(layer_costs(network), shortcuts=True),
    **{f"kernels_share_{kind}": _share("values", kind) for kind in KINDS},
    "macs": _total(lambda cost: cost.macs),
    "conv_macs": lambda network: sum(macs for kind, _, macs in _kernels(network) if kind != "dense"),
    **{f"macs_share_{kind}": _share("macs", kind) for kind in KINDS},
    # Sizes of checkpoints and files.
    "weights_bytes": _total(lambda cost: 4 * cost.params),
    "weights_mebibytes": lambda network: sum(4 * cost.params for _, cost in layer_costs(network)) / 2**20,
    "weights_and_momentum_bytes": _total(lambda cost: 4 * (cost.params + cost.trainable)),
    "h5_bytes": lambda network: h5_bytes(network, 0),  # the file that Keras saves
    "h5_momentum_bytes": lambda network: h5_bytes(network, 1),  # with the state of SGD
    "h5_nadam_bytes": lambda network: h5_bytes(network, 2),
    "float_file_bytes": lambda network: float_file_bytes(network),  # .tflite
    "file_bytes": lambda network: estimate(network).flash_bytes,  # int8 .tflite as dse exports it: without names
    # The tensor arena of TFLM.
    "arena_head_bytes": lambda network: estimate(network).arena_head_bytes,
    "greedy_head_bytes": _greedy_head,  # of a file without a plan of its own
    "arena_bytes": lambda network: estimate(network).arena_bytes,
    # How deep it is.
    "bottlenecks": lambda network: sum(layer.name.endswith("_bneck_project") for layer in network),
    "sqnxt_depth": lambda network: 2 + len({layer.name.split("_")[0] for layer in network if "_sqnxt_" in layer.name}),
}
OF_A_PART: dict[str, Callable[[str, Network], float]] = {
    "params": lambda parts, network: sum(cost.params for _, cost in _layers(parts, network)),
    "conv_params": lambda parts, network: _without_norm(_layers(parts, network)),
    "operations": _operations,
    "output_bytes": _output(math.prod),  # one byte per value
    "side": _output(lambda shape: shape[0]),  # rows of pixels
    "channels": _output(lambda shape: shape[-1]),
    "first_layer": _layer_number(0),
    "last_layer": _layer_number(-1),
    "map_bytes": _map_bytes,
}
