"""Tables that others published, as dse simulate reads them: `python -m tools.convert_table nas-bench-macro IN OUT`.

- `nas-bench-macro`: nas-bench-macro_cifar10.json of github.com/xiusu/NAS-Bench-Macro; `benchmarks/spaces/nas-bench-macro.yaml`.
- `accel-nasbench`: rows of seven times "expansion kernel layers squeeze-excite", an accuracy and seconds, as CSV;
  `benchmarks/spaces/accel-nasbench.yaml`. From github.com/afzalxo/Accel-NASBench.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

LAYERS = {"0": "skip", "1": "small", "2": "large"}
Rows = Iterator[dict[str, object]]


def nas_bench_macro(path: Path) -> Rows:
    """Eight digits, one for each layer; three accuracies in percent."""
    for key, known in sorted(json.loads(path.read_text(encoding="utf-8")).items()):
        layers = {f"stages[{index}].block": LAYERS[digit] for index, digit in enumerate(key)}
        yield layers | {f"accuracy_{seed + 1}": value for seed, value in enumerate(known["test_acc"])}


def accel_nasbench(path: Path) -> Rows:
    """Seven stages, one accuracy in percent."""
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            stages = next(iter(row.values())).split()
            values: dict[str, object] = {}
            for index, (expansion, kernel, layers, excite) in enumerate(stages):
                values |= {
                    f"stages[{index}].expansion": expansion,
                    f"stages[{index}].kernel": kernel,
                    f"stages[{index}].repeats": layers,
                    f"stages[{index}].squeeze_excite": "0.25" if excite == "1" else "0",
                }
            yield values | {"accuracy": row["val_top1"], "seconds": row["train_seconds"]}


CONVERTERS: dict[str, Callable[[Path], Rows]] = {"nas-bench-macro": nas_bench_macro, "accel-nasbench": accel_nasbench}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=CONVERTERS)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    rows = list(CONVERTERS[asked.kind](asked.source))
    with asked.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows):,} rows: {asked.out}")


if __name__ == "__main__":
    main()
