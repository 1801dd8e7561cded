"""The three pictures of docs/concepts/, from one finished run.

    hwnas compress && python docs/_pictures/draw.py hwnas-runs/digits-local-1 [FOLDER]

Writes {tables,migo,dpng}.svg to FOLDER, without one to docs/pictures/.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import dpng_picture
import matplotlib.pyplot as plt
import migo_picture
import tables_picture

from hwnas.pipeline import RunFolder

PICTURES = Path(__file__).parents[1] / "pictures"
STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "hwnas", "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans"], "font.size": 9, "axes.spines.top": False,
    "axes.spines.right": False, "axes.titlesize": 10, "axes.titlelocation": "left", "figure.facecolor": "white",
}


def main() -> None:
    run = RunFolder.open(Path(sys.argv[1]))
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else PICTURES
    with plt.rc_context(STYLE):
        for name, drawn in (("tables", tables_picture.draw), ("migo", migo_picture.draw), ("dpng", dpng_picture.draw)):
            figure = drawn(run)
            figure.savefig(folder / f"{name}.svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
            plt.close(figure)


if __name__ == "__main__":
    main()
