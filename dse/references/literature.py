"""The large networks that published tables compare with, written down so that dse's formulas count them.

The grammar of the spaces does not have them. They are counted, never trained: what has no parameter and no MAC and
what dse does not know, such as local response normalisation or the scaling of a residual, is left out, and so are
dropout and the softmax. `LITERATURE` has them all by name.

A chain of layers is written as text, a step per word: `96@11/4v` is a convolution with 96 filters of 11x11, stride 4
and no padding, `192@1x7` one of one row and seven columns, `256@5g2` one in two groups, `64` a 1x1, and `max@3/2v` and
`avg@3` are poolings. Every convolution ends in a ReLU.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Literal

from dse.network.builder import NetworkBuilder
from dse.network.layers import Network, Padding

IMAGENET = (224, 224, 3)
CAFFE = (227, 227, 3)
INCEPTION = (299, 299, 3)
CIFAR = (32, 32, 3)
STEP = re.compile(
    r"(?P<what>\d+|max|avg)(@(?P<height>\d+)(x(?P<width>\d+))?)?(/(?P<stride>\d+))?(g(?P<groups>\d+))?(?P<valid>v?)"
)


def chain(g: NetworkBuilder, x: str, name: str, steps: str, batch_norm: bool = False) -> str:
    """What comes out of the steps, written after `x`.

    >>> graph = NetworkBuilder((227, 227, 3))
    >>> graph.shapes[chain(graph, "input", "conv", "96@11/4v max@3/2v 256@5g2")]
    (27, 27, 256)
    """
    for index, step in enumerate(steps.split(), start=1):
        match = STEP.fullmatch(step)
        assert match, f"{step!r} is no step"
        height, stride = int(match["height"] or 1), int(match["stride"] or 1)
        padding: Padding = "valid" if match["valid"] else "same"
        place = f"{name}_{index}"
        if match["what"] == "max":
            x = g.max_pool(x, place, height, stride, padding)
        elif match["what"] == "avg":
            x = g.avg_pool(x, place, height, stride, padding)
        else:
            size = (height, int(match["width"] or height))
            groups = int(match["groups"] or 1)
            x = g.conv(x, place, int(match["what"]), size, stride, groups, padding, "relu", batch_norm)
    return x


def branches(g: NetworkBuilder, x: str, name: str, *chains: str, batch_norm: bool = False) -> str:
    """Chains side by side after `x`, concatenated: the module of the Inception networks."""
    ends = [chain(g, x, f"{name}_branch{index}", steps, batch_norm) for index, steps in enumerate(chains, start=1)]
    return g.concat(ends, f"{name}_concat")


def dense_layers(g: NetworkBuilder, x: str, *units: int) -> Network:
    """The network, closed by dense layers with a ReLU after all but the last."""
    if len(g.shapes[x]) > 1:
        x = g.flatten(x, "flatten")
    for index, (count, following) in enumerate(pairwise((*units, 0)), start=1):
        x = g.dense(x, f"fc{index}", count)
        if following:
            x = g.activate(x, f"fc{index}_relu", "relu")
    return g.network()


def alexnet() -> Network:
    """AlexNet (Krizhevsky et al. 2012) as Caffe has it: one tower, convolutions 2, 4 and 5 in two groups."""
    g = NetworkBuilder(CAFFE)
    x = chain(g, "input", "conv", "96@11/4v max@3/2v 256@5g2 max@3/2v 384@3 384@3g2 256@3g2 max@3/2v")
    return dense_layers(g, x, 4096, 4096, 1000)


def vgg16() -> Network:
    """VGG16 (Simonyan and Zisserman 2014, configuration D)."""
    g, x = NetworkBuilder(IMAGENET), "input"
    for index, (depth, filters) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), start=1):
        x = chain(g, x, f"conv{index}", f"{filters}@3 " * depth + "max@2/2")
    return dense_layers(g, x, 4096, 4096, 1000)


def nin() -> Network:
    """Network in Network (Lin et al. 2013) for ImageNet, as in Caffe's model zoo: the last maps are the classes."""
    g = NetworkBuilder(CAFFE)
    x = chain(g, "input", "conv1", "96@11/4v 96 96 max@3/2v")
    x = chain(g, x, "conv2", "256@5 256 256 max@3/2v")
    x = chain(g, x, "conv3", "384@3 384 384 max@3/2v")
    x = chain(g, x, "conv4", "1024@3 1024 1000")
    g.global_avg_pool(x, "pool", keep_dims=False)
    return g.network()


def googlenet(resolution: int = 224) -> Network:
    """GoogLeNet (Szegedy et al. 2014, table 1) without the two auxiliary classifiers, which only training needs.

    Some count it at 227, where its second pooling makes 28 of 57 in Caffe.
    """
    g = NetworkBuilder((resolution, resolution, 3))
    x = chain(g, "input", "stem", "64@7/2 max@3/2 64 192@3")
    x = g.max_pool(x, "pool_3a", 3, 2, "valid" if g.shapes[x][0] % 2 else "same")
    # 1x1; reduced, then 3x3; reduced, then 5x5; pooled, then 1x1
    for name, a, b_in, b, c_in, c, d in (
        ("3a", 64, 96, 128, 16, 32, 32), ("3b", 128, 128, 192, 32, 96, 64),
        ("4a", 192, 96, 208, 16, 48, 64), ("4b", 160, 112, 224, 24, 64, 64), ("4c", 128, 128, 256, 24, 64, 64),
        ("4d", 112, 144, 288, 32, 64, 64), ("4e", 256, 160, 320, 32, 128, 128),
        ("5a", 256, 160, 320, 32, 128, 128), ("5b", 384, 192, 384, 48, 128, 128),
    ):  # fmt: skip
        if name in ("4a", "5a"):
            x = g.max_pool(x, f"pool_{name}", 3, 2)
        x = branches(g, x, name, f"{a}", f"{b_in} {b}@3", f"{c_in} {c}@5", f"max@3 {d}")
    return dense_layers(g, g.global_avg_pool(x, "pool", keep_dims=False), 1000)


def inception_v3() -> Network:
    """Inception v3 (Szegedy et al. 2015, Rethinking the Inception Architecture) without the auxiliary classifier."""
    g = NetworkBuilder(INCEPTION)
    mixed = partial(branches, g, batch_norm=True)
    x = chain(g, "input", "stem", "32@3/2v 32@3v 64@3 max@3/2v 80 192@3v max@3/2v", batch_norm=True)
    for index, pooled in enumerate((32, 64, 64)):
        x = mixed(x, f"mixed{index}", "64", "48 64@5", "64 96@3 96@3", f"avg@3 {pooled}")
    x = mixed(x, "mixed3", "384@3/2v", "64 96@3 96@3/2v", "max@3/2v")
    for index, n in enumerate((128, 160, 160, 192), start=4):
        double = f"{n} {n}@7x1 {n}@1x7 {n}@7x1 192@1x7"
        x = mixed(x, f"mixed{index}", "192", f"{n} {n}@1x7 192@7x1", double, "avg@3 192")
    x = mixed(x, "mixed8", "192 320@3/2v", "192 192@1x7 192@7x1 192@3/2v", "max@3/2v")
    for name in ("mixed9", "mixed10"):
        ends = [chain(g, x, f"{name}_{steps[:3]}", steps, batch_norm=True) for steps in ("384", "448 384@3")]
        split = [mixed(end, f"{end}_split", "384@1x3", "384@3x1") for end in ends]
        x = g.concat([*split, mixed(x, name, "320", "avg@3 192")], f"{name}_all")
    return dense_layers(g, g.global_avg_pool(x, "pool", keep_dims=False), 1000)


def inception_resnet_v2() -> Network:
    """Inception-ResNet v2 (Szegedy et al. 2016, Inception-v4) as in TF-Slim and Keras, with Inception v3's stem."""
    g = NetworkBuilder(INCEPTION)
    mixed = partial(branches, g, batch_norm=True)

    def residuals(x: str, name: str, count: int, *chains: str) -> str:
        for index in range(1, count + 1):
            with g.at(f"{name}_{index}"):
                y = g.conv(mixed(x, "mixed", *chains), "up", g.channels(x), batch_norm=False)
                x = g.activate(g.add(x, y), "relu", "relu")
        return x

    x = chain(g, "input", "stem", "32@3/2v 32@3v 64@3 max@3/2v 80 192@3v max@3/2v", batch_norm=True)
    x = mixed(x, "mixed5b", "96", "48 64@5", "64 96@3 96@3", "avg@3 64")
    x = residuals(x, "block35", 10, "32", "32 32@3", "32 48@3 64@3")
    x = mixed(x, "mixed6a", "384@3/2v", "256 256@3 384@3/2v", "max@3/2v")
    x = residuals(x, "block17", 20, "192", "128 160@1x7 192@7x1")
    x = mixed(x, "mixed7a", "256 384@3/2v", "256 288@3/2v", "256 288@3 320@3/2v", "max@3/2v")
    x = residuals(x, "block8", 10, "192", "192 224@1x3 256@3x1")
    x = chain(g, x, "conv7b", "1536", batch_norm=True)
    return dense_layers(g, g.global_avg_pool(x, "pool", keep_dims=False), 1000)


def resnet(depths: tuple[int, int, int, int], widen: int = 1, strided: Literal["1x1", "3x3"] = "1x1") -> Network:
    """ResNet for ImageNet (He et al. 2015, table 1) of bottlenecks, with option B shortcuts.

    He et al. and Keras take the stride in the first 1x1; Facebook's code, whose networks ResNet-200 and WRN-50-2 are,
    and torchvision take it in the 3x3. `widen` multiplies the channels inside a bottleneck (Zagoruyko and Komodakis
    2016). ResNet-200 (He et al. 2016) normalises before its convolutions, which makes it 7,680 parameters smaller than
    it is here: 0.01 %.
    """
    g = NetworkBuilder(IMAGENET)
    x = chain(g, "input", "stem", "64@7/2 max@3/2", batch_norm=True)
    for stage, depth in enumerate(depths):
        filters = 64 * 2**stage
        for index in range(depth):
            stride = 2 if stage and not index else 1
            first, second = (stride, 1) if strided == "1x1" else (1, stride)
            with g.at(f"stage{stage + 1}_{index}"):
                inner = filters * widen
                y = chain(g, x, "conv", f"{inner}/{first} {inner}@3/{second}", batch_norm=True)
                y = g.conv(y, "expand", 4 * filters)
                x = x if index else g.conv(x, "project", 4 * filters, stride=stride)
                x = g.activate(g.add(x, y), "relu", "relu")
    return dense_layers(g, g.global_avg_pool(x, "pool", keep_dims=False), 1000)


def cifar_resnet(depth: int) -> Network:
    """ResNet for CIFAR-10 (He et al. 2015, section 4.2) with 6n + 2 layers and option A shortcuts.

    Where the size halves, option A adds every other pixel, with zeros for the new channels. That addition is left
    out: it has no parameter and no MAC, and dse has no layer for it.
    """
    g = NetworkBuilder(CIFAR)
    x = chain(g, "input", "stem", "16@3", batch_norm=True)
    for stage, filters in enumerate((16, 32, 64), start=1):
        for index in range((depth - 2) // 6):
            with g.at(f"stage{stage}_{index}"):
                halves = stage > 1 and index == 0
                y = chain(g, x, "conv", f"{filters}@3/{2 if halves else 1}", batch_norm=True)
                y = g.conv(y, "second", filters, 3)
                x = g.activate(y if halves else g.add(x, y), "relu", "relu")
    return dense_layers(g, g.global_avg_pool(x, "pool", keep_dims=False), 10)


LITERATURE: dict[str, Callable[[], Network]] = {
    "alexnet": alexnet,
    "vgg16": vgg16,
    "nin": nin,
    "googlenet": googlenet,
    "inception_v3": inception_v3,
    "inception_resnet_v2": inception_resnet_v2,
    "resnet50": partial(resnet, (3, 4, 6, 3)),
    "resnet101": partial(resnet, (3, 4, 23, 3)),
    "resnet152": partial(resnet, (3, 8, 36, 3)),
    "resnet200": partial(resnet, (3, 24, 36, 3), strided="3x3"),
    "wide_resnet50_2": partial(resnet, (3, 4, 6, 3), widen=2, strided="3x3"),
    **{f"cifar_resnet{depth}": partial(cifar_resnet, depth) for depth in (20, 32, 44, 56, 110, 1202)},
}
