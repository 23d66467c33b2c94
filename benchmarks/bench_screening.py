"""How fast candidates are costed on one core, beside building and converting the same ones: `make bench`."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from dse.cost.report import estimate
from dse.network.candidate import Candidate
from dse.screening.screening import Screening
from dse.space.space import load_space
from tests.helpers.paths import MODELS

ROUNDS = 3
MANY = 50_000  # random candidates of one screening, from nothing: the first ones cost most
BUILT = 6  # candidates that are built, converted and allocated
MODEL = MODELS / "mlperf_resnet8.tflite"


def per_second(count: int, work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


def median(count: int, work: Callable[[], Any]) -> float:
    return statistics.median(per_second(count, work) for _ in range(ROUNDS))


def light(name: str) -> None:
    """Parameters, MACs and the bytes alive at the worst, without the plan."""
    screening = Screening(load_space(name))
    for _ in range(MANY):
        sections = screening.draw().sections
        if sections:
            sum(section.params for section in sections)
            sum(section.macs for section in sections)
            max(section.peak_bytes for section in sections)


def full(name: str) -> None:
    """Everything: the plan, better ones where TFLM's wastes memory, tail, flash, work."""
    for _ in Screening(load_space(name)).costs(MANY):
        pass


def convert_and_allocate(candidates: list[Candidate]) -> tuple[float, float]:
    """Candidates per second built as Keras models; and built, converted, and allocated by TFLM."""
    from dse.training.model import build_model
    from tests.helpers.conversion import convert
    from tests.helpers.tflm import allocations

    convert(candidates[0])  # what TensorFlow does once
    build = per_second(len(candidates), lambda: [build_model(candidate.network) for candidate in candidates])
    allocate = per_second(len(candidates), lambda: allocations({c.id: convert(c) for c in candidates}))
    return build, allocate


def main() -> None:
    print(f"one core, candidates per second, median of {ROUNDS}; {MANY:,} from nothing")
    for name in ("mixed", "cmv3"):
        rng, space = np.random.default_rng(0), load_space(name)
        candidates = [space.sample(rng)[1] for _ in range(100)]
        rows = {
            "parameters, MACs and peak": median(MANY, lambda name=name: light(name)),
            "everything, the plan included": median(MANY, lambda name=name: full(name)),
            "one candidate by itself": median(100, lambda c=candidates: [estimate(one.network) for one in c]),
        }
        build, allocate = convert_and_allocate(candidates[:BUILT])
        rows["building the Keras model"] = build
        rows["building, converting and allocating"] = allocate
        print(name)
        for what, rate in rows.items():
            print(f"  {what:36} {rate:10,.1f}   {rate / allocate:10,.0f} x")
    starts = [1 / per_second(1, cost_of_a_file) for _ in range(5)]
    print(f"`dse cost model.tflite`, from the shell: {statistics.median(starts):.2f} s")


def cost_of_a_file() -> None:
    program = [sys.executable, "-c", "from dse.cli import main; main()", "cost", str(MODEL), "--board", "nano33ble"]
    subprocess.run(program, check=True, capture_output=True)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
