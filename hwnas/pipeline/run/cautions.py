"""What a person must be told before the numbers of a run are believed: the one channel of its warnings.

Every stage may leave a list `warnings` in its result, and stage profile one in the lane of every precision. They are
joined here with those about the speed of the machine, and only here: report.json, the report page, the end of a run
and `summary` say the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.moments import apart
from hwnas.pipeline.run.results import RESULTS, ProfileResult
from hwnas.tasks.chance import wilson
from hwnas.tasks.standing import Standing

UNEQUAL = 5.0  # times as many training images as the smallest class has
FEW = 100  # validation images, below which one image is more than a point
NAMED = 4  # classes that a warning names
WAY_OUT = "train longer (--epochs), check the labels, or add images"


def warnings_of(run: RunFolder) -> list[str]:
    """The warnings of all finished stages in order, each once; of profile those of the precision that ships."""
    found: list[str] = []
    for result in RESULTS:
        if done := run.found_if_done(result):
            found += done.warnings
            found += run.lane().warnings if isinstance(done, ProfileResult) else []
    found += apart(run)
    return list(dict.fromkeys(found))


def no_success(facts: Mapping[str, Any]) -> str | None:
    """A few words where the budgets may be met and the result is still none; None if it is one.

    Args:
        facts: `compressed`, with the `standing` of its score.
    """
    standing = facts["compressed"].get("standing")
    if not standing or standing["level"] != "nothing":
        return None
    if standing["metric"] == "mAP":
        return "finds next to nothing"
    return f"no better than {standing['told'].rsplit(':', 1)[0]}"


def of_data(told: Mapping[str, Any], task: str) -> list[str]:
    """Of a data set, as its `describe` tells it: what keeps a score from saying much."""
    classes: Mapping[str, Mapping[str, int]] = told["classes"]
    return [*(_unequal(classes) if task == "classify" else []), *_few(int(told["val"]), task),
            *(_unseen(classes) if task == "classify" else [])]


def _unequal(classes: Mapping[str, Mapping[str, int]]) -> list[str]:
    counts = {name: count["train"] for name, count in classes.items()}
    least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if counts[most] < UNEQUAL * counts[least]:
        return []
    return [f"the classes are very unequal: {most!r} has {counts[most]:,} training images, {least!r} "
            f"{counts[least]:,}, {counts[most] / counts[least]:.0f} times fewer; an accuracy says little of the rare "
            "ones: look at the recall of each class"]


def _few(images: int, task: str) -> list[str]:
    if images >= FEW:
        return []
    if task != "classify":
        return [f"{images} validation images are few: the score of so few can be off by many points"]
    low, high = wilson(images // 2, images)
    return [f"{images} validation images cannot tell small differences: one image is {100 / images:.2f} points, and an "
            f"accuracy of {100 * (images // 2) / images:.0f} % is known only as {low:.0f} to {high:.0f} %"]


def _unseen(classes: Mapping[str, Mapping[str, int]]) -> list[str]:
    found = [name for name, count in classes.items() if not count["val"]]
    return [f"{_named(found)} without a validation image: nothing tells how well "
            f"{'it is' if len(found) == 1 else 'they are'} recognised"] if found else []


def of_standing(who: str, standing: Standing) -> list[str]:
    """Of a score: that it is no better than an answer that needs no network, and the classes that are never found.

    Args:
        who: e.g. 'the reference network'.
    """
    found = []
    if standing.level == "nothing":
        found.append(_nothing(who, standing))
    elif standing.level == "unclear":
        found.append(f"{who} is right on {standing.score:.2f} % of {standing.images:,} images, {standing.told}: no "
                     f"more than chance (p {standing.p_majority:.2g}); only the recall of each class shows what it "
                     f"knows (mean {standing.mean_recall:.1f} %)")
    if standing.never and standing.level != "nothing":
        found.append(f"{who} never finds {_named(standing.never)} on the {standing.images:,} validation images")
    return found


def _nothing(who: str, s: Standing) -> str:
    if s.metric == "accuracy":
        return (f"{who} is no better than always answering {s.majority!r}: {s.score:.2f} % against "
                f"{s.majority_score:.2f} % of {s.images:,} images (p {s.p_majority:.2g}, mean recall "
                f"{s.mean_recall:.1f} %); {WAY_OUT}")
    if s.metric == "mAP":
        return f"{who} finds next to nothing: mAP {s.score:.2f} % on {s.images:,} images; {WAY_OUT}"
    return (f"{who} is no better than a mask that is {s.majority!r} everywhere: mIoU {s.score:.2f} % against "
            f"{s.majority_score:.2f} % on {s.images:,} images; {WAY_OUT}")


def _named(classes: Sequence[str]) -> str:
    """"class 'a'", "3 classes ('a', 'b', 'c')" or "9 classes ('a', 'b', 'c', 'd' and 5 more)"."""
    shown = ", ".join(map(repr, classes[:NAMED]))
    more = f" and {len(classes) - NAMED} more" if len(classes) > NAMED else ""
    return f"class {shown}" if len(classes) == 1 else f"{len(classes)} classes ({shown}{more})"
