"""What a table of `benchmarks.recipes` says: `python -m benchmarks.compare TABLE --by arithmetic` (or recipe).

Trainings that differ in that alone are pairs. Of every two values: how many pairs, the mean difference in int8 and float
accuracy with its standard error, that of the training loss, and the ratio of CPU time. Below stands what seeds alone do:
the spread (standard deviation) of one training about the mean of its seeds.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import numpy as np

from benchmarks.recipes import Cell

Rows = list[dict[str, str]]
MEASURED = ("int8", "float", "train_loss")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path, nargs="+")
    parser.add_argument("--by", choices=Cell._fields, default="recipe")
    asked = parser.parse_args()
    rows = [row for table in asked.table for row in csv.DictReader(table.open(newline="", encoding="utf-8"))]
    for line in (*differences(rows, asked.by), *spread_of_seeds(rows)):
        print(line)


def differences(rows: Rows, by: str) -> list[str]:
    """A line for every two values of `by`."""
    found: dict[str, dict[tuple[str, ...], dict[str, str]]] = defaultdict(dict)
    for row in rows:
        found[row[by]][tuple(row[name] for name in Cell._fields if name != by)] = row
    lines = []
    for first, second in combinations(found, 2):
        if shared := sorted(found[first].keys() & found[second].keys()):
            pairs = [(found[first][key], found[second][key]) for key in shared]
            texts = [f"{name} {_mean(pairs, name)}" for name in MEASURED]
            cpu = sum(float(b["cpu_seconds"]) for _, b in pairs) / sum(float(a["cpu_seconds"]) for a, _ in pairs)
            lines.append(f"{second} against {first}: {len(pairs)} pairs; {', '.join(texts)}; CPU x{cpu:.2f}")
    return lines


def _mean(pairs: list[tuple[dict[str, str], dict[str, str]]], name: str) -> str:
    scale = 1 if "loss" in name else 100
    values = scale * np.array([float(b[name]) - float(a[name]) for a, b in pairs])
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{values.mean():+.3g} +- {error:.2g}"


def spread_of_seeds(rows: Rows) -> list[str]:
    """A line, where there are trainings that differ in the seed alone."""
    cells = defaultdict(list)
    for row in rows:
        cells[tuple(row[name] for name in Cell._fields if name != "seed")].append(row)
    several = [cell for cell in cells.values() if len(cell) > 1]
    if not several:
        return ["seeds: one each"]
    texts = []
    for name in MEASURED:
        scale = 1 if "loss" in name else 100
        variances = [np.var([scale * float(row[name]) for row in cell], ddof=1) for cell in several]
        texts.append(f"{name} {np.sqrt(np.mean(variances)):.3g}")
    return [f"seeds alone, {len(several)} cells: {', '.join(texts)}"]


if __name__ == "__main__":
    main()
