"""Recipes by the length of a training: what they give, what stands above them, and that nothing of before changes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

from dse.errors import FileError
from dse.network.candidate import Candidate
from dse.network.recipes import RECIPES, SHORT_EPOCHS
from dse.network.training import Training
from dse.search.description import describe, with_defaults_of_run
from dse.search.explorers.names import parse_explorers
from dse.space.conditions import first
from dse.space.single import space_of, with_training
from dse.space.space import Defaults, list_references, load_space, parse_space
from dse.tasks import Task, list_tasks, load_task
from tests.helpers.networks import family_space, only_candidate
from tests.helpers.paths import RUN
from tests.helpers.searches import settings

AUTO = Training(recipe="auto")


def taken(training: Training, *, of: str) -> None:
    assert training.recipe == of
    assert {name: getattr(training, name) for name in RECIPES[of]} == RECIPES[of]


def test_the_length_decides() -> None:
    taken(AUTO.with_settings({"epochs": SHORT_EPOCHS}), of="short")
    taken(AUTO.with_settings({"epochs": SHORT_EPOCHS + 1}), of="long")
    taken(AUTO.with_settings({}), of="long")  # of 30 epochs
    assert RECIPES["short"]["augment"] != RECIPES["long"]["augment"]


def test_what_is_given_stands_above_it() -> None:
    space = parse_space(family_space("conv").document.text + "training: {learning_rate: 0.004, epochs: 3}\n", "a.yaml")
    [(_, candidate)] = space.candidates(Defaults(training=AUTO))
    assert candidate.training.recipe == "short"
    assert candidate.training.learning_rate == 0.004
    assert candidate.training.schedule == "linear"


@pytest.mark.parametrize("own", [{"optimizer": "sgd"}, {"optimizer": "adam"}, {"pretrained": "imagenet"}])
def test_who_has_a_recipe_of_their_own_is_given_none(own: dict[str, str]) -> None:
    assert AUTO.with_settings(own) == Training(**own)  # type: ignore[arg-type]
    assert AUTO.with_settings({"recipe": "none"}) == Training()
    asked_for = Training(optimizer="adamw").with_settings({"recipe": "short"})
    assert (asked_for.optimizer, asked_for.learning_rate) == ("adamw", RECIPES["short"]["learning_rate"])


def test_references_keep_the_recipes_of_their_papers() -> None:
    with_own = [space for path in list_references() if (space := load_space(str(path))).template.training]
    assert len(with_own) > 10
    for space in with_own:
        plain, auto = (space.candidate(first, Defaults(training=training)) for training in (Training(), AUTO))
        assert plain == auto


def test_candidates_of_before_are_what_they_were() -> None:
    for path in sorted((RUN / "models").glob("*/candidate.json")):
        candidate = Candidate.from_json(path.read_text())
        assert candidate.training.recipe == "none"
        assert candidate.id == path.parent.name


def test_another_length_takes_another_recipe() -> None:
    short = dataclasses.replace(only_candidate(family_space("conv")), training=AUTO.with_settings({"epochs": 4}))
    longer = only_candidate(space_of(short, "again", epochs=100))
    taken(longer.training, of="long")
    own = dataclasses.replace(short, training=AUTO.with_settings({"epochs": 4, "learning_rate": 0.02}))
    assert only_candidate(space_of(own, "again", epochs=100)).training.learning_rate == 0.02
    assert only_candidate(space_of(short, "again")).training == short.training
    before = dataclasses.replace(short, training=Training(epochs=4))
    assert only_candidate(space_of(before, "again", epochs=100)).training == Training(epochs=100)
    with pytest.raises(FileError, match="learning_rate"):  # and no error of a library
        space_of(short, "again", learning_rate=100.0)
    referred = only_candidate(with_training(load_space("cmv3_buildable"), epochs=2))
    assert referred.training.recipe == "none"


def test_a_candidate_knows_its_recipe() -> None:
    short = dataclasses.replace(only_candidate(family_space("conv")), training=AUTO.with_settings({"epochs": 4}))
    again = Candidate.from_json(short.to_json())
    assert again == short
    assert again.training.recipe == "short"
    assert '"recipe":"short"' in short.to_json()
    assert short.training.recipe_text().startswith("short: optimizer adam, learning_rate 0.01")
    assert Training().recipe_text() == ""


def test_tasks_go_by_recipes(tmp_path: Path) -> None:
    for path in list_tasks():
        assert load_task(path.stem).training.recipe == "auto"
    file = tmp_path / "mine.yaml"
    file.write_text("task: mine\ndataset: cifar10\n")
    assert load_task(str(file)).training == AUTO
    file.write_text("task: mine\ndataset: cifar10\ntraining: {epochs: 5, l2: 1e-4}\n")
    taken(load_task(str(file)).training.with_settings({}), of="short")
    file.write_text("task: mine\ndataset: cifar10\ntraining: {recipe: none}\n")
    assert load_task(str(file)).training == Training(recipe="none")
    file.write_text("task: mine\ndataset: cifar10\ntraining: {epochs: 5, optimizer: adam}\n")
    assert load_task(str(file)).training.with_settings({}) == Training(epochs=5)
    task = load_task("cifar10")
    assert Task.model_validate(task.to_dict()).training == task.training  # as run.yaml has it


def test_a_run_of_before_goes_on_as_it_began(tmp_path: Path) -> None:
    """Its run.yaml has every setting, and none of a recipe; and it was explored as was the default then."""
    asked = settings(tmp_path / "run")
    before = dataclasses.replace(
        asked,
        task=asked.task.model_copy(update={"training": Training(epochs=30)}),
        explorers=parse_explorers(["bayes", "optuna:tpe", "nni:tpe", "random=0.2"]),
    )
    (tmp_path / "run").mkdir()
    from dse.data.datasets import load_data

    description = describe(before, load_data(before.task, "sample"), {})
    (tmp_path / "run" / "run.yaml").write_text(yaml.safe_dump(description))
    resumed = with_defaults_of_run(asked)
    assert resumed.explorers == pytest.approx(before.explorers, abs=1e-5)
    assert dataclasses.replace(resumed, explorers=before.explorers) == before
    said = dataclasses.replace(asked, explorers={"grid": 1.0})
    assert with_defaults_of_run(said).explorers == {"grid": 1.0}  # it is refused then
    asked = dataclasses.replace(asked, explorers=before.explorers)
    other = dataclasses.replace(
        asked, task=asked.task.model_copy(update={"training": Training(recipe="auto", epochs=31)})
    )
    assert with_defaults_of_run(other) == other  # it is refused then, as a change of the task
    fresh = dataclasses.replace(asked, folder=tmp_path / "other")
    assert with_defaults_of_run(fresh) == fresh
    unsaid = dataclasses.replace(fresh, explorers={})
    assert with_defaults_of_run(unsaid).explorers == {"bayes": 1.0}
