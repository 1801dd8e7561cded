"""DPNG: the best choice of one operation per layer under budgets, exactly, in numpy.

The problem is the multiple-choice knapsack: per layer `l` a utility `u_l[k]` and costs `c_l[k]`
for each operation `k`; maximise the sum of utilities while every cost stays within its budget.
`solve` answers one set of budgets (any number of costs, the k best, spread apart if asked);
`front` answers every budget on one cost in a single pass.

Costs become integer ticks, rounded up, and budgets are rounded down, so an answer is always
within its budgets; utilities are never rounded.
"""

from hwnas.generate.knapsack import Candidate, Solution, solve
from hwnas.generate.pareto import Front, Point, front

__all__ = ["Candidate", "Front", "Point", "Solution", "front", "solve"]
