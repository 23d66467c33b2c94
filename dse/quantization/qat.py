"""Fine-tuning with int8's rounding in the loop, for what is lost when a trained network is only converted.

Batch norm is folded into the convolution before it, as the converter does; kernels and biases are then trained as
they deploy, with rounded kernels, and every activation is rounded where the deployed network has a tensor. The
paper lowering says where that is, so the file has the operators, the memory and the forms of an ordinary export;
only weights and scales differ. Ranges begin at the least and the largest value over the calibration images, as
without fine-tuning, and are learned.

Tensors that an operator keeps at one scale (pooling, concatenation, reshaping) have one range together. The range of
the image is fixed to [0, 1], and so is that of everything which such an operator ties to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from dse.cost.tflm.lowering import Lowering
from dse.data.images import Images
from dse.errors import ExportError, FileError
from dse.network.candidate import Candidate
from dse.network.layers import (
    Activate,
    BatchNorm,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Layer,
    Network,
)
from dse.network.training import QatSettings
from dse.quantization.convert import converter_of, run_converter
from dse.quantization.fake_quant import (
    Factor,
    FixedRange,
    LearnedRange,
    Offset,
    RoundedConv2D,
    RoundedDense,
    RoundedDepthwiseConv2D,
    RoundedSplitConv2D,
    as_rounded,
    nudged,
)
from dse.tflite.writer import for_device
from dse.training.context import TrainingContext
from dse.training.loop import train
from dse.training.model import BN_EPSILON, BUILDERS, FUNCTIONS, MISH_SCALE, MISH_SHIFT, Builder

OBSERVED_AT_ONCE = 25  # images whose activations are all kept in memory
ONE_SCALE = ("CONCATENATION", "MAX_POOL_2D", "AVERAGE_POOL_2D", "RESHAPE", "TRANSPOSE")
UNCHANGED = ("MAX_POOL_2D", "RESHAPE", "TRANSPOSE")  # values that are at the steps of their range already
IMAGE_RANGE = (0.0, 1.0)
LOGISTIC_RANGE = (0.0, 255 / 256)  # the scale that LOGISTIC always has
DEAD_RANGE = (0.0, 1.0)  # of what was zero in all calibration images
WITH_KERNEL = (Conv2D, DepthwiseConv2D, Dense)

Place = Callable[[str, Any], Any]  # gets the name of a tensor as it deploys, and its values; returns them rounded


class Deployed:
    """Where the tensors of the deployed network are in the network, and which of them have one range together."""

    def __init__(self, network: Network) -> None:
        lowering = Lowering(network)
        self.image = network.layers[0].name
        self.producer = {operator.output: operator for operator in lowering.operators}
        layers = {layer.name: layer for layer in network}
        norms = [layer for layer in network if isinstance(layer, BatchNorm)]
        self.folded = {norm.inputs[0]: norm for norm in norms if isinstance(layers[norm.inputs[0]], WITH_KERNEL)}
        self.ends: dict[str, str] = {}  # tensor -> the last layer that computes it
        for layer in network:
            tensor = lowering.tensor[layer.name]
            if isinstance(layer, Dropout | Flatten | GlobalAvgPool) and tensor == lowering.tensor[layer.inputs[0]]:
                continue
            if isinstance(layer, Activate) and layer.function == "hard_sigmoid":
                self.ends[self.sixfold(layer)] = layer.name  # which is placed within the layer
            self.ends[tensor] = layer.name
        self.tensor_after = {layer: tensor for tensor, layer in self.ends.items()}
        self.group = {tensor: tensor for tensor in (self.image, *self.producer)}
        for operator in lowering.operators:
            if operator.kind in ONE_SCALE:
                for tensor in operator.inputs:
                    if tensor in self.group:
                        self._unite(tensor, operator.output)

    def sixfold(self, layer: Activate) -> str:
        """The tensor relu6(x + 3) of a hard sigmoid."""
        return self.producer[f"{layer.name}/sixth"].inputs[0]

    def kind(self, tensor: str) -> str:
        """The operator that writes a tensor; none writes the image."""
        return self.producer[tensor].kind if tensor in self.producer else ""

    def _unite(self, one: str, other: str) -> None:
        kept, gone = self.group[one], self.group[other]
        if gone == self.group[self.image]:
            kept, gone = gone, kept
        for tensor, group in self.group.items():
            if group == gone:
                self.group[tensor] = kept


class QatBuilder(Builder):
    """Reads a network as it deploys: without batch norm, and with `place` called for every tensor."""

    def __init__(self, network: Network, place: Place, *, rounded: bool = False, for_conversion: bool = False) -> None:
        self.deployed, self.place, self.rounded = Deployed(network), place, rounded
        if rounded:
            self.convolution, self.split_convolution = RoundedConv2D, RoundedSplitConv2D
            self.depthwise_convolution, self.fully_connected = RoundedDepthwiseConv2D, RoundedDense
        super().__init__(network, seed=0, for_conversion=for_conversion)

    def build(self, layer: Layer, *inputs: Any) -> Any:
        x = QAT_BUILDERS[type(layer)](self, layer, *inputs)
        tensor = self.deployed.tensor_after.get(layer.name)
        return self.place(tensor, x) if tensor else x

    def conv2d(self, layer: Conv2D, x: Any) -> Any:
        return super().conv2d(replace(layer, bias=self._bias(layer)), x)

    def depthwise(self, layer: DepthwiseConv2D, x: Any) -> Any:
        return super().depthwise(replace(layer, bias=self._bias(layer)), x)

    def _bias(self, layer: Conv2D | DepthwiseConv2D) -> bool:
        return layer.bias or layer.name in self.deployed.folded or self.for_conversion  # every file has one

    def batch_norm(self, layer: BatchNorm, x: Any) -> Any:
        if layer.inputs[0] in self.deployed.folded:
            return x
        x = Factor(layer.shape[-1], self.rounded, name=f"{layer.name}_factor")(x)
        x = self.place(f"{layer.name}/scaled", x)
        return Offset(layer.shape[-1], self.rounded, name=f"{layer.name}_offset")(x)

    def activate(self, layer: Activate, x: Any) -> Any:
        match layer.function:
            case "mish":
                scaled = self.place(f"{layer.name}/scale", x * MISH_SCALE)
                shifted = self.place(f"{layer.name}/shift", scaled + MISH_SHIFT)
                return x * self.place(f"{layer.name}/gate", keras.ops.sigmoid(shifted))
            case "hard_sigmoid":
                return self.place(self.deployed.sixfold(layer), keras.ops.relu6(x + 3.0)) * (1.0 / 6.0)
            case "relu" | "relu6" | "hswish":
                return keras.layers.Activation(FUNCTIONS[layer.function], name=layer.name)(x)
            case other:
                raise AssertionError(f"no deployed form of activation {other!r}")


# What deploys otherwise than it trains; all else is read as ever.
QAT_BUILDERS: dict[type[Layer], Callable[..., Any]] = BUILDERS | {
    Conv2D: QatBuilder.conv2d,
    DepthwiseConv2D: QatBuilder.depthwise,
    BatchNorm: QatBuilder.batch_norm,
    Activate: QatBuilder.activate,
}


def fine_tune(
    candidate: Candidate,
    trained: keras.Model,
    data: Images,
    context: TrainingContext,
    *,
    settings: QatSettings | None = None,
    calibration: np.ndarray,
) -> keras.Model:
    """A model that computes as int8 does, fine-tuned from a trained one, for `to_int8_qat`. Raises TrialError."""
    settings = settings or QatSettings()
    model = rounding_model(candidate, trained, calibration)
    # No decay of the weights: it was meant for kernels that batch norm brings to one size.
    training = candidate.training.model_copy(
        update={
            "epochs": settings.epochs,
            "learning_rate": settings.learning_rate,
            "batch_size": settings.batch_size,
            "optimizer": "adam",
            "schedule": "cosine",
            "warmup": 0.0,
            "weight_decay": 0.0,
            "ema": 0.0,
        }
    )
    train(model, data, training, context)
    return model


def rounding_model(candidate: Candidate, trained: keras.Model, calibration: np.ndarray) -> keras.Model:
    """A trained model as it computes in int8 before any fine-tuning; `calibration` sets the ranges."""
    network = candidate.network
    deployed = Deployed(network)
    learned: dict[str, LearnedRange] = {}

    def place(tensor: str, x: Any) -> Any:
        group = deployed.group[tensor]
        if deployed.kind(tensor) in UNCHANGED:
            return x
        if group == deployed.image:
            return FixedRange(*IMAGE_RANGE)(x)
        if deployed.kind(tensor) == "LOGISTIC":
            return FixedRange(*LOGISTIC_RANGE)(x)
        if group not in learned:
            learned[group] = LearnedRange(name=range_name(group))
        return learned[group](x)

    model = QatBuilder(network, place, rounded=True).model()
    weights = folded_weights(network, trained)
    for name, values in weights.items():
        model.get_layer(name).set_weights(values)
    for group, ends in observed_ranges(network, weights, calibration).items():
        if group in learned:
            learned[group].set_start(*ends)
    return model


def range_name(group: str) -> str:
    """The layer that holds the range of a group."""
    return layer_name(group) + "_range"


def layer_name(tensor: str) -> str:
    """The name of a tensor as Keras takes it."""
    return tensor.replace("/", "_")


def folded_weights(network: Network, trained: keras.Model) -> dict[str, list[np.ndarray]]:
    """The weights of a trained model without batch norm, by the layer that has them in a `QatBuilder`'s model."""
    deployed = Deployed(network)
    weights: dict[str, list[np.ndarray]] = {}
    for layer in network:
        if isinstance(layer, BatchNorm) and layer.inputs[0] not in deployed.folded:
            factor, offset = _factor_and_offset(trained.get_layer(layer.name))
            weights[f"{layer.name}_factor"], weights[f"{layer.name}_offset"] = [factor], [offset]
        elif isinstance(layer, WITH_KERNEL):
            kernel, *bias = (np.asarray(value) for value in trained.get_layer(layer.name).get_weights())
            if norm := deployed.folded.get(layer.name):
                factor, offset = _factor_and_offset(trained.get_layer(norm.name))
                # The output channels of a depthwise kernel are its last two axes.
                shape = kernel.shape[-2:] if isinstance(layer, DepthwiseConv2D) else kernel.shape[-1:]
                kernel = kernel * factor.reshape(shape)
                bias = [offset + (factor * bias[0] if bias else 0)]
            weights[layer.name] = [kernel, *bias]
    return weights


def _factor_and_offset(norm: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    gamma, beta, mean, variance = norm.get_weights()
    factor = gamma / np.sqrt(variance + BN_EPSILON)
    return factor, beta - mean * factor


def observed_ranges(
    network: Network, weights: dict[str, list[np.ndarray]], calibration: np.ndarray
) -> dict[str, tuple[float, float]]:
    """The least and the largest value of every group of tensors, with zero between them."""
    deployed = Deployed(network)
    seen: list[tuple[str, Any]] = []

    def place(tensor: str, x: Any) -> Any:
        seen.append((deployed.group[tensor], x))
        return x

    builder = QatBuilder(network, place)
    model = keras.Model(builder.images, [x for _, x in seen])
    for name, values in weights.items():
        model.get_layer(name).set_weights(values)
    ranges: dict[str, tuple[float, float]] = {}
    for start in range(0, len(calibration), OBSERVED_AT_ONCE):
        outputs = model(calibration[start : start + OBSERVED_AT_ONCE], training=False)
        for (group, _), values in zip(seen, map(keras.ops.convert_to_numpy, outputs), strict=True):
            low, high = ranges.get(group, (0.0, 0.0))
            ranges[group] = min(low, float(values.min())), max(high, float(values.max()))
    return {group: ends if ends[0] < ends[1] else DEAD_RANGE for group, ends in ranges.items()}


def to_int8_qat(candidate: Candidate, tuned: keras.Model) -> bytes:
    """A full-integer TFLite file as it is flashed, of a model from `fine_tune`. Raises ExportError."""
    try:
        return for_device(as_converted_qat(candidate, tuned))
    except FileError as error:
        raise ExportError(str(error)) from None


def as_converted_qat(candidate: Candidate, tuned: keras.Model) -> bytes:
    """The same file as the converter writes it. Raises ExportError."""
    import tensorflow as tf

    converter = converter_of(for_conversion_qat(candidate, tuned))
    # Ranges are in the model. Asked for int8 operators only, the converter would want images to find them itself.
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return run_converter(converter)


def for_conversion_qat(candidate: Candidate, tuned: keras.Model) -> keras.Model:
    """A copy of a tuned model in the form that the converter wants.

    Its kernels are constants that are rounded already, from which the converter finds the same scales: it cannot read
    a range per channel on those of a fully connected layer.
    """
    deployed = Deployed(candidate.network)

    def place(tensor: str, x: Any) -> Any:
        group = deployed.group[tensor]
        if deployed.kind(tensor) in (*UNCHANGED, "LOGISTIC"):
            return x
        low, high = IMAGE_RANGE
        if group != deployed.image:
            low, high = keras.ops.convert_to_numpy(tuned.get_layer(range_name(group)).ends()).tolist()
        return FixedRange(*nudged(low, high), name=layer_name(tensor) + "_rounded")(x)

    model = QatBuilder(candidate.network, place, for_conversion=True).model()
    for layer in model.layers:
        if layer.weights:
            values, *bias = as_rounded(tuned.get_layer(layer.name))
            if len(layer.weights) > 1:
                bias = [uneven(bias[0] if bias else np.zeros(layer.bias.shape, np.float32))]
            layer.set_weights([values, *bias])
    return model


def float_model_qat(candidate: Candidate, tuned: keras.Model) -> keras.Model:
    """The tuned network without any rounding, in the form that the converter wants: what int8 is compared with."""
    model = QatBuilder(candidate.network, lambda tensor, x: x, for_conversion=True).model()
    for layer in model.layers:
        if layer.weights:
            values, *bias = tuned.get_layer(layer.name).get_weights()
            layer.set_weights([values, *(bias or [np.zeros(weight.shape, np.float32) for weight in layer.weights[1:]])])
    return model


def uneven(bias: np.ndarray) -> np.ndarray:
    """The bias, with its first value moved by far less than a step of int32 where all are equal.

    The converter takes equal values for one, and gives all of them the scale of the first channel.
    """
    return bias + 1e-6 * (np.arange(len(bias)) == 0) if np.ptp(bias) == 0 else bias
