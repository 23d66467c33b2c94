"""Writes a network down: every method appends layers and returns the name of the tensor that comes out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from dse.errors import NetworkError
from dse.network.layers import (
    Activate,
    Add,
    AvgPool,
    BatchNorm,
    ChannelShuffle,
    Concat,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Input,
    Layer,
    MaxPool,
    Multiply,
    Network,
    Order,
    Padding,
    Shape,
    window_output,
)


class NetworkBuilder:
    """Writes a network down layer by layer; `where` names the place for messages and layer names."""

    def __init__(self, input_shape: Shape) -> None:
        self.layers: list[Layer] = [Input("input", (), input_shape)]
        self.shapes: dict[str, Shape] = {"input": input_shape}
        self.where = ""

    def network(self) -> Network:
        """What has been written so far."""
        return Network(tuple(self.layers))

    @contextmanager
    def at(self, where: str) -> Iterator[None]:
        """Names layers and errors after a place such as 'stage1_0_bneck'."""
        before, self.where = self.where, where
        try:
            yield
        finally:
            self.where = before

    def channels(self, tensor: str) -> int:
        """Channels of a tensor."""
        return self.shapes[tensor][-1]

    def conv(
        self,
        x: str,
        name: str,
        filters: int,
        kernel: int | tuple[int, int] = 1,
        stride: int = 1,
        groups: int = 1,
        padding: Padding = "same",
        activation: str = "none",
        batch_norm: bool = True,
        bias: bool | None = None,
        order: Order = "norm_first",
    ) -> str:
        """Convolution, batch norm, activation; a bias where there is no batch norm, unless `bias` says otherwise."""
        size = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        for what, count in (("input", self.channels(x)), ("output", filters)):
            if count % groups:
                raise NetworkError(self.where, f"groups {groups} do not divide {count} {what} channels of {name!r}")
        shape = (*self._window(x, name, size, stride, padding), filters)
        has_bias = not batch_norm if bias is None else bias
        y = self._append(Conv2D, x, name, shape, size, stride, groups, padding, has_bias)
        return self._finish(y, name, activation, batch_norm, order)

    def depthwise(
        self,
        x: str,
        name: str,
        kernel: int,
        stride: int = 1,
        multiplier: int = 1,
        padding: Padding = "same",
        activation: str = "none",
        batch_norm: bool = True,
    ) -> str:
        """Depthwise convolution, then batch norm (else a bias), then the activation."""
        shape = (*self._window(x, name, (kernel, kernel), stride, padding), self.channels(x) * multiplier)
        y = self._append(DepthwiseConv2D, x, name, shape, (kernel, kernel), stride, multiplier, padding, not batch_norm)
        return self._finish(y, name, activation, batch_norm)

    def activate(self, x: str, name: str, function: str) -> str:
        """The activation, or nothing for 'none'."""
        return x if function == "none" else self._append(Activate, x, name, self.shapes[x], function)

    def add(self, x: str, y: str, name: str = "add") -> str:
        """The sum of two tensors of one shape."""
        if self.shapes[x] != self.shapes[y]:
            raise NetworkError(self.where, f"cannot add {self.shapes[x]} and {self.shapes[y]}")
        return self._append(Add, (x, y), name, self.shapes[x])

    def multiply(self, x: str, gate: str, name: str) -> str:
        """A tensor times a gate per channel."""
        return self._append(Multiply, (x, gate), name, self.shapes[x])

    def concat(self, tensors: list[str], name: str = "concat") -> str:
        """Tensors of one height and width side by side."""
        height, width, _ = self.shapes[tensors[0]]
        return self._append(Concat, tuple(tensors), name, (height, width, sum(self.channels(t) for t in tensors)))

    def max_pool(self, x: str, name: str, kernel: int, stride: int, padding: Padding = "same") -> str:
        """Max pooling."""
        shape = (*self._window(x, name, (kernel, kernel), stride, padding), self.channels(x))
        return self._append(MaxPool, x, name, shape, (kernel, kernel), stride, padding)

    def avg_pool(self, x: str, name: str, kernel: int, stride: int, padding: Padding = "same") -> str:
        """Average pooling."""
        shape = (*self._window(x, name, (kernel, kernel), stride, padding), self.channels(x))
        return self._append(AvgPool, x, name, shape, (kernel, kernel), stride, padding)

    def global_avg_pool(self, x: str, name: str, keep_dims: bool) -> str:
        """The mean over height and width."""
        channels = self.channels(x)
        return self._append(GlobalAvgPool, x, name, (1, 1, channels) if keep_dims else (channels,))

    def flatten(self, x: str, name: str) -> str:
        """All values in one axis."""
        return self._append(Flatten, x, name, (math.prod(self.shapes[x]),))

    def shuffle(self, x: str, groups: int) -> str:
        """Channel shuffle; nothing for one group, or for one channel per group, which it would leave in place."""
        if groups in (1, self.channels(x)):
            return x
        if self.channels(x) % groups:
            raise NetworkError(self.where, f"groups {groups} do not divide {self.channels(x)} channels")
        return self._append(ChannelShuffle, x, "shuffle", self.shapes[x], groups)

    def dropout(self, x: str, rate: float) -> str:
        """Dropout; nothing for rate 0."""
        return self._append(Dropout, x, "dropout", self.shapes[x], rate) if rate else x

    def dense(self, x: str, name: str, units: int) -> str:
        """A fully connected layer with bias."""
        return self._append(Dense, x, name, (units,))

    def squeeze_excite(self, x: str, squeeze_channels: int, bias: bool = True) -> str:
        """Channels scaled by what their global means say (Hu et al.; hard sigmoid as in MobileNetV3); 0 for none."""
        if not squeeze_channels:
            return x
        y = self.global_avg_pool(x, "se_pool", keep_dims=True)
        y = self.conv(y, "se_reduce", squeeze_channels, activation="relu", batch_norm=False, bias=bias)
        y = self.conv(y, "se_expand", self.channels(x), activation="hard_sigmoid", batch_norm=False, bias=bias)
        return self.multiply(x, y, "se_scale")

    def _window(self, x: str, name: str, kernel: tuple[int, int], stride: int, padding: Padding) -> tuple[int, int]:
        height, width, _ = self.shapes[x]
        if stride > 1 and (height == 1 or width == 1):
            raise NetworkError(self.where, f"stride {stride} below 1x1: {name!r} gets a {height}x{width} input")
        out = (
            window_output(height, kernel[0], stride, padding),
            window_output(width, kernel[1], stride, padding),
        )
        if min(out) < 1:
            raise NetworkError(
                self.where, f"kernel {kernel[0]}x{kernel[1]} of {name!r} is larger than its {height}x{width} input"
            )
        return out

    def _finish(self, y: str, name: str, activation: str, batch_norm: bool, order: Order = "norm_first") -> str:
        if order == "activation_first":
            y = self.activate(y, f"{name}_{activation}", activation)
        if batch_norm:
            y = self._append(BatchNorm, y, f"{name}_bn", self.shapes[y])
        return y if order == "activation_first" else self.activate(y, f"{name}_{activation}", activation)

    def _append(self, kind: type[Layer], inputs: str | tuple[str, ...], name: str, shape: Shape, *rest: object) -> str:
        full = f"{self.where}_{name}" if self.where else name
        if full in self.shapes:
            raise AssertionError(f"two layers are called {full}")
        self.layers.append(kind(full, (inputs,) if isinstance(inputs, str) else inputs, shape, *rest))
        self.shapes[full] = shape
        return full
