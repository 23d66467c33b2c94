"""The lowering contract of every block and every activation: what comes of it on the device is what was trained.

Each network is trained for a few epochs on real images, converted, and run over real images in Keras (float), on LiteRT (int8)
and on TensorFlow Lite Micro (int8): briefly on few images every time, on all by `make test-slow`. A block or an
activation without a contract fails the suite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import keras
import numpy as np
import pytest

from dse.cost.report import estimate
from dse.cost.tflm.graph import OperatorGraph
from dse.data.datasets import Data
from dse.data.images import to_float
from dse.network.blocks import ACTIVATIONS, BLOCKS
from dse.network.candidate import Candidate
from dse.network.layers import Activate
from dse.quantization.convert import calibration_set, for_conversion, to_int8
from dse.tflite.deployable import INTEGER_TYPES, MAX_AXES, TFLM_INT8, check_deployable
from dse.tflite.interpreters import TflmResult, end_scales, run_litert, run_tflm
from dse.tflite.reader import read_tflite
from dse.training.context import TrainingContext
from dse.training.loop import train
from dse.training.model import FUNCTIONS, build_model
from tests.helpers.networks import family_space, only_candidate

pytestmark = [pytest.mark.keras, pytest.mark.tflm]

EPOCHS = 3


@dataclass(frozen=True)
class Size:
    """How many images a contract is trained on and run over."""

    train: int
    test: int
    batch_size: int | None = None  # None: as the candidate has it


QUICK, FULL = Size(250, 250, batch_size=25), Size(10**6, 10**6)


@dataclass(frozen=True)
class Lowered:
    """One trained network in all its forms, with its logits on the same images."""

    candidate: Candidate
    history: dict[str, list[float]]
    content: bytes
    graph: OperatorGraph
    exact: np.ndarray  # (count, classes): Keras, float
    litert: np.ndarray  # int8, as real numbers
    tflm: TflmResult


class Contract:
    """What holds for each; a subclass names the block or the activation, and bounds that are its own."""

    block: ClassVar[str] = ""
    activation: ClassVar[str] = ""
    settings: ClassVar[str] = "{}"
    # Of the logits, int8 against float; measured 25.5 to 31.5, and where a class has a bound of its own 21.5 and 22.5. The
    # bounds are lower by 3 dB and more, because training differs between processors.
    least_snr_db: ClassVar[float] = 22.0
    # Of the images whose first class leads the second by more than the error of two logits can take away (2 standard
    # deviations of a difference): after three epochs many others are near ties, which any rounding decides.
    least_same_class: ClassVar[float] = 0.97
    most_steps: ClassVar[int] = 1  # of 256, between TFLM and LiteRT
    operators: ClassVar[frozenset[str]] = frozenset()  # that must be among those of the file

    @pytest.fixture(scope="class", params=[QUICK, pytest.param(FULL, marks=pytest.mark.slow)], ids=["quick", "full"])
    def lowered(self, request: pytest.FixtureRequest, sample_data: Data) -> Lowered:
        size: Size = request.param
        few = sample_data.train.first(size.train)
        candidate = only_candidate(family_space(self.block or "separable", self.settings))
        keras.backend.clear_session()
        model = build_model(candidate.network, seed=1)
        settings = candidate.training.model_copy(update={"epochs": EPOCHS, "learning_rate": 3e-3})
        if size.batch_size:
            settings = settings.model_copy(update={"batch_size": size.batch_size})
        history = train(model, few, settings, TrainingContext(1))
        content = to_int8(for_conversion(candidate, model), calibration_set(few))
        images = sample_data.test.first(size.test).images
        exact = model.predict(to_float(images), batch_size=250, verbose=0)
        _, (scale, zero_point) = end_scales(content)
        litert = scale * (run_litert(content, images, reference=True).astype(float) - zero_point)
        return Lowered(candidate, history, content, read_tflite(content), exact, litert, run_tflm(content, images))

    def test_it_learns(self, lowered: Lowered) -> None:
        assert lowered.history["loss"][-1] < lowered.history["loss"][0]

    def test_it_converts_to_operators_that_tflm_has(self, lowered: Lowered) -> None:
        check_deployable(lowered.content)
        assert set(lowered.graph.counts()) <= TFLM_INT8
        assert self.operators <= set(lowered.graph.counts())

    def test_it_stays_int8_from_end_to_end(self, lowered: Lowered) -> None:
        types = {tensor.type for tensor in lowered.graph.tensors}
        assert types <= INTEGER_TYPES
        ends = (*lowered.graph.inputs, *lowered.graph.outputs)
        assert {lowered.graph.tensors[index].type for index in ends} == {"INT8"}
        wide = [t for t in lowered.graph.tensors if t.type != "INT8" and not t.constant]
        assert not wide  # 32 bits are for biases, axes and shapes only

    def test_it_has_at_most_four_axes(self, lowered: Lowered) -> None:
        assert max(len(tensor.shape) for tensor in lowered.graph.tensors) <= MAX_AXES

    def test_it_costs_what_was_said(self, lowered: Lowered) -> None:
        predicted = estimate(lowered.candidate.network)
        assert lowered.graph.counts() == predicted.operators
        assert lowered.tflm.head_bytes == predicted.arena_head_bytes
        assert lowered.tflm.tail_bytes == predicted.arena_tail_bytes_host

    def test_tflm_and_litert_agree(self, lowered: Lowered) -> None:
        """Reference kernels both, but for a step where an operator rounds otherwise."""
        _, (scale, zero_point) = end_scales(lowered.content)
        steps = np.abs(lowered.tflm.logits - np.round(lowered.litert / scale + zero_point))
        assert steps.max() <= self.most_steps
        assert np.mean(lowered.tflm.logits.argmax(1) == lowered.litert.argmax(1)) >= 0.99

    def test_int8_and_float_agree(self, lowered: Lowered) -> None:
        error = lowered.litert - lowered.exact
        snr = 10 * np.log10(np.sum(lowered.exact**2) / np.sum(error**2))
        second, first = np.sort(lowered.exact, axis=1)[:, -2:].T
        clear = first - second > 2 * np.sqrt(2 * np.mean(error**2))
        same = np.mean((lowered.litert.argmax(1) == lowered.exact.argmax(1))[clear])
        assert snr >= self.least_snr_db
        assert clear.mean() >= 0.4  # measured 0.58 to 1
        assert same >= self.least_same_class


class TestBneck(Contract):
    block = "bneck"
    settings = "{expansion: 3, squeeze_excite: 0.25, activation: hswish}"
    operators = frozenset({"MEAN", "MUL", "HARD_SWISH", "DEPTHWISE_CONV_2D", "ADD"})


class TestDpd(Contract):
    block = "dpd"
    settings = "{multiplier: 2, activation: mish}"
    operators = frozenset({"LOGISTIC", "DEPTHWISE_CONV_2D"})


class TestFire(Contract):
    block = "fire"
    settings = "{bypass: complex}"
    operators = frozenset({"CONCATENATION", "ADD"})


class TestSqnxt(Contract):
    """Five convolutions in a row, each of which rounds."""

    block = "sqnxt"
    least_snr_db = 18.0
    operators = frozenset({"CONV_2D", "ADD"})


class TestShuffle(Contract):
    """The shuffle is RESHAPE, TRANSPOSE, RESHAPE over (1, height * width, groups, channels): four axes, no arithmetic.

    Its grouped convolutions are single CONV_2D operators, whose weights have the channels of one group.
    """

    block = "shuffle"
    settings = "{groups: 2, bottleneck: 0.5}"
    operators = frozenset({"RESHAPE", "TRANSPOSE", "CONCATENATION", "AVERAGE_POOL_2D"})

    def test_the_shuffle_is_that_of_the_paper(self, lowered: Lowered) -> None:
        """ShuffleNet, section 3.1: (groups, n) transposed and flattened, here of known numbers."""
        [layer, *_] = [one for one in lowered.candidate.network if type(one).__name__ == "ChannelShuffle"]
        height, width, channels = layer.shape
        assert layer.groups != channels // layer.groups  # else it would be the same the other way round
        values = np.arange(height * width * channels, dtype=np.float32).reshape(1, *layer.shape)
        model = build_model(lowered.candidate.network)
        ends = model.get_layer(layer.inputs[0]).output, model.get_layer(layer.name).output
        found = np.asarray(keras.Model(*ends)(values))[0]
        groups = values[0].reshape(height, width, layer.groups, channels // layer.groups)
        assert np.array_equal(found, groups.swapaxes(2, 3).reshape(layer.shape))

    def test_a_grouped_convolution_is_one_operator(self, lowered: Lowered) -> None:
        grouped = [
            operator
            for operator in lowered.graph.operators
            if operator.kind == "CONV_2D"
            and lowered.graph.tensors[operator.inputs[1]].shape[3] < lowered.graph.tensors[operator.inputs[0]].shape[3]
        ]
        expected = [
            layer for layer in lowered.candidate.network if getattr(layer, "groups", 1) > 1 and hasattr(layer, "kernel")
        ]
        assert len(grouped) == len(expected) > 0


class TestResidual(Contract):
    block = "residual"
    operators = frozenset({"ADD"})


class TestSeparable(Contract):
    block = "separable"
    operators = frozenset({"DEPTHWISE_CONV_2D"})


class TestConv(Contract):
    block = "conv"
    settings = "{groups: 2}"


class TestDepthwise(Contract):
    block = "depthwise"
    settings = "{multiplier: 2}"


class TestMaxPool(Contract):
    block = "max_pool"
    settings = "{kernel: 3}"
    operators = frozenset({"MAX_POOL_2D"})


class TestAvgPool(Contract):
    block = "avg_pool"
    settings = "{kernel: 2, padding: valid}"
    operators = frozenset({"AVERAGE_POOL_2D"})


class TestSkip(Contract):
    """Nothing where the shape stays, else a convolution that changes it."""

    block = "skip"


class TestRelu(Contract):
    """Fused into the operator before it: no operator, no memory."""

    activation = "relu"
    settings = "{activation: relu}"

    def test_it_is_fused(self, lowered: Lowered) -> None:
        assert "RELU" not in lowered.graph.counts()
        assert "RELU" in {operator.fused for operator in lowered.graph.operators}


class TestRelu6(Contract):
    """Fused into the operator before it; alone TFLM would run it in int8 without rescaling, which the gate refuses."""

    activation = "relu6"
    settings = "{activation: relu6}"

    def test_it_is_fused(self, lowered: Lowered) -> None:
        assert "RELU6" not in lowered.graph.counts()
        assert "RELU6" in {operator.fused for operator in lowered.graph.operators}


class TestHswish(Contract):
    """One HARD_SWISH; spelled x * relu6(x + 3) / 6 it would be three operators and a rounding each."""

    activation = "hswish"
    settings = "{activation: hswish}"
    least_snr_db = 18.0

    def test_it_is_one_operator(self, lowered: Lowered) -> None:
        expected = sum(
            isinstance(layer, Activate) and layer.function == "hswish" for layer in lowered.candidate.network
        )
        assert lowered.graph.counts()["HARD_SWISH"] == expected > 0
        assert "RELU6" not in {operator.fused for operator in lowered.graph.operators}


class TestMish(Contract):
    """x * sigmoid(1.2626 x + 0.5739): MUL, ADD, LOGISTIC, MUL.

    Exact Mish becomes EXP, LOG and TANH, whose int8 ranges destroy it, and EXP and LOG have no int8 kernel on TFLM. The form is
    what is trained, so nothing is lost at export.
    """

    activation = "mish"
    settings = "{activation: mish}"

    def test_it_is_four_operators(self, lowered: Lowered) -> None:
        expected = sum(isinstance(layer, Activate) and layer.function == "mish" for layer in lowered.candidate.network)
        counts = lowered.graph.counts()
        assert counts["LOGISTIC"] == counts["ADD"] == expected > 0
        assert counts["MUL"] == 2 * expected
        assert not {"EXP", "LOG", "TANH"} & set(counts)

    def test_it_is_near_the_exact_one(self) -> None:
        x = np.linspace(-20, 20, 40_001, dtype=np.float32)
        error = np.abs(np.asarray(FUNCTIONS["mish"](x)) - np.asarray(keras.activations.mish(x)))
        assert error.max() < 0.0315


class TestNone(Contract):
    """Nothing between a convolution and the next."""

    activation = "none"
    settings = "{activation: none}"


class TestHardSigmoid(Contract):
    """The gate of squeeze-excite, relu6(x + 3) / 6: the 3 goes into the bias, relu6 is fused, and one MUL is left."""

    activation = "hard_sigmoid"
    block = "bneck"
    settings = "{squeeze_excite: 0.25, activation: relu}"

    def test_it_is_one_multiplication(self, lowered: Lowered) -> None:
        gates = sum(isinstance(one, Activate) and one.function == "hard_sigmoid" for one in lowered.candidate.network)
        assert lowered.graph.counts()["MUL"] == 2 * gates > 0  # one for the sixth, one for the gate
        assert [operator.fused for operator in lowered.graph.operators].count("RELU6") == gates


CONTRACTS = [kind for kind in globals().values() if isinstance(kind, type) and issubclass(kind, Contract)]


def test_every_block_has_a_contract() -> None:
    assert {contract.block for contract in CONTRACTS if not contract.activation} - {""} == set(BLOCKS)


def test_every_activation_has_a_contract() -> None:
    found = {contract.activation for contract in CONTRACTS} - {""}
    assert found == {*ACTIVATIONS, *FUNCTIONS}
    for contract in CONTRACTS:
        if contract.activation:
            network = only_candidate(family_space(contract.block or "separable", contract.settings)).network
            functions = {layer.function for layer in network if isinstance(layer, Activate)}
            assert contract.activation in functions | {"none"}
