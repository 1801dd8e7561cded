"""What a score is worth: beside the answer that needs no network, and as far as its images can tell.

| task     | the answer that needs no network | no better than that                                                  |
|----------|----------------------------------|----------------------------------------------------------------------|
| classify | always the commonest class       | neither accuracy nor mean recall are above it by more than chance     |
| segment  | a mask of the commonest class    | mIoU less than `MARGIN` points above it                              |
| detect   | nothing                          | mAP under `MARGIN` points                                            |
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from hwnas.tasks.chance import LEVEL

Level = Literal["better", "unclear", "nothing"]
MARGIN = 1.0  # points
LONG = 24  # characters of a name that stand beside a score


@dataclass(frozen=True)
class Standing:
    """A score with what it must be held against.

    Args:
        metric: accuracy, mAP or mIoU.
        score: percent, over `images` images.
        majority, majority_score: the commonest class, and the percent that it gives alone; None and 0 of a detector.
        interval: 95 % interval of an accuracy, percent; None of other metrics.
        mean_recall: of the classes that have images, percent; of a classifier, as the next two.
        p_majority: probability of such an accuracy if it were no better than the commonest class (sign test).
        p_recall: of such a mean recall if the answers had nothing to do with the images; None where the accuracy tells.
        never: classes with something to find of which nothing is found.
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

    @property
    def level(self) -> Level:
        """'better' than the commonest class; 'unclear' if only the recalls are; or 'nothing' was learnt."""
        if self.metric != "accuracy":
            return "better" if self.score >= self.majority_score + MARGIN else "nothing"
        if self.p_majority is not None and self.p_majority < LEVEL:
            return "better"
        return "unclear" if self.p_recall is not None and self.p_recall < LEVEL else "nothing"

    @property
    def one_image(self) -> float | None:
        """What one image is worth, points; None where images do not count one by one."""
        return 100 / self.images if self.metric == "accuracy" else None

    @property
    def told(self) -> str:
        """What stands beside the score wherever it is shown: "always 'x': 61.70 %"; empty for a detector."""
        if self.majority is None:
            return ""
        what = "always" if self.metric == "accuracy" else "all"
        name = self.majority if len(self.majority) <= LONG else f"{self.majority[:LONG]}..."
        return f"{what} {name!r}: {self.majority_score:.2f} %"

    def to_json(self) -> dict[str, Any]:
        """The fields, the words and the level."""
        return {**asdict(self), "interval": list(self.interval) if self.interval else None, "never": list(self.never),
                "one_image": self.one_image, "told": self.told, "level": self.level}
