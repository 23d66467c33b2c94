"""The large networks of the literature have the parameters and MACs that were published of them."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from dse.cost.formulas import layer_costs
from dse.network.builder import NetworkBuilder
from dse.network.layers import Add, BatchNorm, Conv2D, Network
from dse.references.figures import number
from dse.references.literature import LITERATURE, chain, googlenet, resnet
from dse.references.quantities import QUANTITIES

# Trainable parameters and MACs. What others count to the last digit: the ResNets of torchvision, ResNet-200 of pytorchcv,
# and, layer by layer in keras.applications, the kernels and MACs of VGG16, ResNet-50, 101 and 152 and both Inceptions;
# there batch norm has no scale in the Inceptions. AlexNet's MACs and the CIFAR ResNets stand below by hand.
EXACT = {
    "alexnet": (60_965_224, 724_406_816),
    "vgg16": (138_357_544, 15_470_264_320),
    "nin": (7_595_176, 1_105_996_320),
    "googlenet": (6_998_552, 1_582_671_872),
    "inception_v3": (23_817_352 + 17_216, 5_713_216_096),
    "inception_resnet_v2": (55_813_192 + 30_272, 13_155_794_016),
    "resnet50": (25_557_032, 3_857_973_248),
    "resnet101": (44_549_160, 7_570_194_432),
    "resnet152": (60_192_808, 11_282_415_616),
    "resnet200": (64_673_832, 15_007_481_856),
    "wide_resnet50_2": (68_883_240, 11_398_021_120),
    "cifar_resnet20": (269_722, 40_551_040),
    "cifar_resnet32": (464_154, 68_862_592),
    "cifar_resnet44": (658_586, 97_174_144),
    "cifar_resnet56": (853_018, 125_485_696),
    "cifar_resnet110": (1_727_962, 252_887_680),
    "cifar_resnet1202": (19_421_274, 2_829_238_912),
}
# Trainable parameters as they were printed: He et al. 2015, table 6; Zagoruyko and Komodakis 2016, table 8;
# Hasanpour et al. 2016 (SimpleNet), flops and parameter comparison. Longer forms are recomputed.
PRINTED = {
    "alexnet": ("60.97 M",),
    "vgg16": ("138.36 M",),
    "nin": ("7.6 M",),
    "googlenet": ("7 M",),
    "inception_v3": ("23.83 M",),
    "resnet50": ("25.6 M", "25.56 M"),
    "resnet101": ("44.5 M", "44.55 M"),
    "resnet152": ("60.2 M", "60.19 M"),
    "wide_resnet50_2": ("68.9 M", "68.88 M"),
    "resnet200": ("64.7 M", "64.67 M"),
    "cifar_resnet20": ("0.27 M", "0.270 M"),
    "cifar_resnet32": ("0.46 M", "0.464 M"),
    "cifar_resnet44": ("0.66 M", "0.659 M"),
    "cifar_resnet56": ("0.85 M", "0.853 M"),
    "cifar_resnet110": ("1.7 M", "1.728 M"),
    "cifar_resnet1202": ("19.4 M", "19.421 M"),
}


def rounds_to(ours: float, printed: str) -> bool:
    published, digit = number(printed)
    return round(ours / digit) == round(published / digit)


@pytest.mark.parametrize("name", LITERATURE)
def test_counts(name: str) -> None:
    network = LITERATURE[name]()
    trainable = QUANTITIES["trainable_params"](network)
    assert (trainable, QUANTITIES["macs"](network)) == EXACT[name]
    normalised = sum(layer.shape[-1] for layer in network if isinstance(layer, BatchNorm))
    assert QUANTITIES["params"](network) == trainable + 2 * normalised
    assert network.output.shape == ((10,) if name.startswith("cifar") else (1000,))


@pytest.mark.parametrize(("name", "printed"), [(name, text) for name, texts in PRINTED.items() for text in texts])
def test_printed_parameters(name: str, printed: str) -> None:
    assert rounds_to(QUANTITIES["trainable_params"](LITERATURE[name]()), printed)


def test_alexnet_by_hand() -> None:
    """Positions x filters x kernel: 11x11x3; then 5x5, 3x3, 3x3, 3x3 of 48, 256, 192, 192 channels; then dense."""
    macs = [cost.macs for _, cost in layer_costs(LITERATURE["alexnet"]()) if cost.macs]
    assert macs == [
        55**2 * 96 * 363, 27**2 * 256 * 1200, 13**2 * 384 * 2304, 13**2 * 384 * 1728, 13**2 * 256 * 1728,
        9216 * 4096, 4096 * 4096, 4096 * 1000,
    ]  # fmt: skip


@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110, 1202])
def test_cifar_resnets_by_hand(depth: int) -> None:
    """2n 3x3 convolutions at 16, 32 and 64 channels, of which the first of a stage widens; 64 means to 10 classes."""
    n = (depth - 2) // 6
    kernels = 9 * (3 * 16 + 2 * n * 16**2 + 16 * 32 + (2 * n - 1) * 32**2 + 32 * 64 + (2 * n - 1) * 64**2)
    assert EXACT[f"cifar_resnet{depth}"][0] == kernels + 2 * (16 + 2 * n * (16 + 32 + 64)) + 650
    # 32x32, 16x16 and 8x8 positions: the same work at every convolution but the first and the two that widen.
    macs = 1024 * 9 * (3 * 16 + 2 * n * 256 + 2 * (2 * n - 1) * 256 + 2 * 128) + 640
    assert EXACT[f"cifar_resnet{depth}"][1] == macs


def test_googlenet_has_the_sizes_of_its_paper() -> None:
    """Output sizes of Szegedy et al. 2014, table 1."""
    sizes = {
        "3a": (28, 28, 256), "3b": (28, 28, 480), "4a": (14, 14, 512), "4b": (14, 14, 512), "4c": (14, 14, 512),
        "4d": (14, 14, 528), "4e": (14, 14, 832), "5a": (7, 7, 832), "5b": (7, 7, 1024),
    }  # fmt: skip
    shapes = {layer.name: layer.shape for layer in LITERATURE["googlenet"]()}
    assert {name: shapes[f"{name}_concat"] for name in sizes} == sizes


@pytest.mark.parametrize(
    ("name", "sums"),
    # One per block; option A's two, where the size halves, are left out.
    [("resnet50", 16), ("wide_resnet50_2", 16), ("resnet152", 50), ("inception_resnet_v2", 40), ("cifar_resnet20", 7)],
)
def test_residuals_are_added(name: str, sums: int) -> None:
    assert sum(isinstance(layer, Add) for layer in LITERATURE[name]()) == sums


def test_where_a_resnet_takes_its_stride() -> None:
    """In the 3x3 the 1x1 before it runs at four times the positions: 4.09 G as torchvision counts, not 3.86 G."""
    later = resnet((3, 4, 6, 3), strided="3x3")
    assert QUANTITIES["macs"](later) == 4_089_184_256
    assert QUANTITIES["trainable_params"](later) == 25_557_032


def values(network: Network, of: Callable[[str], bool] = lambda name: False) -> int:
    """Values that batch norm writes, and those of the layers `of` names."""
    return sum(math.prod(layer.shape) for layer in network if isinstance(layer, BatchNorm) or of(layer.name))


def test_macs_of_the_model_zoo() -> None:
    """The table of Hasanpour et al. 2016, counted by Netscope, to its last digit.

    Netscope adds a MAC for every value that the scale of a batch norm writes, and five for every value of a local
    response normalisation over five maps: kernels alone give 7.24 G for AlexNet and 3.86 G for ResNet-50. The four
    networks of Caffe are counted for a batch of ten, and all of them but VGG16 at 227x227.
    """
    nets = {name: LITERATURE[name]() for name in EXACT if not name.startswith("cifar")}
    macs = {name: QUANTITIES["macs"](network) for name, network in nets.items()}
    assert rounds_to(10 * (macs["alexnet"] + 5 * (55**2 * 96 + 27**2 * 256)), "7.27 G")
    assert rounds_to(10 * macs["vgg16"], "154.7 G")
    assert rounds_to(10 * macs["nin"], "11.06 G")
    assert rounds_to(10 * (QUANTITIES["macs"](googlenet(227)) + 5 * 57**2 * (64 + 192)), "16.04 G")
    assert rounds_to(macs["resnet50"] + values(nets["resnet50"]), "3.87 G")
    assert rounds_to(macs["resnet152"] + values(nets["resnet152"]), "11.3 G")
    assert rounds_to(macs["inception_v3"] + values(nets["inception_v3"]), "5.72 G")
    residuals = nets["inception_resnet_v2"]  # Caffe's normalises them too, before they are added
    assert rounds_to(macs["inception_resnet_v2"] + values(residuals, lambda name: name.endswith("_up")), "13.18 G")
    assert not rounds_to(10 * macs["alexnet"], "7.27 G")
    assert not rounds_to(macs["resnet50"], "3.87 G")
    # The table also has the divisions: one per value of a batch norm; else two, and one per class for the softmax.
    divisions = {"resnet50": "10.59 M", "resnet152": "22.03 M", "inception_v3": "8.97 M"}
    assert all(rounds_to(values(nets[name]), printed) for name, printed in divisions.items())
    assert rounds_to(values(residuals, lambda name: name.endswith("_up")), "25.06 M")
    assert rounds_to(10 * (2 * (55**2 * 96 + 27**2 * 256) + 1000), "9.55 M")
    assert rounds_to(10 * (2 * 57**2 * (64 + 192) + 1000), "16.64 M")  # 16.07 M at 224x224


def test_sizes_of_the_model_zoo() -> None:
    """In MiB of four bytes: AlexNet and VGG16 are printed without their last layer."""
    last = 4096 * 1000 + 1000
    mebibytes = {name: 4 * EXACT[name][0] / 2**20 for name in EXACT}
    assert round(mebibytes["alexnet"], 1) == 232.6
    assert round(mebibytes["alexnet"] - 4 * last / 2**20) == 217
    assert round(mebibytes["vgg16"], 1) == 527.8
    assert round(mebibytes["vgg16"] - 4 * last / 2**20, 1) == 512.2
    assert round(mebibytes["googlenet"], 1) == 26.7


@pytest.mark.keras
@pytest.mark.parametrize("name", ["cifar_resnet20", "googlenet"])
def test_keras_agrees_on_every_layer(name: str) -> None:
    from dse.training.model import build_model

    network = LITERATURE[name]()
    model = build_model(network)
    for layer, cost in layer_costs(network):
        built = model.get_layer(layer.name)
        assert tuple(built.output.shape[1:]) == layer.shape
        assert built.count_params() == cost.params


def test_a_step() -> None:
    graph = NetworkBuilder((9, 9, 4))
    chain(graph, "input", "a", "8@1x3/2g2v", batch_norm=True)
    layer = graph.layers[1]
    assert isinstance(layer, Conv2D)
    assert (layer.kernel, layer.stride, layer.groups, layer.padding, layer.bias) == ((1, 3), 2, 2, "valid", False)
    assert layer.shape == (5, 4, 8)
    with pytest.raises(AssertionError, match="'8@' is no step"):
        chain(graph, "input", "b", "8@")
