"""One candidate from its choices to its values: build, train, convert, evaluate.

The cost gate has been passed before; see `search/loop.py`. A candidate that cannot be finished raises TrialError.
"""

from __future__ import annotations

import shutil
import time

import keras
import numpy as np

from dse.data.datasets import Data
from dse.data.images import Images, as_input, to_float
from dse.errors import ExportError, TornCheckpointError, TrialError
from dse.network.candidate import Candidate
from dse.search.record import TrialResult
from dse.training.arithmetic import arithmetic
from dse.training.context import TrainingContext
from dse.training.recipe import train_candidate
from dse.training.weights import weights_bytes

PREDICT_BATCH = 256


def run_trial(
    candidate: Candidate, data: Data, context: TrainingContext, *, accuracy: str, alone: bool = True
) -> TrialResult:
    """Train one candidate and evaluate it on the validation images. Raises TrialError.

    `accuracy` is `float`, or `int8` to convert the network too and evaluate the file; only TensorFlow can, and with
    another backend of Keras that is left out. Beside other trials in this process, it is not `alone`.
    """
    started = time.monotonic()
    training, validation = (as_input(part, candidate.input_shape) for part in (data.train, data.validation))
    try:
        if alone:  # it forgets what other threads are in the middle of, too
            keras.backend.clear_session()
        try:
            model, history = train_candidate(candidate, training, validation, context)
        except TornCheckpointError:
            shutil.rmtree(context.checkpoint or "")
            model, history = train_candidate(candidate, training, validation, context)
        # The last epoch ended with it: a second evaluation is for a training that was over before it was killed.
        counted = history.get("val_accuracy")
        accuracy_float = (
            round(counted[-1] * len(validation)) / len(validation)
            if counted
            else float(np.mean(predict(model, validation) == validation.labels))
        )
        accuracy_int8 = None
        if accuracy == "int8" and keras.backend.backend() == "tensorflow":
            accuracy_int8 = int8_accuracy(candidate, model, training, validation)
        return TrialResult(
            accuracy_float,
            accuracy_int8,
            history,
            time.monotonic() - started,
            weights_bytes(model),
            arithmetic(context.arithmetic, candidate.training),
        )
    except ExportError as error:
        raise TrialError(str(error)) from None
    except MemoryError:
        raise TrialError("out of memory") from None
    except Exception as error:
        if type(error).__name__ == "ResourceExhaustedError":
            raise TrialError(f"out of memory: {str(error)[:200]}") from None
        raise


def int8_accuracy(candidate: Candidate, model: keras.Model, training: Images, validation: Images) -> float:
    """The share of the validation images that the exported int8 file knows. Raises ExportError."""
    from dse.quantization.convert import calibration_set, for_conversion, to_int8
    from dse.tflite.deployable import check_deployable
    from dse.tflite.interpreters import run_litert

    content = to_int8(for_conversion(candidate, model), calibration_set(training))
    check_deployable(content)
    logits = run_litert(content, validation.images)
    return float(np.mean(logits.argmax(1) == validation.labels))


def predict(model: keras.Model, images: Images) -> np.ndarray:
    """The class of every image, (count,)."""
    parts = [
        keras.ops.convert_to_numpy(model.predict_on_batch(to_float(images.images[start : start + PREDICT_BATCH])))
        for start in range(0, len(images), PREDICT_BATCH)
    ]
    return np.asarray(np.concatenate(parts).argmax(1))
