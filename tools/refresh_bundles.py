"""Writes committed bundles anew from their own files: `python -m tools.refresh_bundles results`.

What needs no test images is computed again (arenas, boards, latencies), accuracies stay; so a bundle says what this
version says of its network without being trained or scored again.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from dse._util.files import write_atomic
from dse._util.quiet import quiet_tensorflow
from dse.export.bundle import Bundle, read_bundle, texts
from dse.export.report import REPORT, BundleReport
from dse.hardware.boards import Board, list_boards, load_board


def refreshed(bundle: Bundle) -> BundleReport:
    """The report of a bundle as it would be written now; of boards that are shipped what is known of them now."""
    from dse.export.measure import measure_files

    shipped = {path.stem for path in list_boards()}
    boards = tuple(load_board(board.name) if board.name in shipped else board for board in bundle.report.boards)
    # With every default, as an export keeps them.
    boards = tuple(Board.model_validate(board.model_dump(mode="json", exclude_none=True)) for board in boards)
    images = bundle.golden.inputs.view(np.uint8) ^ 0x80  # int8 input is pixel - 128
    figures = measure_files(bundle.models, boards, images)
    return bundle.report.model_copy(update={**dict(figures), "boards": boards})


def main() -> None:
    quiet_tensorflow()
    for path in sorted(Path(sys.argv[1]).glob(f"**/{REPORT}")):
        bundle = read_bundle(path.parent)
        report = refreshed(bundle)
        for name, text in texts(bundle.models, bundle.golden, report).items():
            write_atomic(path.parent / name, text)
        write_atomic(path, report.to_json())
        print(path.parent)


if __name__ == "__main__":
    main()
