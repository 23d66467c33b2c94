"""How soon the command line answers: `python -m benchmarks.bench_start`. Half a second is the promise for `--help`."""

from __future__ import annotations

import subprocess
import sys
import time

ROUNDS = 5
COMMANDS = (["--help"], ["list"], ["cost", "cmv3.yaml", "--board", "nano33ble"])


def main() -> None:
    for arguments in COMMANDS:
        times = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            program = [sys.executable, "-c", "from dse.cli import main; main()", *arguments]
            subprocess.run(program, check=True, capture_output=True)
            times.append(time.perf_counter() - started)
        print(f"dse {' '.join(arguments)}: {min(times):.2f} s, the best of {ROUNDS}")


if __name__ == "__main__":
    main()
