"""What scores without a training say of networks: `python -m benchmarks.training_free OUT nas-bench-macro=macro.csv`.

Some networks of a table are built with fresh weights, and scored on images of CIFAR-10: NASWOT (Mellor et al. 2021,
section 3), SynFlow (Tanaka et al. 2020, equation 6), the norm of the gradient (Abdelfattah et al. 2021, section 3.1) and
ZiCo (Li et al. 2023, equation 15); beside them parameters, MACs and depth. A row of OUT is one network. `--print` shows
Kendall's rank correlation of each score with the accuracy, the seconds that it takes, and what it adds to the surrogate:
Kendall of its predictions for the others, learned from some of the networks, with the score among their sizes or without.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kendalltau

from benchmarks.rows import append_rows, read_rows
from benchmarks.search_tables import parse
from dse._util.quiet import quiet_tensorflow
from dse.data.datasets import load_data
from dse.search.costing import sizes_of
from dse.search.surrogate.encoding import Encoding
from dse.search.surrogate.gaussian_process import GaussianProcess, Points
from dse.simulation.table import Table
from dse.tasks import load_task

BATCH, BATCHES = 64, 2
TINY = 1e-12
KNOWN = ("params", "macs", "depth")
SCORES = ("naswot", "synflow", "gradient", "zico")
COLUMNS = ("table", "network", "accuracy", *KNOWN, *(name for one in SCORES for name in (one, f"{one}_seconds")))
LEARNED_FROM, DRAWS = (20, 40, 80), 30


def naswot(model: Any, images: np.ndarray, labels: np.ndarray) -> float:
    """The logarithm of the determinant of how much the active units of the images have in common."""
    import keras

    outputs = [layer.output for layer in model.layers if "relu" in layer.name.lower() or is_relu(layer)]
    common = np.zeros((len(images), len(images)))
    for output in keras.Model(model.inputs, outputs)(images[:BATCH], training=True):
        active = (np.asarray(output).reshape(len(images), -1) > 0).astype(np.float32)
        common += active @ active.T + (1 - active) @ (1 - active).T
    return float(np.linalg.slogdet(common)[1])


def is_relu(layer: Any) -> bool:
    """Whether what comes out of a layer is zero or more."""
    import keras

    return isinstance(layer, keras.layers.ReLU) or (
        isinstance(layer, keras.layers.Activation) and "relu" in getattr(layer.activation, "__name__", "")
    )


def synflow(model: Any, images: np.ndarray, labels: np.ndarray) -> float:
    """The logarithm of the sum of weight times gradient of what an image of ones comes to by absolute weights.

    The image is a small one, and what comes of it is scaled back: an activation that is cut off at six would hide all.
    """
    import tensorflow as tf

    before = model.get_weights()
    model.set_weights([np.abs(one) for one in before])
    with tf.GradientTape() as tape:
        come_to = tf.reduce_sum(model(np.full_like(images[:1], TINY), training=False)) / TINY
    gradients = tape.gradient(come_to, model.trainable_variables)
    pairs = zip(model.trainable_variables, gradients, strict=True)
    total = sum(float(tf.reduce_sum(tf.cast(tf.abs(w * g), tf.float64))) for w, g in pairs if g is not None)
    model.set_weights(before)
    return float(np.log(max(total, 1e-300)))


def _gradients(model: Any, images: np.ndarray, labels: np.ndarray) -> list[Any]:
    import keras
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = keras.losses.sparse_categorical_crossentropy(labels, model(images, training=True), from_logits=True)
        loss = tf.reduce_mean(loss)
    return [np.asarray(one) for one in tape.gradient(loss, model.trainable_variables)]


def gradient(model: Any, images: np.ndarray, labels: np.ndarray) -> float:
    """The logarithm of the norm of the gradient of the loss of one batch."""
    return float(np.log(np.sqrt(sum(float((one**2).sum()) for one in _gradients(model, images, labels)))))


def zico(model: Any, images: np.ndarray, labels: np.ndarray) -> float:
    """The sum over kernels of the logarithm of the gradients' mean over their deviation, between halves of a batch."""
    halves = [_gradients(model, part, some) for part, some in zip(*map(_halves, (images, labels)), strict=True)]
    total = 0.0
    for first, second in zip(*halves, strict=True):
        if first.ndim > 1:
            mean, deviation = (np.abs(first) + np.abs(second)) / 2, np.abs(np.abs(first) - np.abs(second)) / 2
            total += float(np.log(max(1e-12, float((mean / np.maximum(deviation, 1e-9))[deviation > 0].sum()))))
    return total


def _halves(values: np.ndarray) -> list[np.ndarray]:
    return np.array_split(values, BATCHES)


def scored(name: str, table: Table, index: int, images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """One row."""
    import keras

    from dse.training.model import build_model

    row, functions = table.rows[index], dict[str, Callable[..., float]](naswot=naswot, synflow=synflow)
    functions |= {"gradient": gradient, "zico": zico}
    cost = table.costs[index]
    keras.backend.clear_session()
    found: dict[str, Any] = {"table": name, "network": row.candidate.id, "accuracy": f"{row.accuracy:.4f}"}
    found |= {"params": cost.params, "macs": cost.macs, "depth": cost.num_operators}
    began = time.process_time()
    model = build_model(row.candidate.network, seed=0)
    build = time.process_time() - began
    for score in SCORES:
        began = time.process_time()
        found[score] = f"{functions[score](model, images, labels):.5g}"
        found[f"{score}_seconds"] = f"{build + time.process_time() - began:.2f}"
    return found


def show(name: str, table: Table, rows: list[dict[str, str]]) -> None:
    """Correlations and what they add, as Markdown."""
    mine = [row for row in rows if row["table"] == name]
    accuracy = np.array([float(row["accuracy"]) for row in mine])
    networks = [table.rows[table.by_id[row["network"]]] for row in mine]
    choices = Encoding(table.space.template.nodes).rows([row.assignment for row in networks])
    sizes = _scaled(np.array([sizes_of(table.costs[table.by_id[row["network"]]]) for row in mine]))
    reached = -np.log(1 - accuracy)
    plain = _learned(choices, sizes, reached, accuracy)
    print(f"\n{name}, {len(mine)} networks\n\n| score | Kendall | seconds | {' | '.join(map(str, LEARNED_FROM))} |")
    print(f"|{'---|' * (3 + len(LEARNED_FROM))}")
    print(f"| surrogate alone | | | {' | '.join(f'{one:.3f}' for one in plain)} |")
    for score in (*KNOWN, *SCORES):
        values = np.array([float(row[score]) for row in mine])
        seconds = [float(row[f"{score}_seconds"]) for row in mine] if score in SCORES else [0.0]
        cells = ""
        if score in SCORES:
            more = _learned(choices, np.hstack([sizes, _scaled(values[:, None])]), reached, accuracy)
            cells = " | ".join(f"{one:.3f}" for one in more)
        print(f"| {score} | {kendalltau(values, accuracy)[0]:.2f} | {np.mean(seconds):.1f} | {cells} |")


def _learned(choices: np.ndarray, sizes: np.ndarray, reached: np.ndarray, accuracy: np.ndarray) -> list[float]:
    """Kendall of the predictions for those that were not learned from, in the mean of some draws."""
    found = []
    for count in LEARNED_FROM:
        of_draws = []
        for draw in range(DRAWS):
            order = np.random.default_rng(draw).permutation(len(reached))
            known, others = order[:count], order[count:]
            process = GaussianProcess(Points(choices[known], sizes[known]), reached[known])
            mean, _ = process.predict(Points(choices[others], sizes[others]))
            of_draws.append(kendalltau(mean, accuracy[others])[0])
        found.append(float(np.mean(of_draws)))
    return found


def _scaled(values: np.ndarray) -> np.ndarray:
    return np.asarray((values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-9))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("table", help="NAME=FILE")
    parser.add_argument("--networks", type=int, default=200)
    parser.add_argument("--print", action="store_true", dest="printed")
    asked = parser.parse_args()
    name, table = parse(asked.table)
    if not asked.printed:
        quiet_tensorflow(1)
        data = load_data(load_task("cifar10")).train.first(BATCH)
        images, labels = data.images.astype(np.float32) / 255 * 2 - 1, data.labels
        for index in np.random.default_rng(0).permutation(len(table.rows))[: asked.networks]:
            known = {(row["table"], row["network"]) for row in read_rows(asked.out)}
            if (name, table.rows[index].candidate.id) not in known:
                append_rows(asked.out, COLUMNS, [scored(name, table, int(index), images, labels)])
    show(name, table, read_rows(asked.out))


if __name__ == "__main__":
    main()
