"""dse export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dse.cli.messages import note, with_options
from dse.errors import ExportError
from dse.network.training import QatSettings

if TYPE_CHECKING:
    from dse.export.bundle import Exported


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--front", is_flag=True, help="Every trial on the front.")
@click.option(
    "--trial", "trials", type=click.IntRange(min=0), multiple=True, help="This trial; may be given several times."
)
@click.option("--board", "boards", multiple=True, help="Say whether it fits this board. [default: the run's boards]")
@click.option("--data", help="Where the images are. [default: as the search was told]")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the bundles. [default: RUN/bundles]")
@click.option("--test-images", type=click.IntRange(min=1), help="Score on the first N test images. [default: all]")
@click.option(
    "--check", is_flag=True, help="RUN is a bundle, or a folder of some: run them again, compare every figure."
)
@click.option("--qat", is_flag=True, help="Fine-tune in int8 first: where conversion alone loses too much.")
@click.option(
    "--qat-epochs",
    type=click.IntRange(min=1),
    help=f"Epochs of fine-tuning with --qat. [default: {QatSettings.epochs}]",
)
@click.option("--without-data", is_flag=True, help="With --check: leave out what needs the test images.")
@click.option("--json", "as_json", is_flag=True, help="The reports as a list of objects.")
def command(
    run: Path,
    front: bool,
    trials: tuple[int, ...],
    boards: tuple[str, ...],
    data: str | None,
    out: Path | None,
    test_images: int | None,
    qat: bool,
    qat_epochs: int | None,
    check: bool,
    without_data: bool,
    as_json: bool,
) -> None:
    """Write bundles of trials of RUN: int8 TFLite files with all that firmware needs.

    A bundle holds the int8 and the float file; C++ files with the model, its operators, the arena's size and a program
    that runs it; golden vectors and a self-test for the target; and a report: what was predicted beside what was
    measured, and the accuracy of the float model and of the int8 file on LiteRT and on TensorFlow Lite Micro, on the
    test images.

    --qat trains the network for some epochs more with int8's rounding in the loop, for one that loses too much when it
    is only converted; the report has both accuracies.

    --check runs a bundle again from its files alone, and fails when any figure differs.

    \b
    Example:
      dse export results/cmv3-imxrt1060 --front
      dse export results/cmv3-imxrt1060/bundles/0a1b2c3d4e5f --check
    """
    if check:
        if front or trials or boards or out or test_images or qat or qat_epochs or as_json:
            raise click.UsageError("--check takes --data or --without-data, and no other option")
        _check(run, data, without_data)
        return
    if without_data:
        raise click.UsageError("--without-data goes with --check")
    if qat_epochs and not qat:
        raise click.UsageError("--qat-epochs goes with --qat")
    if not front and not trials:
        raise click.UsageError("give --front, --trial N, or --check")
    from dse.export.runs import export_run
    from dse.hardware.boards import load_boards
    from dse.search.run_folder import load_summary

    on_front = [record.number for record in load_summary(run).front()] if front else []
    exported = export_run(
        run,
        trials=[*on_front, *trials],
        boards=load_boards(boards),
        data=data,
        out=out,
        test_images=test_images,
        qat=QatSettings(qat_epochs or QatSettings.epochs) if qat else None,
        note=note,
    )
    if as_json:
        click.echo(json.dumps([one.report.to_dict() for one in exported], indent=2))
        return
    for one in exported:
        _print(one)


def _print(exported: Exported) -> None:
    report = exported.report
    click.echo(exported.folder)
    for name in ("arena_head_bytes", "arena_tail_bytes_host", "flash_bytes"):
        predicted, measured = getattr(report.predicted, name), getattr(report.measured, name)
        click.echo(f"  {name}: predicted {predicted:,}, measured {measured:,}")
    scores = report.accuracy
    for name, score in (
        ("float", scores.float32),
        ("litert_int8", scores.litert_int8),
        ("tflm_int8", scores.tflm_int8),
    ):
        click.echo(f"  accuracy {name}: {score.accuracy:.2%} ({score.low_95:.2%} to {score.high_95:.2%})")
    if report.warning:
        click.echo(f"  warning: {with_options(report.warning)}")


def _check(path: Path, data: str | None, without_data: bool) -> None:
    """Check every bundle at a path. Raises ExportError when a figure of one differs."""
    from dse.export.runs import check_bundles

    bad: list[Path] = []
    part = " (accuracies left out)" if without_data else ""
    for folder, problems in check_bundles(path, data=data, without_data=without_data, note=note):
        click.echo(f"{folder}: {'differs' if problems else 'every figure is as reported'}{part}")
        for problem in problems:
            click.echo(f"  {with_options(problem)}")
        bad += [folder] * bool(problems)
    if bad:
        raise ExportError(f"{len(bad)} bundle(s) are not as reported: {', '.join(map(str, bad))}")
