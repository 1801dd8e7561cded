"""What the ops of a choice are made of: kernel, expansion, kind and so on, as the columns of a table.

    symbol   meaning                                                                    shape
    M        1 where an op has a value of a setting                                     (K, P)
    beta     a logit for every value of every setting                                   (P,)
    M beta   the logits of the ops                                                      (K,)

Where the ops are all tuples of their settings, softmax(M beta) is the product of one softmax a setting: three kernels
times four expansions need 7 numbers instead of 12 (Yan et al., FP-NAS, CVPR 2021, arXiv 2011.10949). Where some tuples
do not exist, or an op has no settings at all, as a skip has none, M beta says what it can, and `M beta` taken for
logits of the ops leaves every probability what it was.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwnas.search.distribution import FloatArray
from hwnas.space import Op

_ALL = ("kernels", "expand", "strides", "act", "se", "groups", "hidden", "dilation", "scale", "out_channels")


def settings_table(ops: Sequence[Op]) -> FloatArray:
    """M: a column for every value of every setting in which the ops differ, the kind first.

    An op without work has a kind and no further setting. Ops that no setting tells apart
    get a column each.
    """
    columns: list[list[bool]] = []
    named = [_named(op) for op in ops]
    for setting in dict.fromkeys(name for found in named for name in found):
        values = [found.get(setting) for found in named]
        different = list(dict.fromkeys(value for value in values if value is not None))
        if len(different) > 1:
            columns += [[value == one for value in values] for one in different]
    rows = np.array(columns, dtype=np.float64).T if columns else np.zeros((len(ops), 0))
    if len({tuple(row) for row in rows.tolist()}) < len(ops):
        return np.concatenate([rows, np.eye(len(ops))], axis=1)
    return rows


def _named(op: Op) -> dict[str, object]:
    found: dict[str, object] = {"kind": op.kind}
    if op.steps:
        kind = op.definition
        found |= {name: getattr(op, name) for name in _ALL} | {name: kind.value(op, name) for name in kind.own}
    return found
