"""dse finish."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("finish")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--data", help="Where the images are, when not where the search found them.")
@click.option(
    "--export/--no-export", "exporting", default=True, show_default=True, help="Export the front when all is converted."
)
@click.option(
    "--test-images", type=click.IntRange(min=1), help="Score exported files on the first N test images. [default: all]"
)
def command(run: Path, data: str | None, exporting: bool, test_images: int | None) -> None:
    """Convert what a search without TensorFlow has trained in RUN, and record its int8 accuracy.

    A search on a GPU with JAX takes the float accuracy in its place, because only TensorFlow writes int8 files.
    Stopped, it goes on when the same command is given again. Then come the front, its plots and its bundles, as after a
    search.

    \b
    Example:
      dse finish results/cmv3-imxrt1060
    """
    from dse.cli.ending import end_of_run
    from dse.cli.messages import note
    from dse.export.finish import finish_run

    if not finish_run(run, data, note):
        note(f"{run}: every trial has the accuracy that its task asks for")
    end_of_run(run, exporting, test_images)
