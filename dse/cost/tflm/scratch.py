"""Buffers that a TFLM kernel asks for in the arena's head while it runs.

Of the reference kernels it is exact, and of those of CMSIS-NN for int8 on a Cortex-M with or without DSP: 45 models on
an emulated board take what is computed here. For MVE (Cortex-M55, M85) it follows from the same sources alone.

Sources: tensorflow/lite/micro/kernels/cmsis_nn of tensorflow/tflite-micro at 90b983c2b3f1 (which buffers), and the
functions arm_*_get_buffer_size of ARM-software/CMSIS-NN at 4ab83cc3cc98 and 99f736a63036 (of what size).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dse.cost.tflm.build import Build
from dse.cost.tflm.esp_nn import esp_nn_scratch
from dse.cost.tflm.graph import Operator, Tensor, padding_of
from dse.cost.tflm.structs import up

WORD = 4  # bytes of what most of them hold: int32
SUMMING = ("MEAN", "SUM")
REDUCING = (*SUMMING, "REDUCE_MAX", "REDUCE_MIN", "REDUCE_ALL")
CH_IN_BLOCK_MVE = 124  # channels that a depthwise convolution takes at a time; arm_nnsupportfunctions.h
FEW_CHANNELS = 8  # up to which one of one channel stays one, with gcc
SHORT_STRIDE, REVERSED_FROM = 2, 16  # of a transposed convolution that is computed as a plain one; input channels

CELL_STATE = 19  # the input of a UNIDIRECTIONAL_SEQUENCE_LSTM; lstm_shared.h

Tensors = Sequence[Tensor]


def scratch_bytes(operator: Operator, tensors: Tensors, build: Build) -> tuple[int, ...]:
    """Bytes of each buffer, in the order in which the kernel of a build asks; of most kernels none.

    The planner takes such a buffer as one more tensor, alive during its operator alone and numbered after all others.
    """
    if build.kernels == "cmsis-nn" and operator.kind in CMSIS_NN:
        return CMSIS_NN[operator.kind](operator, tensors, build)
    if build.kernels == "esp-nn" and (asked := esp_nn_scratch(operator, tensors, build)) is not None:
        return asked
    return _reference(operator, tensors, build)


def _reference(operator: Operator, tensors: Tensors, build: Build) -> tuple[int, ...]:
    """Reductions ask for a sum per output value, an index per axis of the input, and the axes (kernels/reduce_common.cc
    below tensorflow/lite/micro); a transposed convolution asks for its output in 32 bits, or 64 where that has 16
    (kernels/transpose_conv.cc).
    """
    if operator.kind == "TRANSPOSE_CONV":
        output = tensors[operator.outputs[0]]
        wide = {"INT8": WORD, "INT16": 2 * WORD}.get(output.type)
        return (wide * output.num_elements,) if wide else ()
    if operator.kind == "MIRROR_PAD":  # kernels/mirror_pad.cc: two numbers for each axis
        return (WORD * len(tensors[operator.inputs[0]].shape),) * 2
    if operator.kind == "SVDF":  # kernels/svdf_common.cc: a number for each filter, in int8 another for each output
        filters, output = tensors[operator.inputs[1]].shape[0], tensors[operator.outputs[0]]
        batch = tensors[operator.inputs[0]].shape[0]
        each = (WORD * batch * filters,)
        return (*each, WORD * output.num_elements) if tensors[operator.inputs[0]].type == "INT8" else each
    if operator.kind == "UNIDIRECTIONAL_SEQUENCE_LSTM":  # that of CMSIS-NN takes three, where it is not for float
        state = tensors[operator.inputs[CELL_STATE]]
        return (state.num_bytes,) * (3 if build.kernels == "cmsis-nn" and state.type == "INT16" else 4)
    if operator.kind == "ADD_N":  # kernels/add_n.cc: where each of them lies
        return (build.pointer_bytes * len(operator.inputs),)
    if operator.kind not in REDUCING:
        return ()
    source, axes = (tensors[index] for index in operator.inputs[:2])
    indices = (WORD * len(source.shape), WORD * axes.num_elements)
    if operator.kind in SUMMING and source.type in ("INT8", "INT16"):
        return (WORD * tensors[operator.outputs[0]].num_elements, *indices)
    return indices


def _convolution(operator: Operator, tensors: Tensors, build: Build) -> tuple[int, ...]:
    """kernels/cmsis_nn/conv.cc; arm_convolve_get_buffer_sizes_s8.c, _s16.c: windows of the image, side by side."""
    source, weights, output = _of_kernel(operator, tensors)
    _, height, width, depth = weights.shape
    channels = source.shape[-1]
    window = height * width * channels
    if source.type == "INT16":
        # Older biases of 32 bits are for the reference kernel.
        bias = operator.inputs[2] if len(operator.inputs) > 2 else -1
        if bias >= 0 and tensors[bias].type != "INT64":
            return ()
        return (4 * 8 * -(-window // 8) * 2 if build.core == "mve" else 2 * window * 2,)
    if source.type != "INT8":
        return ()
    wide = _windows(window, build)
    is_plain = operator.dilation == (1, 1) and channels == depth
    if (height, width) == (1, 1) and is_plain and not any(padding_of(operator, source, weights, output)):
        # The version of June unrolled windows with MVE where the stride is not 1.
        return (wide,) if build.core == "mve" and operator.stride != (1, 1) else ()
    is_line = source.shape[1] == height == operator.dilation[1] == 1 and channels == depth
    if build.core == "mve" and is_line and operator.stride[1] * channels % 4 == 0:
        return (_line(operator, source, weights, output) or wide,)
    return (wide,)


def _windows(size: int, build: Build) -> int:
    """Bytes of the windows of an image that are unrolled at a time: four in 8 bits with MVE, else two in 16."""
    return 4 * up(size, 16) if build.core == "mve" else 2 * up(size, 4) * 2


def _line(operator: Operator, source: Tensor, weights: Tensor, output: Tensor) -> int:
    """arm_convolve_1_x_n_s8_get_buffer_size_mve; 0 where it is for windows."""
    width, stride, channels = weights.shape[2], operator.stride[1], source.shape[-1]
    pad = padding_of(operator, source, weights, output)[1]
    odd = ((output.shape[2] - 1) * stride + width - source.shape[2]) % 2
    left = max(1, -(-pad // stride)) if pad else 0
    right = max(1, -(-(pad + odd) // stride)) if pad + odd else 0
    if left + right > output.shape[2]:
        return 0
    beside = right if odd else pad
    return channels * max(width + pad, width - 1 + beside)


def _depthwise(operator: Operator, tensors: Tensors, build: Build) -> tuple[int, ...]:
    """kernels/cmsis_nn/depthwise_conv.cc; arm_depthwise_conv_get_buffer_sizes_s8.c."""
    source, weights, output = _of_kernel(operator, tensors)
    _, height, width, channels = weights.shape
    if source.type != "INT8" or build.core == "plain":
        return ()
    if build.core == "mve" and source.shape[-1] == 1 and channels > FEW_CHANNELS:
        # As a convolution with its weights turned.
        window = -(-height * width // 16)
        return (4 * 16 * window + height * width * channels,)
    if source.shape[-1] != channels or source.shape[0] != 1 or operator.dilation != (1, 1):
        return ()
    if build.core == "mve":
        return (4 * CH_IN_BLOCK_MVE * height * width,)
    if (height, width) == (3, 3) and max(padding_of(operator, source, weights, output)) <= 1:
        return ()
    return (2 * channels * height * width,)


def _average_pool(operator: Operator, tensors: Tensors, build: Build) -> tuple[int, ...]:
    """kernels/cmsis_nn/pooling.cc; arm_avgpool_get_buffer_sizes_s8.c, _s16.c: a sum for every channel."""
    output = tensors[operator.outputs[0]]
    return (WORD * output.shape[-1],) if build.core == "dsp" and output.type in ("INT8", "INT16") else ()


def _fully_connected(operator: Operator, tensors: Tensors, build: Build) -> tuple[int, ...]:
    """kernels/cmsis_nn/fully_connected.cc: as a convolution where its output has more than two axes, for which
    multiplier and shift are written out; with MVE sums of the weights, which `weight_sums` counts where they are known.
    """
    source, weights, output = _of_kernel(operator, tensors)
    if source.type != "INT8":
        return ()
    if is_like_convolution(operator, tensors):
        return (2 * WORD * output.shape[-1],) if weights.num_scales <= 1 else ()
    return (WORD * output.shape[-1],) if build.core == "mve" and not weight_sums(operator, tensors, build) else ()


def _transposed(operator: Operator, tensors: Tensors, build: Build) -> tuple[int, ...]:
    """kernels/cmsis_nn/transpose_conv.cc; arm_transpose_conv_get_buffer_sizes_s8.c: two, of which one may be empty."""
    weights, source, output = (tensors[index] for index in (*operator.inputs[1:3], operator.outputs[0]))
    if source.type != "INT8":
        return _reference(operator, tensors, build)
    _, height, width, _ = weights.shape
    (down, across), window = operator.stride, height * width * source.shape[-1]
    if max(operator.stride) <= SHORT_STRIDE and source.shape[-1] > REVERSED_FROM:
        wide = _windows(window, build)
        return wide, window * weights.shape[0]
    line = ((source.shape[2] - 1) * across + max(width, down)) * output.shape[-1]
    return WORD * line * max(height, down), 0


CMSIS_NN: dict[str, Callable[[Operator, Tensors, Build], tuple[int, ...]]] = {
    "AVERAGE_POOL_2D": _average_pool,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "TRANSPOSE_CONV": _transposed,
}


def weight_sums(operator: Operator, tensors: Tensors, build: Build) -> int:
    """Bytes that FULLY_CONNECTED of CMSIS-NN keeps for good with MVE: a sum of every row of constant weights."""
    is_vector = build.kernels == "cmsis-nn" and build.core == "mve" and operator.kind == "FULLY_CONNECTED"
    if not is_vector or is_like_convolution(operator, tensors):
        return 0
    source, _, output = _of_kernel(operator, tensors)
    constant = all(tensors[index].constant for index in operator.inputs[1:] if index >= 0)
    return WORD * output.shape[-1] if source.type == "INT8" and constant else 0


def is_like_convolution(operator: Operator, tensors: Tensors) -> bool:
    """Whether CMSIS-NN computes a FULLY_CONNECTED as a convolution."""
    _, weights, output = _of_kernel(operator, tensors)
    return len(output.shape) > 2 and weights.shape[-1] % 4 == 0


def _of_kernel(operator: Operator, tensors: Tensors) -> tuple[Tensor, Tensor, Tensor]:
    return tensors[operator.inputs[0]], tensors[operator.inputs[1]], tensors[operator.outputs[0]]
