"""A `.keras` file as a model."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import keras

from dse.errors import FileError, unread
from dse.training.sources import MAX_BYTES


def load_keras(path: Path) -> keras.Model:
    """A saved Keras model of one input of fixed size and one output. Raises FileError.

    Code inside the file (a Lambda layer) is refused.
    """
    try:
        if not zipfile.is_zipfile(path):
            raise FileError(str(path), None, "", "not a Keras model: it is no zip archive")
        if path.stat().st_size > MAX_BYTES:
            raise FileError(str(path), None, "", f"more than {MAX_BYTES:,} bytes")
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except FileError:
        raise
    except OSError as error:
        raise FileError(str(path), None, "", unread(error)) from None
    except Exception as error:  # Keras raises many kinds for what is no model, or holds a layer that it does not know
        if own := re.search(r"Could not locate (?:class|function) '(\w+)'", str(error)):
            problem = f"{own[1]!r} is code beside the file, which dse does not run: expected the layers of Keras alone"
            raise FileError(str(path), None, "", problem) from None
        raise FileError(str(path), None, "", f"not a Keras model: {str(error).splitlines()[0][:300]}") from None
    if not getattr(model, "inputs", None):
        problem = "the model was never built: give it an Input, or call it on an image, and save it again"
        raise FileError(str(path), None, "", problem)
    shapes = [tensor.shape for tensor in model.inputs]
    if len(shapes) != 1 or len(model.outputs) != 1 or None in shapes[0][1:]:
        raise FileError(
            str(path),
            None,
            "",
            f"expected one input of fixed size and one output, came {_texts(model.inputs)} and {_texts(model.outputs)}",
        )
    return model


def _texts(tensors: list[Any]) -> str:
    """The shapes of some tensors without the batch, such as '2 of (8), (8)'."""
    return f"{len(tensors)} of {', '.join(str(tuple(tensor.shape[1:])) for tensor in tensors)}"
