"""The weights of a candidate's model, out of a `.weights.h5` file and into one."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import keras

from dse.errors import ExportError
from dse.network.candidate import Candidate
from dse.training.model import build_model


def load_weights(candidate: Candidate, weights: Path) -> keras.Model:
    """The model of a candidate with saved weights. Raises ExportError when they are not its own."""
    model = build_model(candidate.network)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # what Keras only warns of would be left at fresh weights
            model.load_weights(weights)
    except (OSError, ValueError, KeyError, UserWarning) as error:
        reason = str(error).split(". ")[0]  # Keras explains itself at length
        raise ExportError(f"{weights}: not the weights of candidate {candidate.id}: {reason}") from None
    return model


def put_weights(model: keras.Model, content: bytes) -> None:
    """The bytes of a file of weights into a model of the same network."""
    with tempfile.TemporaryDirectory(prefix="dse-weights-") as folder:
        path = Path(folder) / "model.weights.h5"
        path.write_bytes(content)
        model.load_weights(path)


def weights_bytes(model: keras.Model) -> bytes:
    """The weights as the bytes of a .weights.h5 file, without the optimizer's state, which would triple it."""
    bare = keras.Model(model.inputs, model.outputs)  # the same layers, without what a training added
    with tempfile.TemporaryDirectory(prefix="dse-weights-") as folder:
        path = Path(folder) / "model.weights.h5"
        bare.save_weights(path)
        return path.read_bytes()
