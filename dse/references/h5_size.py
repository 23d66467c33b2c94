"""Bytes of the `.h5` file in which Keras 3 saves a network, from the network alone.

The "model size" of a paper is often that of such a file, with the state of the optimizer in it, and not of what a
device would hold. Besides the values stand the network as JSON and what HDF5 needs to find the values: 13 to 52 % of
the file for reference networks of 60,000 to 120,000 values. No constant is fitted to the size of files. Those of HDF5
are the sizes of its structures as counted in files of h5py 3.14 (HDF5 1.14.6); those of the JSON are rounded means over
what Keras 3.15 writes. Reference networks come out within a per cent, networks of a few thousand values within five:
what HDF5 has room for grows in steps, and neither how full the last one is nor what was moved out of is followed up.
"""

from __future__ import annotations

import math

from dse.cost.formulas import layer_costs
from dse.network.layers import BatchNorm, ChannelShuffle, Conv2D, Dense, DepthwiseConv2D, Layer, Network

VALUE_BYTES = 4
SUPERBLOCK = 96
GROUP = 40 + 544 + 120  # a folder: its header, the B-tree of what is in it, a heap for their names
LEAF = 328  # of that tree, for up to 8 entries
SORTED_ENTRY, ENTRY = LEAF // 4, LEAF // 6  # the share of one: a leaf stays half full where names come sorted
ARRAY = 272  # its header: shape, type, fill value, place, time
NAME_LIST = 104  # an attribute of a group
REFERENCE = 16  # from such a list to a text in the global heap
OBJECT = 16  # before each text there
COLLECTION, MAX_COLLECTION = 4096, 65536  # what the global heap is made of: H5HG_MINSIZE and H5HG_MAXSIZE of HDF5

JSON, JSON_INPUT, JSON_WEIGHTS = 300, 100, 650  # for any layer, for each of its inputs, for initializers and the like
TRAINING_JSON = 700  # optimizer, loss and metric
SUFFIX = 8  # "/kernel", the longest "/moving_variance"
SLOT_PREFIX, SLOT_SUFFIX = 6, 16  # "nadam/" and "_kernel_momentum"
SCALARS = 2  # of an optimizer: step and learning rate
KERAS_LAYERS: dict[type[Layer], int] = {ChannelShuffle: 3}  # a permutation between two reshapes; else 1


def h5_bytes(network: Network, slots: int) -> int:
    """Bytes of the file of `model.save("x.h5")`, with so many values of the optimizer for each trainable one.

    0 is without the optimizer (`include_optimizer=False`), 1 SGD with momentum, 2 Adam or Nadam.
    """
    size = SUPERBLOCK + 3 * GROUP + 2 * LEAF  # the root, the weights of layers, and those that no layer has: none
    json = texts = 0
    for layer, cost in layer_costs(network):
        trained, stored = _arrays(layer)
        length, layers = len(layer.name), KERAS_LAYERS.get(type(layer), 1)
        size += VALUE_BYTES * (cost.params + slots * cost.trainable)
        # A group for the layer; in it, where there are weights, one more of the same name with the arrays.
        size += layers * (GROUP + NAME_LIST + REFERENCE + SORTED_ENTRY + _entry_name(length))
        size += (GROUP + 2 * LEAF) * (stored > 0) + stored * (ARRAY + REFERENCE)
        texts += layers * _text(length) + stored * _text(length + SUFFIX)
        json += layers * (JSON + 2 * length + sum(JSON_INPUT + len(name) for name in layer.inputs))
        json += JSON_WEIGHTS * (stored > 0)
        # The arrays of the optimizer are all in one group.
        size += slots * trained * (ARRAY + REFERENCE + ENTRY + _entry_name(length + SLOT_SUFFIX))
        texts += slots * trained * _text(SLOT_PREFIX + length + SLOT_SUFFIX)
    if slots:
        size += 2 * GROUP + LEAF + SCALARS * (ARRAY + REFERENCE)
        texts += TRAINING_JSON
    texts = COLLECTION * math.ceil(texts / COLLECTION)
    # The network's JSON has a collection of its own. Where twice that is allowed, the JSON of the training, which
    # comes next, doubles it, and the names fill it up.
    if slots and 2 * json <= MAX_COLLECTION:
        texts = max(texts, json)
    return size + json + texts


def _arrays(layer: Layer) -> tuple[int, int]:
    """How many arrays of a layer are trained, and how many there are."""
    match layer:
        case Conv2D() | DepthwiseConv2D():
            return 1 + layer.bias, 1 + layer.bias
        case Dense():
            return 2, 2
        case BatchNorm():
            return 2, 4
    return 0, 0


def _text(length: int) -> int:
    """A text in the global heap."""
    return OBJECT + _padded(length)


def _entry_name(length: int) -> int:
    """A name in the heap of a group, which grows by moving to a place of twice its size."""
    return 2 * _padded(length + 1)


def _padded(length: int) -> int:
    return -(-length // 8) * 8
