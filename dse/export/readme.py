"""The README of a bundle: its report, for people."""

from __future__ import annotations

from dse._util.units import count_text, milliseconds_text
from dse.export.report import BundleReport, FineTuned, Interval, OnBoard, Rates, Score

# Of a report what is a record, and follows from no file of the bundle.
RECORDED_TEXT = "trial, seed, validation accuracy, how it was quantized"
MOST_CLASSES = 20  # of which a table is still read


def readme(report: BundleReport) -> str:
    """Markdown, from the report alone."""
    predicted, measured, arena = report.predicted, report.measured, report.arena
    shape = " x ".join(map(str, report.input_shape))
    plan = "the offline plan in the file" if measured.plan == "offline" else "its own greedy plan"
    operators = ", ".join(f"{count} {name}" for name, count in measured.operators.items())
    boards = "\n".join(_board_line(name, verdict) for name, verdict in report.fits.items())
    return f"""# Candidate {report.candidate}

`model_int8.tflite` takes int8 images of {shape}: feed `pixel - 128`. It returns one int8 score per class, in the
order of `labels.txt`; the class is the largest. `firmware/` has it as C++, with a program that runs it and a self-test.

{count_text(predicted.params)} parameters, {count_text(predicted.macs)} multiply-accumulates.
Operators: {operators}.

## Does it fit

{_table(report)}

The head is TFLM's, with {plan}. On a 32-bit microcontroller the arena must have

{_arenas(report)}

`firmware/model_settings.h` gives it {arena.bytes:,}: {arena.margin_bytes:,} more, for other compilers and newer
sources.

{boards}

## How good is it

{_accuracy(report)}

{_classes(report)}

## Where it comes from

{_origin(report)}

Everything is in `report.json`; the network is `candidate.json` (`dse cost candidate.json`). `dse export . --check`
runs all of it again from these files and the test images, but for what only the search knew: {RECORDED_TEXT}.
"""


def _table(report: BundleReport) -> str:
    rows = [
        f"| {title} | {getattr(report.predicted, key):,} | {getattr(report.measured, key):,} |"
        for title, key in (
            ("arena head (activations)", "arena_head_bytes"),
            ("arena tail on a 64-bit host", "arena_tail_bytes_host"),
            ("flash (the file)", "flash_bytes"),
        )
    ]
    return "\n".join(("| bytes | predicted | measured |", "|---|---|---|", *rows))


def _arenas(report: BundleReport) -> str:
    rows = [
        f"| {name} | {one.head_bytes:,} | {one.tail_bytes:,} | {one.bytes:,} |"
        for name, one in report.arena.by_build.items()
    ]
    return "\n".join(("| build | head | tail | arena |", "|---|---|---|---|", *rows))


def _board_line(name: str, verdict: OnBoard) -> str:
    over = [f"{what} by {size:,} bytes" for what, size in verdict.over_by.items() if size]
    latencies = [
        f"{milliseconds_text(one.low)} to {milliseconds_text(one.high)} with {one.runtime}"
        for one in verdict.latencies_ms
    ]
    took = f"; latency (modelled) {', '.join(latencies)}" if latencies else ""
    fits = "fits" if verdict.fits else f"does not fit: {', '.join(over)}"
    if verdict.fits and not verdict.fits_with_margin:
        fits += ", but not with the margin: define a smaller MODEL_ARENA_BYTES"
    return f"- {name}: {fits}{took}"


def _accuracy(report: BundleReport) -> str:
    scores = report.accuracy
    rows = [
        _score("float", scores.float32),
        _score("int8 on LiteRT", scores.litert_int8),
        _score("int8 on TensorFlow Lite Micro", scores.tflm_int8),
    ]
    if isinstance(report.quantization, FineTuned):
        before = report.quantization.before
        rows.append(_score("before fine-tuning: float", before.float32))
        rows.append(_score("before fine-tuning: int8 on LiteRT", before.litert_int8))
    some = " (the first ones only)" if report.partial else ""
    text = [
        f"On {report.test_images:,} test images{some} of {report.data.source}:",
        "",
        "| | accuracy | 95 % interval |",
        "|---|---|---|",
        *rows,
    ]
    if report.warning:
        text += ["", f"**Warning:** {report.warning}."]
    return "\n".join(text)


def _score(title: str, score: Score) -> str:
    return f"| {title} | {score.accuracy:.2%} | {score.low_95:.2%} to {score.high_95:.2%} |"


def _classes(report: BundleReport) -> str:
    """Figures by class of int8 on TFLM, and who is taken for whom."""
    names = report.classes
    precision, recall, f1 = _rates(report.mean)
    summary = f"Mean over classes, int8 on TFLM (95 % intervals): precision {precision}, recall {recall}, F1 {f1}"
    if len(names) > MOST_CLASSES:
        return summary + ". By class, with the confusion matrix, in `report.json`."
    head = " | ".join(str(index) for index in range(len(names)))
    lines = [
        f"| | class | precision | recall | F1 | found as {head} |",
        "|---|---|---|---|---|" + "---|" * len(names),
    ]
    for index, (name, figures) in enumerate(report.per_class.items()):
        counts = " | ".join(map(str, report.confusion_matrix[index]))
        lines.append(f"| {index} | {_cell(name)} | {' | '.join(_rates(figures))} | {counts} |")
    return "\n".join((*lines, "", summary + "."))


def _rates(rates: Rates) -> tuple[str, str, str]:
    """Precision, recall and F1, each with its interval."""
    return (
        _rate(rates.precision, rates.precision_95),
        _rate(rates.recall, rates.recall_95),
        _rate(rates.f1, rates.f1_95),
    )


def _rate(rate: float, interval: Interval) -> str:
    low, high = interval
    return f"{rate:.1%} ({100 * low:.1f} to {100 * high:.1f})"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _origin(report: BundleReport) -> str:
    quantization, golden = report.quantization, report.golden
    ranges = f"{quantization.calibration_images} training images"
    how = f"- int8 by post-training quantization: weights per channel, ranges from {ranges}"
    if isinstance(quantization, FineTuned):
        how = (
            f"- int8 by quantization-aware fine-tuning: {quantization.epochs} epochs at a learning rate of"
            f" {quantization.learning_rate:g}, ranges from {ranges} at first"
        )
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    return "\n".join(
        (
            f"- images: {report.data.source} (SHA-256 {report.data.sha256})",
            f"- trial {report.trial} of a search with seed {report.seed}",
            how,
            f"- golden vectors: {golden.count}. {golden.source}",
            f"- {versions}",
        )
    )
