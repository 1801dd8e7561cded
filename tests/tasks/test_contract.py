"""What every task must do: the built-in three, and one of a package that hwnas knows no line of."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hwnas.errors import InputError, UnknownName, UsageError
from hwnas.imaging.picture import Decoded
from hwnas.nets import Network
from hwnas.space import Space, SpaceConfig, build
from hwnas.tasks import LoadedModel, Metric, Task, find, names, registry, task_for
from hwnas.tasks.examples import examples
from hwnas.tasks.readout import BOXES, KINDS, MASK
from hwnas.train import Teacher, Workload, objective_of
from hwnas.train.evaluate import outputs_of
from hwnas.train.objective import Weighed
from tests.data.layouts import coco_plain
from tests.tasks.own_task import installed

NAMES = ("classify", "detect", "multilabel", "segment", "ink")
PICTURE = np.random.default_rng(3).integers(0, 256, (40, 70, 3), dtype=np.uint8)


@dataclass(frozen=True)
class Given:
    """A task with small data, a space for it and the outputs of an untrained network."""

    work: Workload
    space: Space
    net: Network
    outputs: list[list[np.ndarray]]

    @property
    def task(self) -> Task:
        return self.work.task

    @property
    def metric(self) -> Metric:
        return self.work.metric


@pytest.fixture(scope="module", autouse=True)
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The example package, installed while these tests run."""
    folder = installed(tmp_path_factory.mktemp("site"))
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))
    registry.find.cache_clear()


def source(name: str, folder: Path) -> str:
    if name in ("detect", "multilabel"):
        return str(coco_plain(folder))
    if name != "segment":
        return "digits"
    for part, count in (("train", 6), ("val", 3)):
        for kind in (part, f"{part}annot"):
            (folder / kind).mkdir()
        for i in range(count):
            mask = np.zeros((64, 64), np.uint8)
            mask[:, : 10 + 8 * i] = 1
            Image.fromarray(np.stack([mask * 200] * 3, 2)).save(folder / part / f"{i}.png")
            Image.fromarray(mask).save(folder / f"{part}annot" / f"{i}.png")
    return str(folder)


@pytest.fixture(scope="module", params=NAMES)
def given(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Given:
    name: str = request.param
    task = find(name)
    size = (64, 64) if task.heads or task.fit == "letterbox" else None
    data = task.load(source(name, tmp_path_factory.mktemp(name)), size=size, limit=120)
    config = SpaceConfig("mobile", data.size[0], data.channels, len(data.classes), 0.5, 1, data.size[1],
                         task.heads[0] if task.heads else "", 16 if task.heads else None)
    space = build(config)
    torch.manual_seed(0)
    net = Network(space.smallest(), data.mean.tolist(), data.std.tolist())
    work = Workload.over(task, data, space)
    work.prepare(net)
    return Given(work, space, net, list(outputs_of(net, work.val_images)))


def plain(value: object) -> Any:
    """As it comes back from JSON, which has no NaN."""
    return json.loads(json.dumps(value, allow_nan=False))


def test_every_registered_task_is_held_to_this() -> None:
    assert set(names()) == set(NAMES)


def test_a_task_has_a_name_and_words(given: Given) -> None:
    task = given.task
    assert find(task.name) is task
    assert task.metric_name == given.metric.name
    assert given.metric.task == task.name
    assert task.words.title
    assert task.answers
    assert {column.network for column in task.columns} == {"reference", "compressed"}
    assert set(task.pictures) <= {"picture", "mask"}


def test_its_data_is_labelled_data(given: Given) -> None:
    data, task = given.work.data, given.task
    assert isinstance(data, task.data_type)
    assert task_for(data) is task
    assert len(data.fingerprint.removeprefix("m-")) == 16
    assert data.fingerprint_like(data.fingerprint) == data.fingerprint
    assert data.stand_in().size == data.size
    train, val = (part.pixels for part in data.parts)
    assert train.shape[1:] == (*data.size, data.channels) == val.shape[1:]
    assert data.mean.shape == data.std.shape == (data.channels,)
    told = plain(data.describe())
    assert (told["train"], told["val"]) == (len(train), len(val))
    assert set(told["classes"]) == set(data.classes)
    assert data.summary()
    assert data.val_name(0)
    assert all(isinstance(text, str) for text in task.data_warnings(told))


def test_a_fold_judges_by_images_that_were_to_train_on(given: Given) -> None:
    fold = given.work.fold(0.34, seed=1)
    assert len(fold.train_images) + len(fold.val_images) == len(given.work.train_images)
    assert len(fold.metric) == len(fold.val_images)
    assert fold.task is given.task


def test_batches_are_drawn_and_leave_the_data_alone(given: Given) -> None:
    before, shape = np.array(given.work.train_images), given.work.train_images.shape[1:]
    batches = list(given.work.epoch(4, np.random.default_rng(5)))
    again = list(given.work.epoch(4, np.random.default_rng(5)))
    assert sum(len(images) for images, _ in batches) in (len(before), len(before) - 1)
    for (images, _), (same, _) in zip(batches, again, strict=True):
        assert images.dtype == np.uint8
        assert images.shape[1:] == shape
        np.testing.assert_array_equal(images, same)
    np.testing.assert_array_equal(np.asarray(given.work.train_images), before)


def test_outputs_have_the_shapes_that_it_says(given: Given) -> None:
    config = given.space.config
    wanted = given.task.output_shapes(config.classes, config.size, given.work.layout)
    assert [output.shape[1:] for output in given.outputs[0]] == [shape[1:] for shape in wanted]


def test_a_score_is_percent_whatever_the_batches(given: Given) -> None:
    metric, outputs = given.metric, given.outputs
    halves = [[o[:2] for o in outputs[0]], [o[2:] for o in outputs[0]], *outputs[1:]]
    score = metric.score(outputs)
    assert score <= 100
    assert metric.score(halves) == pytest.approx(score)
    assert metric.agreement(outputs, outputs) == 100
    assert metric.lost(outputs, outputs)[:2] == (pytest.approx(score), 0)
    assert len(metric.first(2)) == 2
    assert metric.first(2).score([[o[:2] for o in outputs[0]]]) <= 100
    assert 0 < metric.least_agreement <= 100


def test_a_metric_comes_back_from_what_a_file_holds(given: Given) -> None:
    metric, task = given.metric, given.task
    layout = task.layout_from(plain(metric.facts()))
    again = task.metric_from(metric.arrays(), len(given.work.data.classes), layout, given.work.val_images.shape)
    assert again.score(given.outputs) == metric.score(given.outputs)
    for name in metric.arrays():
        arrays = {key: array for key, array in metric.arrays().items() if key != name}
        with pytest.raises(InputError):
            task.metric_from(arrays, len(given.work.data.classes), layout, given.work.val_images.shape)


def test_a_breakdown_is_of_that_score_and_has_the_columns(given: Given) -> None:
    classes = given.work.data.classes
    found = given.metric.breakdown(given.outputs, classes)
    assert found.standing.score == pytest.approx(given.metric.score(given.outputs))
    assert found.standing.metric == given.metric.name
    assert found.standing.level in ("better", "unclear", "nothing")
    assert bool(found.standing.verdict) == (found.standing.level != "better")
    told = plain(found.to_json())
    assert [row["class"] for row in told["per_class"]] == list(classes)
    assert all({"count"} | {column.key for column in given.task.columns} <= row.keys() for row in told["per_class"])


def test_what_a_model_says_of_itself_is_checked(given: Given) -> None:
    task, data = given.task, given.work.data
    facts = plain(task.model_facts(data, given.work.layout))
    assert set(facts) <= set(task.model_keys)
    told = {**facts, "classes": list(data.classes)}
    task.check_facts(told, given.space.config)
    with pytest.raises(InputError):
        task.check_facts({**told, "classes": [*data.classes, "one more"]}, given.space.config)
    layout = task.layout_from(told)
    assert task.output_shapes(len(data.classes), data.size, layout) == task.output_shapes(
        len(data.classes), data.size, given.work.layout)


def test_how_it_is_read_out_is_data(given: Given) -> None:
    how = plain(given.task.postprocessing(given.task.model_facts(given.work.data, given.work.layout)))
    assert how["kind"] in KINDS
    assert (how["kind"] == BOXES) == ("detection_head" in given.task.model_keys)
    assert (how["kind"] == MASK) == ("mask" in given.task.pictures)


def test_an_answer_is_json_with_the_pictures_that_were_promised(given: Given) -> None:
    task, data = given.task, given.work.data
    facts = {**task.model_facts(data, given.work.layout), "classes": list(data.classes)}

    def run(images: np.ndarray) -> list[np.ndarray]:
        return next(outputs_of(given.net, images.copy()))

    model = LoadedModel(run, list(data.classes), data.size, data.channels, facts, given.work.layout)
    assert task.fitted(model, Decoded(PICTURE)).shape == (*data.size, data.channels)
    found = task.answer(model, Decoded(PICTURE))
    assert plain(found.facts)
    assert (found.draw is not None) == ("picture" in task.pictures)
    assert found.draw is None or found.draw().shape == PICTURE.shape
    assert (found.mask is not None) == ("mask" in task.pictures)
    assert found.mask is None or found.mask.shape == PICTURE.shape[:2]


def test_cases_are_drawn_where_there_are_pictures(given: Given) -> None:
    cases = given.task.cases(given.metric, given.work.data, given.outputs)
    assert (cases is not None) == bool(given.task.pictures)
    found = examples(cases, count=1)
    assert all(example.picture.shape[0] == given.work.data.size[0] for example in found)


def test_a_mistake_costs_and_a_teacher_helps(given: Given) -> None:
    """The loss falls on one batch that is learnt by heart, alone and from a teacher."""
    torch.manual_seed(1)
    data = given.work.data
    net, teacher = (Network(given.space.smallest(), data.mean.tolist(), data.std.tolist()) for _ in range(2))
    objective = objective_of(given.task, given.work.layout, len(data.classes))
    images, targets = next(given.work.epoch(8, np.random.default_rng(0)))
    pixels = torch.from_numpy(images.copy()).permute(0, 3, 1, 2).float() / 255
    optimizer, losses = torch.optim.AdamW(net.parameters(), 1e-2), []
    with torch.no_grad():
        taught = teacher.eval()(pixels)
    for _ in range(12):
        outputs = net.train()(pixels)
        plain_loss = objective.loss(outputs, targets, 0.0)
        loss = objective.distilled(outputs, taught, plain_loss, Teacher(teacher, weight=0.1))
        assert loss.shape == plain_loss.shape == ()
        losses.append(float(plain_loss.detach()))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert np.isfinite(losses).all()
    assert min(losses[-3:]) < 0.9 * losses[0]
    assert isinstance(given.task.remembers, bool)
    assert given.task.class_weights == isinstance(objective, Weighed)


def test_a_module_of_somebody_else_imports_where_torch_is_not(tmp_path: Path) -> None:
    folder = installed(tmp_path)
    (folder / "torch.py").write_text("raise ImportError('no torch here')\n")
    program = ("from hwnas.tasks import find, names\nassert 'ink' in names()\nimport sys\n"
               "print(find('ink').metric_name, 'torch' in sys.modules)")
    root = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=240, check=False,
                          env={"PYTHONPATH": f"{folder}:{root}", "PATH": "/usr/bin:/bin"})
    assert (done.returncode, done.stdout.strip()) == (0, "skill False"), done.stderr


@pytest.mark.parametrize(("points", "message"), [
    ("bad = ink_task:SkillMetric", "must be a subclass of hwnas.tasks.Task"),
    ("bad = ink_task:Ink", "task 'bad' calls itself 'ink'"),
    ("bad = hwnas.tasks.task:Task", "task 'bad' lacks epoch, load, metric, metric_from"),
    ("bad = no_such_module:Task", "does not import"),
])
def test_a_task_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, points: str,
                                        message: str) -> None:
    monkeypatch.syspath_prepend(str(installed(tmp_path, points)))
    with pytest.raises(UsageError, match=message):
        find("bad")


def test_names_of_our_own_cannot_be_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(installed(tmp_path, "detect = ink_task:Ink")))
    registry.find.cache_clear()
    assert find("detect").metric_name == "mAP"
    with pytest.raises(UnknownName, match="Did you mean 'detect'"):
        find("detct")
