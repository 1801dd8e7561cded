"""The path encoding of NAS-Bench-201 cells: which sequences of ops lead from the input of a cell to its output.

Source: White, Neiswanger and Savani, BANANAS (AAAI 2021). A cell has four nodes, so there are four routes from node 0
to node 3, of one to three edges; op 0 (none) breaks a route. Cells that compute the same by other means (a broken
edge behind another, for instance) share their features.
"""

from __future__ import annotations

import numpy as np

from hwnas.errors import UsageError
from hwnas.search.distribution import FloatArray
from hwnas.search.strategy import Choice

EDGES = ("1_0", "2_0", "2_1", "3_0", "3_1", "3_2")
NONE, OPS = 0, 5
# Positions in EDGES: 3_0; 1_0 then 3_1; 2_0 then 3_2; 1_0, 2_1, 3_2.
ROUTES = ((3,), (0, 4), (1, 5), (0, 2, 5))
FEATURES = sum((OPS - 1) ** len(route) for route in ROUTES)


def path_encoding(choice: Choice) -> FloatArray:
    """1 for every path of the cell, (100,): by route as in ROUTES, ops 1 to 4 of its edges, the last varying fastest.

    Args:
        choice: ops of the edges in the order of EDGES (to_from), 0 none to 4.

    Raises:
        UsageError: not six ops from 0 to 4.
    """
    if len(choice) != len(EDGES) or any(not 0 <= op < OPS for op in choice):
        raise UsageError(f"a path encoding needs {len(EDGES)} ops from 0 to {OPS - 1}, not {list(choice)}")
    features, start = np.zeros(FEATURES), 0
    for route in ROUTES:
        at = 0
        for edge in route:
            at = at * (OPS - 1) + choice[edge] - 1
        if all(choice[edge] != NONE for edge in route):
            features[start + at] = 1.0
        start += (OPS - 1) ** len(route)
    return features
