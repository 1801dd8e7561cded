"""What a score is worth: beside the answer that needs no network, and as far as its images can tell.

| task     | the answer that needs no network | no better than that                                                  |
|----------|----------------------------------|----------------------------------------------------------------------|
| classify | always the commonest class       | neither accuracy nor mean recall are above it by more than chance     |
| segment  | a mask of the commonest class    | mIoU less than `MARGIN` points above it                              |
| detect   | nothing                          | mAP under `MARGIN` points                                            |
| others   | what the task says               | less than `MARGIN` points above it                                   |
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["better", "unclear", "nothing"]
MARGIN = 1.0  # points
LONG = 24  # characters of a name that stand beside a score


@dataclass(frozen=True)
class Standing:
    """A score with what it must be held against.

    Args:
        metric: name of the figure.
        score: percent, over `images` images.
        majority, majority_score: the answer that needs no network (the commonest class), and the percent that it gives
            alone; None and 0 where there is none.
        interval: 95 % interval of an accuracy, percent; None of other metrics.
        mean_recall: of the classes that have images, percent; of a classifier, as the next two.
        p_majority: probability of such an accuracy if it were no better than the commonest class (sign test).
        p_recall: of such a mean recall if the answers had nothing to do with the images; None where the accuracy tells.
        never: classes with something to find of which nothing is found.
        level: 'better' than that answer; 'unclear' if only a finer look shows it; or 'nothing' was learnt.
        against: the answer that needs no network in words: "always 'x'"; empty where there is none.
        told: what stands beside the score wherever it is shown: "always 'x': 61.70 %"; empty where there is nothing.
        verdict: what must be said of a network whose level is not 'better', a clause behind its name.
        one_image: what one image is worth, points; None where images do not count one by one.
    """

    metric: str
    score: float
    images: int
    majority: str | None = None
    majority_score: float = 0.0
    interval: tuple[float, float] | None = None
    mean_recall: float | None = None
    p_majority: float | None = None
    p_recall: float | None = None
    never: tuple[str, ...] = ()
    level: Level = "better"
    against: str = ""
    told: str = ""
    verdict: str = ""
    one_image: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields but for the verdict."""
        told = asdict(self)
        del told["verdict"]
        return told | {"interval": list(self.interval) if self.interval else None, "never": list(self.never)}


def level_above(score: float, none: float) -> Level:
    """The level of a score by its distance from the answer that needs no network, both in percent."""
    return "better" if score >= none + MARGIN else "nothing"


def short(name: str) -> str:
    """A name as it stands beside a score: quoted, and cut where it is long."""
    return repr(name if len(name) <= LONG else f"{name[:LONG]}...")
