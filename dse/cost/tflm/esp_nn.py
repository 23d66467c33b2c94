"""Buffers that the kernels of ESP-NN ask for in the arena's head while they run, for int8.

From the sources alone, esp_nn_get_*_scratch_size of espressif/esp-nn at d45b843ca5f8 and which of them
tensorflow/lite/micro/kernels/esp_nn of espressif/esp-tflite-micro at 99f49e1498b0 asks for; two models on an ESP32,
whose plain C kernels ask for next to nothing, took what follows from it. An ESP32-S3 copies images and filters to pad
them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from dse.cost.tflm.build import Build
from dse.cost.tflm.graph import Operator, Tensor, padding_of
from dse.cost.tflm.structs import up

L1_BUDGET = 32768  # bytes of the data cache that an ESP32-P4 works in
WHOLE_IMAGE, WHOLE_WIDE = 40 * 1024, 48 * 1024  # bytes, up to which an ESP32-S3 takes an image at once

Tensors = Sequence[Tensor]


def esp_nn_scratch(operator: Operator, tensors: Tensors, build: Build) -> tuple[int, ...] | None:
    """Bytes of the buffer of an operator; None where ESP-NN has no kernel, or none that asks."""
    if operator.kind not in OF_KIND or tensors[operator.inputs[0]].type != "INT8":
        return None
    size = OF_KIND[operator.kind](operator, tensors, build)
    return (size,) if size > 0 else ()


def _softmax(operator: Operator, tensors: Tensors, build: Build) -> int:
    shape = tensors[operator.inputs[0]].shape
    return 4 * shape[1] if len(shape) > 1 else 4


def _convolution(operator: Operator, tensors: Tensors, build: Build) -> int:
    if build.core not in ("s3", "p4"):
        return 0
    source, weights, output = (tensors[index] for index in (*operator.inputs[:2], operator.outputs[0]))
    down, left = padding_of(operator, source, weights, output)
    _, height, width, channels = source.shape
    _, rows, columns, _ = weights.shape
    _, out_height, out_width, kernels = output.shape
    one = _Convolution(
        height, width, channels, rows, columns, out_height, out_width, kernels, down, left, *operator.stride
    )
    return _s3(one) if build.core == "s3" else _p4(one)


class _Convolution(NamedTuple):
    height: int  # of the image
    width: int
    channels: int
    rows: int  # of the window
    columns: int
    out_height: int
    out_width: int
    kernels: int
    down: int  # padding at the beginning
    left: int
    step_down: int
    step_across: int

    @property
    def is_pixel(self) -> bool:
        return (self.rows, self.columns, self.step_down, self.step_across) == (1, 1, 1, 1) and not self.is_padded

    @property
    def is_padded(self) -> bool:
        return bool(self.down or self.left)

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width of the image with its padding on both sides."""
        return self.height + 2 * self.down, self.width + 2 * self.left


def _pixel(height: int, width: int, channels: int, kernels: int) -> int:
    """A 1x1 convolution: an image with more channels, filters with more, and a buffer to turn eight pixels."""
    wide = up(channels, 8)
    image = height * width * wide if channels % 8 else 0
    return image + wide * kernels + (16 * wide if height * width >= 8 else 0)


def _s3(one: _Convolution) -> int:
    height, width, channels, rows, columns, _, _, kernels, *_ = one
    if one.is_pixel:
        return _pixel(height, width, channels, kernels) + 64
    line, size = columns * channels, rows * columns * channels
    if line < 16 <= size:
        return kernels * 4 + 16 + kernels * up(size, 16) + 16 + up(size, 16) + 64
    padded = math.prod(one.padded) * channels if one.is_padded else 0
    filters = rows * columns * up(channels, 16) * kernels + up(line, 16) * rows * kernels
    right = max(0, one.out_width * one.step_across + columns - 1 - width)
    below = max(0, one.out_height * one.step_down + rows - 1 - height)
    border = (width + right) * (height + below) * channels if right or below else 0
    return padded + filters + border + 64 + kernels * 4


def _p4(one: _Convolution) -> int:
    height, width, channels, rows, columns, _, _, kernels, *_ = one
    if one.is_pixel:
        if channels < 16:
            return kernels * 4 + 16 * kernels + 32 + 32
        return _pixel(height, width, channels, kernels) + 32
    sums = 4 * kernels + 32
    if not one.is_padded and columns * channels >= 16:
        return rows * columns * up(channels, 16) * kernels + sums
    if rows * columns * channels >= 16:
        return rows * columns * channels + sums
    wide = up(-(-16 // columns), 16)
    if not one.is_padded:
        return rows * columns * wide * kernels + height * width * wide + sums
    _, across = one.padded
    whole = math.prod(one.padded) * channels
    if whole + 4 * kernels <= L1_BUDGET:
        return whole + rows * columns * up(channels, 16) * kernels + sums
    # By strips: such a window has fewer than 16 values, so its lines are widened too.
    filters, line = rows * columns * wide * kernels, across * wide
    room = L1_BUDGET - 4 * kernels - filters
    tall = min(one.out_height, (room - rows * line) // (one.step_down * line) + 1) if rows * line <= room else 1
    return ((tall - 1) * one.step_down + rows + 2 * one.down) * line + filters + sums


def _depthwise(operator: Operator, tensors: Tensors, build: Build) -> int:
    if build.core != "s3":
        return 0
    source, weights, output = (tensors[index] for index in (*operator.inputs[:2], operator.outputs[0]))
    down, left = padding_of(operator, source, weights, output)
    _, height, width, channels = source.shape
    _, rows, columns, kernels = weights.shape
    multiplier = kernels // channels
    (out_height, out_width), (step_down, step_across) = output.shape[1:3], operator.stride
    filters, image = rows * columns * kernels, height * width * channels
    more = max(0, out_height * step_down + rows - 1 - height), max(0, out_width * step_across + columns - 1 - width)
    if multiplier == 1 and channels % 8 == 0:
        if (rows, columns) != (3, 3):
            wide = 2 * (filters + image)
            return wide + 32 if wide <= WHOLE_WIDE else 2 * filters + 2 * width * rows * channels + 32
        if channels % 16 == 0:
            below, right = (2 * down, 2 * left) if down or left else more
            if not below and not right:
                return filters + 16
            padded = (width + right) * (height + below) * channels
            return filters + (padded if padded <= WHOLE_IMAGE else (width + right) * rows * channels) + 16
        if channels >= 12:
            wide = up(channels, 16)
            padded = (width + 2 * left + more[1]) * (height + 2 * down + more[0]) * wide
            return 9 * wide + padded + out_width * out_height * wide + 64
        return 2 * (filters + image) + 32
    if multiplier == 1 and channels > 3:
        wide = up(channels, 8)
        end = up(2 * rows * columns * wide, 16) + 2 * height * width * wide
        end = up(up(end, 16) + out_width * out_height * wide, 16)
        return end + 12 * wide + 16
    return 2 * (filters + image) + 32 if multiplier % 4 == 0 else 32


OF_KIND: dict[str, Callable[[Operator, Tensors, Build], int]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "SOFTMAX": _softmax,
}
