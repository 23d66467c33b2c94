"""Networks of the literature as spaces of size one, and their published figures held against what dse counts.

The figures stand in the file of each network under `published`, as they were printed. A verdict is worked out, unless
the file says that the document contradicts itself or that the figure cannot be checked, and why. No formula is bent to
hit a number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from dse.candidate import Candidate
from dse.cost import estimate
from dse.cost.formulas import conv2d_weights, depthwise_weights, layer_costs
from dse.errors import UnknownNameError
from dse.network import Conv2D, Dense, DepthwiseConv2D, Layer, Network, Shape
from dse.space import REFERENCE_KEY, Defaults, Space, list_references
from dse.strict_yaml import load

UNITS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "%": 0.01}
Kind = Literal["1x1", "conv", "depthwise", "dense"]


class Figure(BaseModel):
    """One published figure. Without a verdict, one is worked out from the quantity."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    source: str
    quantity: str
    value: Annotated[str, Field(min_length=1)]  # as it was printed
    at: dict[Literal["width", "resolution", "classes"], float | int] = {}  # where it differs from the file
    verdict: Literal["", "inconsistent", "not identifiable", "not checkable"] = ""
    why: str = ""


class Published(BaseModel):
    """What was published of a network."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    classes: Annotated[int, Field(ge=2)]
    figures: list[Figure]


@dataclass(frozen=True)
class Reference:
    """A network of the literature."""

    name: str
    space: Space
    published: Published

    def candidate(self, **values: float | int) -> Candidate:
        """The network with its published number of classes, at another width, resolution or number if any is given."""
        classes = int(values.pop("classes", self.published.classes))
        space = self.space.at(**values) if values else self.space
        return space.sample(np.random.default_rng(0), Defaults(classes=classes))[1]


@dataclass(frozen=True)
class Row:
    """One figure beside ours."""

    network: str
    source: str
    quantity: str
    published: str
    ours: str  # empty where there is nothing to compare with
    difference: float | None  # ours over published, less one
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def load_reference(name: str) -> Reference:
    """The reference network of that name. Raises UnknownNameError, FileError."""
    files = {path.stem: path for path in list_references()}
    if name not in files:
        raise UnknownNameError("reference network", name, files)
    document = load(files[name])
    published = document.check(Published, document.value.get(REFERENCE_KEY), (REFERENCE_KEY,))
    return Reference(name, Space(document), published)


def reproduce(reference: Reference) -> Iterator[Row]:
    """Every published figure of a network, with ours and a verdict."""
    for figure in reference.published.figures:
        ours, measure = None, QUANTITIES.get(figure.quantity)
        if measure:
            ours = measure(reference.candidate(**figure.at).network)
        place = ", ".join(f"{name} {value:g}" for name, value in figure.at.items())
        difference = None if ours is None else ours / number(figure.value)[0] - 1
        yield Row(
            reference.name,
            figure.source,
            f"{figure.quantity} at {place}" if place else figure.quantity,
            figure.value,
            "" if ours is None else _as_printed(ours, figure.value),
            difference,
            _verdict(figure, ours),
        )


def number(text: str) -> tuple[float, float]:
    """A printed figure, and the worth of its last digit. Raises ValueError.

    >>> number("4.24 M"), number("1,846,930")
    ((4240000.0, 10000.0), (1846930.0, 1.0))
    """
    match = re.fullmatch(r"([\d,]+)(?:\.(\d+))?\s*([kMG%]?)", text)
    if not match:
        raise ValueError(f"{text!r} is no figure")
    whole, decimals, unit = match[1].replace(",", ""), match[2] or "", UNITS[match[3]]
    return float(f"{whole}.{decimals or 0}") * unit, unit * 10 ** -len(decimals)


def _verdict(figure: Figure, ours: float | None) -> str:
    if figure.verdict:
        return f"{figure.verdict}: {figure.why}"
    assert ours is not None, f"nobody knows the quantity {figure.quantity!r}"
    published, digit = number(figure.value)
    if ours == published:
        return "exact"
    if math.isclose(round(ours / digit), published / digit):
        return "rounds to it"
    if math.isclose(math.floor(ours / digit), published / digit):
        return "rounds to it (cut off)"
    verdict = f"within {math.ceil(1000 * abs(ours / published - 1)) / 10:g} %"
    return f"{verdict}: {figure.why}" if figure.why else verdict


def _as_printed(ours: float, published: str) -> str:
    """Ours in the unit of the published figure, with two digits more; a whole number in full."""
    unit = published[-1] if published[-1] in "kMG%" else ""
    if not unit:
        return f"{ours:,.0f}"
    decimals = len(published.partition(".")[2].rstrip(" kMG%"))
    return f"{ours / UNITS[unit]:,.{decimals + 2}f} {unit}"


# -- quantities


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


def _count(of: Callable[[Layer, Any], int]) -> Callable[[Network], float]:
    return lambda network: sum(of(layer, cost) for layer, cost in layer_costs(network))


def _kernel_values(network: Network) -> float:
    return sum(values for _, values, _ in _kernels(network))


def _kernels_and_dense_bias(network: Network) -> float:
    return _kernel_values(network) + sum(layer.shape[-1] for layer in network if isinstance(layer, Dense))


def _share(what: Literal["values", "macs"], kind: Kind) -> Callable[[Network], float]:
    def share(network: Network) -> float:
        amounts = [(found, values if what == "values" else macs) for found, values, macs in _kernels(network)]
        return sum(amount for found, amount in amounts if found == kind) / sum(amount for _, amount in amounts)

    return share


def _bottlenecks(network: Network) -> float:
    return sum(layer.name.endswith("_bneck_project") for layer in network)


KINDS: tuple[Kind, ...] = ("1x1", "conv", "depthwise", "dense")
QUANTITIES: dict[str, Callable[[Network], float]] = {
    "params": _count(lambda layer, cost: cost.params),  # as Keras counts them, running statistics included
    "trainable_params": _count(lambda layer, cost: cost.trainable),
    "weights_bytes": _count(lambda layer, cost: 4 * cost.params),  # as a float checkpoint holds them
    "weights_and_momentum_bytes": _count(lambda layer, cost: 8 * cost.params),
    "kernels": _kernel_values,  # no bias, no batch norm
    "kernels_and_dense_bias": _kernels_and_dense_bias,
    "deployed_params": lambda network: estimate(network).deployed_params,  # batch norm folded
    "macs": _count(lambda layer, cost: cost.macs),
    "arena_head_bytes": lambda network: estimate(network).arena_head_bytes,
    "bottlenecks": _bottlenecks,
    **{f"kernels_share_{kind}": _share("values", kind) for kind in KINDS},
    **{f"macs_share_{kind}": _share("macs", kind) for kind in KINDS},
}
