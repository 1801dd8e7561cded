"""The inner loops of DPNG on a chain with one cost, in the part of Python that numba compiles.

Every function here is complete in itself and touches numbers and arrays only, so that `hwnas.generate.compiled` can
run it as it stands or compiled, with the same result.

Glossary
    L         layers
    cost      ticks of an item above its layer's cheapest, int64; items of all layers one after the other, (N,)
    util      their utilities, float64 (N,)
    off       where each layer's items begin and end, int64 (L + 1,)
    lam       multipliers, utility per tick, (G,)
    gains     gains[l, g] = sum over the layers before l of max_k (util_k - lam_g * cost_k), (L + 1, G)
    slack     what a label has lost against the relaxation: gains[l, 0] - (utility - lam_0 * cost), >= 0
    gamma     most slack that a label of interest has
    label     a partial choice; labels of a layer are sorted by cost, and both cost and utility rise strictly
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

COMPLETE, EMPTY, TOO_MANY = 0, 1, 2


def undominated_items(cost: Ints, util: Floats, off: Ints) -> tuple[Ints, Ints]:
    """Items that no other of their layer beats in cost and utility, by rising cost.

    Of items equal in both, the first stays.

    Returns:
        Their places in `cost`, and the new offsets.
    """
    layers = len(off) - 1
    kept = np.empty(len(cost), np.int64)
    begin = np.zeros(layers + 1, np.int64)
    m = 0
    for layer in range(layers):
        first = off[layer]
        order = np.argsort(cost[first : off[layer + 1]], kind="mergesort")
        for t in range(len(order)):
            i = first + order[t]
            if m > begin[layer] and util[i] <= util[kept[m - 1]]:
                continue
            if m > begin[layer] and cost[kept[m - 1]] == cost[i]:
                m -= 1
            kept[m] = i
            m += 1
        begin[layer + 1] = m
    return kept[:m].copy(), begin


def hull_items(cost: Ints, util: Floats, off: Ints) -> tuple[Ints, Ints]:
    """Items on the upper concave hull of their layer, and the offsets; items sorted and undominated.

    P. Sinha and A. Zoltners, Operations Research 27(3), 1979: what the linear relaxation needs.
    """
    layers = len(off) - 1
    hull = np.empty(len(cost), np.int64)
    begin = np.zeros(layers + 1, np.int64)
    h = 0
    for layer in range(layers):
        for i in range(off[layer], off[layer + 1]):
            while h - begin[layer] >= 2:
                a, b = hull[h - 2], hull[h - 1]
                if (util[b] - util[a]) * (cost[i] - cost[b]) > (util[i] - util[b]) * (cost[b] - cost[a]):
                    break
                h -= 1
            hull[h] = i
            h += 1
        begin[layer + 1] = h
    return hull[:h].copy(), begin


def relaxation(cost: Ints, util: Floats, hull: Ints, begin: Ints, limit: int) -> tuple[float, float, float]:
    """Linear relaxation at a limit, by rising along the hulls in the order of their slopes.

    Returns:
        (multiplier at the limit, upper bound, utility of a choice within the limit: steps that fit, in that order).
    """
    layers = len(begin) - 1
    count = len(hull) - layers
    slope = np.empty(count)
    owner = np.empty(count, np.int64)
    end = np.empty(count, np.int64)
    spent, bound, n = 0, 0.0, 0
    for layer in range(layers):
        spent += cost[hull[begin[layer]]]
        bound += util[hull[begin[layer]]]
        for j in range(begin[layer] + 1, begin[layer + 1]):
            a, b = hull[j - 1], hull[j]
            slope[n] = (util[b] - util[a]) / (cost[b] - cost[a])
            owner[n], end[n] = layer, j
            n += 1
    used, found, multiplier, broken = spent, bound, 0.0, False
    closed = np.zeros(layers, np.bool_)
    for t in np.argsort(-slope, kind="mergesort"):
        a, b = hull[end[t] - 1], hull[end[t]]
        step, gain = cost[b] - cost[a], util[b] - util[a]
        if not broken and spent + step <= limit:
            spent += step
            bound += gain
        elif not broken:
            broken, multiplier = True, slope[t]
            bound += multiplier * (limit - spent)
        if not closed[owner[t]] and used + step <= limit:
            used += step
            found += gain
        else:
            closed[owner[t]] = True
    return multiplier, bound, found


def gains_at(cost: Ints, util: Floats, off: Ints, lam: Floats) -> Floats:
    """`gains` of the glossary, (L + 1, G)."""
    layers = len(off) - 1
    gains = np.zeros((layers + 1, len(lam)))
    for layer in range(layers):
        for g in range(len(lam)):
            best = -np.inf
            for i in range(off[layer], off[layer + 1]):
                value = util[i] - lam[g] * cost[i]
                if value > best:
                    best = value
            gains[layer + 1, g] = gains[layer, g] + best
    return gains


def walk_back(
    parents: NDArray[np.int32], items: NDArray[np.int32], ids: Ints, labels: Ints, layers: int
) -> NDArray[np.int16]:
    """Operation per layer behind some labels of the last layer, (len(labels), layers)."""
    out = np.empty((len(labels), layers), np.int16)
    for t in range(len(labels)):
        at = labels[t]
        for layer in range(layers - 1, -1, -1):
            out[t, layer] = ids[items[at]]
            at = parents[at]
    return out


def merge_layers(
    cost: Ints, util: Floats, ids: Ints, off: Ints, limit: int, max_labels: int,
    lam: Floats, gains: Floats, gamma: float, floor: float, tolerance: float,
) -> tuple[int, Ints, Floats, NDArray[np.int32], NDArray[np.int32], Ints]:
    """All labels that nothing beats, layer by layer; with multipliers, only those that can still be the answer.

    A layer's labels are as many sorted lists as the layer has items, one list being all labels of the layer before
    shifted by the item. They are merged by their heads (sorted by cost, utility falling, then the choice); what does
    not raise the utility is passed over, a whole stretch of a list at a time. Between labels equal in cost and
    utility the lexicographically smaller choice stays, found by walking both choices back.

    Args:
        cost, util, off: undominated items by rising cost; ids: the operation that each stands for.
        limit: most ticks in all.
        max_labels: most labels of a layer.
        lam, gains, gamma, floor, tolerance: with an empty `lam` nothing is left out. Else a label goes whose slack
            at lam[0] exceeds gamma, or that by one of the bounds cannot reach the utility `floor`.

    Returns:
        (COMPLETE, EMPTY or TOO_MANY; and of the labels of all layers, one layer after the other: costs, utilities,
        the parent's place, the item; where each layer's labels begin, (L + 2,), the first layer being the root).
    """
    layers, bounds = len(off) - 1, len(lam)
    low = np.zeros(layers + 1, np.int64)
    high = np.zeros(layers + 1, np.int64)
    for layer in range(layers - 1, -1, -1):
        low[layer] = low[layer + 1] + cost[off[layer]]
        high[layer] = high[layer + 1] + cost[off[layer + 1] - 1]
    room = 1024
    costs, utils = np.zeros(room, np.int64), np.zeros(room, np.float64)
    parents, items = np.zeros(room, np.int32), np.zeros(room, np.int32)
    starts = np.zeros(layers + 2, np.int64)
    starts[1] = 1
    k = 1
    for layer in range(layers):
        first, size = off[layer], off[layer + 1] - off[layer]
        begin, end = starts[layer], starts[layer + 1]
        most = limit - low[layer + 1]
        head = np.full(size, begin, np.int64)
        head_cost = costs[begin] + cost[first : first + size]
        head_util = utils[begin] + util[first : first + size]
        head_item = np.arange(first, first + size)
        alive, best = size, -np.inf
        while alive > 0 and head_cost[0] <= most:
            at, item, c, u = head[0], head_item[0], head_cost[0], head_util[0]
            if u > best:
                best = u
                keep = True
                if bounds > 0:
                    for g in range(bounds):
                        if u + gains[layers, g] - gains[layer + 1, g] + lam[g] * (limit - c) < floor - tolerance:
                            keep = False
                            break
                    unused = limit - c - high[layer + 1]  # what the rest cannot spend is lost too
                    slack = gains[layer + 1, 0] - u + lam[0] * (c + unused if unused > 0 else c)
                    keep = keep and slack <= gamma + tolerance
                if keep:
                    if k - end >= max_labels:
                        return TOO_MANY, costs, utils, parents, items, starts
                    if k == room:
                        room *= 2
                        grown_costs, grown_utils = np.zeros(room, np.int64), np.zeros(room, np.float64)
                        grown_parents, grown_items = np.zeros(room, np.int32), np.zeros(room, np.int32)
                        grown_costs[:k], grown_utils[:k] = costs, utils
                        grown_parents[:k], grown_items[:k] = parents, items
                        costs, utils, parents, items = grown_costs, grown_utils, grown_parents, grown_items
                    costs[k], utils[k], parents[k], items[k] = c, u, at, item
                    k += 1
            at += 1
            more = util[item]
            while at < end and utils[at] + more <= best:
                at += 1
            if at == end:
                alive -= 1
                for t in range(alive):
                    head[t], head_item[t] = head[t + 1], head_item[t + 1]
                    head_cost[t], head_util[t] = head_cost[t + 1], head_util[t + 1]
                continue
            c, u = costs[at] + cost[item], utils[at] + more
            t = 1
            while t < alive:
                if head_cost[t] > c or (head_cost[t] == c and head_util[t] < u):
                    break
                if head_cost[t] == c and head_util[t] == u:
                    one, other, earlier = at, head[t], ids[item] < ids[head_item[t]]
                    while one != other:
                        if items[one] != items[other]:
                            earlier = ids[items[one]] < ids[items[other]]
                        one, other = parents[one], parents[other]
                    if earlier:
                        break
                head[t - 1], head_item[t - 1] = head[t], head_item[t]
                head_cost[t - 1], head_util[t - 1] = head_cost[t], head_util[t]
                t += 1
            head[t - 1], head_item[t - 1], head_cost[t - 1], head_util[t - 1] = at, item, c, u
        starts[layer + 2] = k
        if k == end:
            return EMPTY, costs, utils, parents, items, starts
    return COMPLETE, costs[:k].copy(), utils[:k].copy(), parents[:k].copy(), items[:k].copy(), starts
