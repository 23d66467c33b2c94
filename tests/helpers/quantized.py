"""Networks that int8 has a hard time with."""

from __future__ import annotations

import keras
import numpy as np

from dse.network.candidate import Candidate
from dse.network.layers import Activate, BatchNorm, Conv2D


def stretched(model: keras.Model, candidate: Candidate, factor: float, channels: int) -> None:
    """Some channels between two convolutions times `factor`, and divided by it in the next kernel.

    ReLU lets a factor through, so the network is the same, but one range for all channels becomes coarse: what Nagel
    et al. 2019 (Data-Free Quantization, section 3.1) find in trained MobileNets and undo.
    """
    readers = {name: layer for layer in candidate.network for name in layer.inputs}
    for layer in candidate.network:
        function = readers.get(layer.name)
        if isinstance(layer, BatchNorm) and isinstance(function, Activate) and function.function == "relu":
            following = readers[function.name]
            if isinstance(following, Conv2D):
                gamma, beta, *moments = model.get_layer(layer.name).get_weights()
                factors = np.where(np.arange(len(gamma)) < channels, factor, 1.0)
                model.get_layer(layer.name).set_weights([gamma * factors, beta * factors, *moments])
                kernel, *bias = model.get_layer(following.name).get_weights()
                model.get_layer(following.name).set_weights([kernel / factors[:, None], *bias])
