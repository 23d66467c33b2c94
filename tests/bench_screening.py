"""How many candidates per second are drawn, written out and costed on one core: `make bench`."""

from __future__ import annotations

import statistics
import time

import numpy as np

from dse.cost import estimate
from dse.space import list_spaces, load_space

CANDIDATES, ROUNDS = 400, 5


def main() -> None:
    print(f"{'space':8} {'load ms':>8} {'draw/s':>8} {'cost/s':>8} {'both/s':>8}   (median of {ROUNDS})")
    for path in list_spaces():
        rows = []
        for seed in range(ROUNDS):
            start = time.perf_counter()
            space = load_space(str(path))
            loaded = time.perf_counter()
            rng = np.random.default_rng(seed)
            candidates = [space.sample(rng)[1] for _ in range(CANDIDATES)]
            drawn = time.perf_counter()
            for candidate in candidates:
                estimate(candidate.network)
            done = time.perf_counter()
            rows.append(
                (
                    1000 * (loaded - start),
                    CANDIDATES / (drawn - loaded),
                    CANDIDATES / (done - drawn),
                    CANDIDATES / (done - loaded),
                )
            )
        load, draw, cost, both = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"{path.stem:8} {load:8.0f} {draw:8.0f} {cost:8.0f} {both:8.0f}")


if __name__ == "__main__":
    main()
