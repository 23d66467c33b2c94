"""How fast networks train on one core, as ratios in one run: `python -m benchmarks.bench_training`.

stock: `model.fit` of Keras' layers on images that are ready, with what TensorFlow chooses by itself.
onednn: the same with oneDNN, which TensorFlow takes by itself only where the processor has AVX-512.
before: stock, on dse's batches, which augment: `dse search --arithmetic plain` before it chose anything.
fused, bf16: what dse has since; bf16 only where the processor gains by it.

Each is a process of its own, for oneDNN is chosen once in a process. They take turns, an epoch each, three times; the unit
is images per second of the process, so that other work counts less. `losses` are of the last epoch, of before and of what
is fastest: they saw the same images.

The floor is a bound to compare with, not a promise: 6 operations for each multiply-accumulate at the speed of a large
float32 matrix product, and 16 bytes for each element of a layer's output at that of a copy of 64 MiB.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np

from benchmarks.networks import NAMES, network

STOCK = ("stock", "onednn", "before")
ROUNDS = 3
IMAGES = 1_024
ONE_CORE = {"OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}


class Child:
    """A process that has one network ready, in one arithmetic."""

    def __init__(self, name: str, variant: str, images: int) -> None:
        environment = os.environ | ONE_CORE
        environment.pop("TF_ENABLE_ONEDNN_OPTS", None)
        if variant == "onednn":
            environment["TF_ENABLE_ONEDNN_OPTS"] = "1"
        program = [sys.executable, "-W", "ignore", "-m", "benchmarks.bench_training", "--child", name, variant]
        self.process = subprocess.Popen(
            [*program, "--images", str(images)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.start = self.answer()

    def answer(self) -> dict[str, float]:
        """What it tells next."""
        assert self.process.stdout is not None
        return dict(json.loads(self.process.stdout.readline()))

    def epoch(self) -> dict[str, float]:
        """An epoch: images a second, and its loss."""
        assert self.process.stdin is not None
        print(file=self.process.stdin, flush=True)
        return self.answer()


def child(name: str, variant: str, images: int) -> None:
    """Trains an epoch for every line that comes in."""
    if variant in STOCK:
        import tensorflow  # noqa: F401  # before dse, which would choose oneDNN

    from dse._util.quiet import quiet_tensorflow

    quiet_tensorflow(1)
    from dse.data.datasets import load_data
    from dse.data.images import Images, as_input, to_float
    from dse.network.training import Training
    from dse.tasks import load_task
    from dse.training.arithmetic import builder_of
    from dse.training.batches import Batches
    from dse.training.loop import compile_model
    from dse.training.model import build_model

    candidate = network(name)
    chosen: Any = "plain" if variant in STOCK else variant
    data = as_input(load_data(load_task("cifar10"), "sample").train.first(images), candidate.input_shape)
    batches = Batches(data, Training(learning_rate=1e-3, schedule="constant"), 0)
    began = time.process_time()
    model = build_model(candidate.network, l2=candidate.training.l2, builder=builder_of(chosen))
    compile_model(model, batches, chosen)
    few = Batches(Images(data.images[:64], data.labels[:64]), batches.training, 0)
    model.fit(few, verbose=0)
    print(json.dumps({"start": time.process_time() - began}), flush=True)
    ready = {"x": to_float(data.images), "y": data.labels, "batch_size": 64} if variant in STOCK[:2] else {"x": batches}
    for epoch, _ in enumerate(sys.stdin):
        batches.start(epoch)
        began = time.process_time()
        history = model.fit(**ready, verbose=0).history
        speed = len(data) / (time.process_time() - began)
        print(json.dumps({"speed": speed, "loss": history["loss"][-1]}), flush=True)


def ceilings() -> tuple[float, float]:
    """Operations a second of a matrix product of 1024x1024, and bytes a second of a copy, on one core."""
    left = np.ones((1024, 1024), np.float32)
    large = np.ones(16 << 20, np.float32)
    other = np.empty_like(large)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return 2 * 1024**3 / best(lambda: left @ left), 2 * large.nbytes / best(lambda: np.copyto(other, large))


def best(work: Any) -> float:
    """Seconds of the quickest of ten."""
    times = []
    for _ in range(10):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def floor(name: str, operations: float, bandwidth: float) -> float:
    """Images a second that one core cannot pass, by the ceilings."""
    from dse.cost.report import estimate

    network_ = network(name).network
    elements = sum(int(np.prod(layer.shape)) for layer in network_)
    return 1 / (6 * estimate(network_).macs / operations + 16 * elements / bandwidth)


def measure(name: str, variants: list[str], images: int) -> dict[str, list[dict[str, float]]]:
    """Starts and epochs of every variant, in turn."""
    children = {variant: Child(name, variant, images) for variant in variants}
    found = {variant: [one.start] for variant, one in children.items()}
    for _ in range(ROUNDS):
        for variant, one in children.items():
            found[variant].append(one.epoch())
    for one in children.values():
        one.process.communicate("")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=list(NAMES), choices=NAMES)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        child(*asked.child, asked.images)
        return
    from dse._util.quiet import quiet_tensorflow

    operations, bandwidth = ceilings()
    print(f"one core: {operations / 1e9:.0f} GFLOP/s in a float32 matrix product, {bandwidth / 1e9:.0f} GB/s in a copy")
    quiet_tensorflow(1)
    from dse.training.fast.bfloat16 import bfloat16_pays

    variants = [*STOCK, "fused", *(["bf16"] if bfloat16_pays() else [])]
    print("images per CPU second, the median of three; after x: of stock; first step: CPU seconds until it is done")
    for name in asked.networks:
        found = measure(name, variants, asked.images)
        speeds = {variant: statistics.median(row["speed"] for row in rows[1:]) for variant, rows in found.items()}
        texts = [f"{variant} {speed:,.0f} (x{speed / speeds['stock']:.2f})" for variant, speed in speeds.items()]
        bound = floor(name, operations, bandwidth)
        print(f"{name}: {', '.join(texts)}; {max(speeds.values()) / bound:.0%} of the floor's {bound:,.0f}")
        starts = ", ".join(f"{variant} {rows[0]['start']:.1f}" for variant, rows in found.items())
        losses = ", ".join(f"{variant} {found[variant][-1]['loss']:.4f}" for variant in ("before", variants[-1]))
        print(f"  first step: {starts}; losses: {losses}", flush=True)


if __name__ == "__main__":
    main()
