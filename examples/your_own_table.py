"""Any table of numbers: the exact best choice per layer under several budgets, without a network in sight.

    python examples/your_own_table.py
"""

from __future__ import annotations

from hwnas.generate import front, solve

UTILITIES = [[0.0, 4.0, 5.0], [1.0, 3.0, 6.0], [1.0, 2.0, 5.0]]
LATENCY_US = [[0, 3, 5], [1, 2, 6], [2, 2, 4]]
KILOBYTES = [[4, 2, 9], [1, 8, 3], [2, 2, 2]]


def main() -> None:
    best = solve(UTILITIES, {"us": LATENCY_US, "kB": KILOBYTES}, {"us": 9, "kB": 12}, top=3)
    print("within 9 us and 12 kB:", best.choice, "utility", best.utility, "costs", best.costs)
    print("next best:", [c.choice for c in best.others])
    for point in front(UTILITIES, LATENCY_US):
        print(f"{point.cost:3.0f} us -> utility {point.utility:4.1f}  {point.choice}")


if __name__ == "__main__":
    main()
