"""dse export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dse.errors import DataError, DseError, ExportError, RunError, TrialError
from dse.network.training import QatSettings

if TYPE_CHECKING:
    from dse.data.datasets import Data
    from dse.export.export import Exported
    from dse.search.record import TrialRecord


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
    from dse.search.run_folder import load_summary

    if check:
        if front or trials or boards or out or test_images or qat or qat_epochs or as_json:
            raise click.UsageError("--check takes --data or --without-data, and no other option")
        check_bundles(run, data, without_data)
        return
    if without_data:
        raise click.UsageError("--without-data goes with --check")
    if qat_epochs and not qat:
        raise click.UsageError("--qat-epochs goes with --qat")
    if not front and not trials:
        raise click.UsageError("give --front, --trial N, or --check")
    summary = load_summary(run)
    chosen = summary.front() if front else []
    for number in trials:
        if number >= len(summary.records):
            raise RunError(f"{run}: no trial {number}; there are {len(summary.records)}, from 0")
        chosen.append(summary.records[number])
    tuning = QatSettings(qat_epochs or QatSettings.epochs) if qat else None
    exported = export_records(run, chosen, boards, data, out, test_images, tuning)
    if as_json:
        click.echo(json.dumps([one.report for one in exported], indent=2))
        return
    for one in exported:
        report = one.report
        predicted, measured, scores = report["predicted"], report["measured"], report["accuracy"]
        click.echo(one.folder)
        for name in ("arena_head_bytes", "arena_tail_bytes_host", "flash_bytes"):
            click.echo(f"  {name}: predicted {predicted[name]:,}, measured {measured[name]:,}")
        for name, score in scores.items():
            click.echo(f"  accuracy {name}: {score['accuracy']:.2%} ({score['low_95']:.2%} to {score['high_95']:.2%})")
        if report["warning"]:
            click.echo(f"  warning: {report['warning']}")


def check_bundles(path: Path, location: str | None, without_data: bool) -> None:
    """Checks every bundle at a path. Raises ExportError when a figure of one differs."""
    from dse._util.quiet import quiet_tensorflow

    quiet_tensorflow()  # before anything imports it
    from dse.data.datasets import load_data
    from dse.export.bundle import list_bundles, read_bundle
    from dse.export.check import bundle_task, check_bundle

    bad: list[Path] = []
    loaded: dict[str, Data] = {}
    for folder in list_bundles(path):
        try:
            bundle = read_bundle(folder)
            data = None
            if not without_data:
                task = bundle_task(bundle)
                key = task.model_dump_json()
                data = loaded[key] = loaded.get(key) or load_data(task, location)
                if data.digest != bundle.report["data"]["sha256"]:
                    raise DataError(
                        f"it was measured on {bundle.report['data']['source']!a}, these images are others: "
                        f"{data.source}; name the folder with --data, or leave the accuracies out with --without-data"
                    )
            problems = check_bundle(bundle, data, _note)
        except DseError as error:
            problems = [str(error)]
        part = " (accuracies left out)" if without_data else ""
        click.echo(f"{folder}: {'differs' if problems else 'every figure is as reported'}{part}")
        for problem in problems:
            click.echo(f"  {problem}")
        bad += [folder] * bool(problems)
    if bad:
        raise ExportError(f"{len(bad)} bundle(s) are not as reported: {', '.join(map(str, bad))}")


def export_front(run: Path, test_images: int | None = None) -> list[Exported]:
    """Exports the trials on the front that have no bundle yet; returns all bundles of the front."""
    from dse.search.run_folder import bundle_folder, load_summary

    front = load_summary(run).front()
    missing = [record for record in front if not _is_exported(bundle_folder(run, record.id), test_images)]
    export_records(run, missing, (), None, None, test_images)
    from dse.export.bundle import read_report
    from dse.export.export import Exported

    folders = [bundle_folder(run, record.id) for record in front]
    return [Exported(folder, read_report(folder)) for folder in folders]


def export_records(
    run: Path,
    records: list[TrialRecord],
    boards: tuple[str, ...],
    data: str | None,
    out: Path | None,
    test_images: int | None,
    qat: QatSettings | None = None,
) -> list[Exported]:
    """Exports these trials, with the data that the run was made with. Raises RunError."""
    if not records:
        return []
    from dse._util.quiet import quiet_tensorflow
    from dse.data.datasets import load_data
    from dse.hardware.boards import load_boards
    from dse.search.run_folder import data_location, read_run, run_boards, run_task

    description = read_run(run)
    loaded = load_data(run_task(run), data or data_location(run))
    if loaded.digest != description["settings"]["data_sha256"]:
        raise RunError(
            f"{run} was made with {description['data']['source']}, these images are others: {loaded.source}; "
            "name the folder with --data"
        )
    named = load_boards(boards)
    named = named or run_boards(run)
    quiet_tensorflow()
    from dse.export.export import export

    exported, problems = [], []
    for record in records:
        try:
            folder = out / record.id if out else None
            exported.append(
                export(run, record, loaded, named, folder=folder, test_images=test_images, qat=qat, note=_note)
            )
        except (ExportError, TrialError) as error:
            problems.append(f"trial {record.number} ({record.id}): {error}")
    if problems:
        raise ExportError("; ".join(problems) + f"; {len(exported)} other bundle(s) were written")
    return exported


def _note(text: str) -> None:
    click.echo(text, err=True)


def _is_exported(folder: Path, test_images: int | None) -> bool:
    """Whether a bundle is there that was scored on as many images."""
    from dse.export.bundle import read_report

    try:
        report = read_report(folder)
    except DseError:  # none, a broken one, or one of an older format
        return False
    asked = report["test_images"] if test_images is None and not report.get("partial") else test_images
    return bool(report["test_images"] == asked)
