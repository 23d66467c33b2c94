"""Tasks: what is to be learnt, what is wanted of a network, and the training recipe.

A task names a data set (`cifar10`, `cifar100`) or a folder of images; its `objectives` are what the search
trades against each other; `accuracy` says which accuracy that is.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from dse.resources import find, shipped
from dse.strict_yaml import load, parse
from dse.training import Training

FOLDER = "objectives"
Measure = Literal["accuracy", "params", "macs", "arena_bytes", "flash_bytes"]
DIRECTIONS: dict[str, Literal["maximize", "minimize"]] = {
    "accuracy": "maximize",
    "params": "minimize",
    "macs": "minimize",
    "arena_bytes": "minimize",
    "flash_bytes": "minimize",
}


class Task(BaseModel):
    """A task as its YAML file describes it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    task: str
    about: str = ""
    dataset: str  # cifar10, cifar100, or a folder with train/<class>/* and test/<class>/*
    image_size: Annotated[int, Field(ge=8, le=512)] | None = None  # None: the size of the images
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1  # share of the training images held out
    accuracy: Literal["int8", "float"] = "int8"  # measured on the validation images
    objectives: Annotated[list[Measure], Field(min_length=1)] = ["accuracy", "params", "macs", "arena_bytes"]
    training: Training = Training()


def load_task(name: str) -> Task:
    """The task in a file, a shipped one by its name, or a folder of images. Raises FileError, UnknownNameError."""
    folder = Path(name)
    if folder.is_dir():
        return Task(task=folder.resolve().name, about=f"images in {folder}", dataset=str(folder.resolve()))
    document = load(find(FOLDER, name))
    return document.check(Task, document.value)


def parse_task(text: str, file: str) -> Task:
    """The task in `text`. Raises FileError."""
    document = parse(text, file)
    return document.check(Task, document.value)


def list_tasks() -> Iterator[Path]:
    """The files of the shipped tasks."""
    return shipped(FOLDER)
