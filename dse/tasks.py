"""Tasks: what is to be learnt, what is wanted of a network, and the training recipe.

A task names a data set (`cifar10`, `cifar100`, `vww`) or a folder of images; its `objectives` are what the search
trades against each other; `accuracy` says which accuracy that is.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dse._util.shipped import find, shipped
from dse._util.strict_yaml import load
from dse.cost.metrics import OBJECTIVES
from dse.network.training import Training

FOLDER = "objectives"
FOLDER_OF_IMAGES: Literal["folder"] = "folder"
if TYPE_CHECKING:
    Measure = str
else:
    Measure = Literal[OBJECTIVES]


class Task(BaseModel):
    """A task as its YAML file describes it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    task: str
    about: str = ""
    # folder: train/<class>/*, test/<class>/* and perhaps val/<class>/*, given as `data`; vww: such a folder, made by
    # `dse data get vww` or given as `data`
    dataset: Literal["cifar10", "cifar100", "vww", "folder"]
    image_size: Annotated[int, Field(ge=8, le=512)] | None = None  # None: the size of the images, but at most
    largest_size: Annotated[int, Field(ge=8, le=512)] = 96
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1  # share of the training images, where there is no val/
    accuracy: Literal["int8", "float"] = "int8"  # measured on the validation images
    objectives: Annotated[list[Measure], Field(min_length=1)] = ["accuracy", "params", "macs", "arena_bytes"]
    training: Training = Training(recipe="auto")

    @model_validator(mode="after")
    def _objectives_once(self) -> Self:
        if len(set(self.objectives)) < len(self.objectives):
            raise ValueError(f"objectives: came {self.objectives}, expected every objective once")
        return self

    def to_dict(self) -> dict[str, Any]:
        """Plain data. Settings that came later are left out at their defaults: the settings of old runs stay."""
        values = self.model_dump(mode="json") | {"training": self.training.to_dict()}
        if self.largest_size == type(self).model_fields["largest_size"].default:
            del values["largest_size"]
        return values


def load_task(name: str) -> Task:
    """The task in a file, a shipped one by its name, or a folder of images. Raises FileError, UnknownNameError.

    Its trainings go by the recipe for their length, unless its file says otherwise.
    """
    folder = Path(name)
    if folder.is_dir() and name not in {path.stem for path in list_tasks()}:
        # Where the folder lies is no part of the task: its images are told apart by their checksum.
        return Task(task=folder.resolve().name, about="a folder of images", dataset=FOLDER_OF_IMAGES)
    document = load(find(FOLDER, name))
    task = document.check(Task, document.value)
    # NOTE: not the default of `Training`: candidates and runs of before are without a recipe, and stay so.
    return task.model_copy(update={"training": Training(**{"recipe": "auto"} | task.training.given)})


def list_tasks() -> Iterator[Path]:
    """The files of the shipped tasks."""
    return shipped(FOLDER)
