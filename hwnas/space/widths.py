"""A space with fewer channels: the same choices, every width times a factor."""

from __future__ import annotations

from dataclasses import replace

from hwnas.errors import UsageError
from hwnas.space.builtin import build
from hwnas.space.heads import describe_head
from hwnas.space.op import make_divisible
from hwnas.space.space import Space


def thinner(space: Space, factor: float) -> Space:
    """The space whose layers have `factor` of the channels, rounded to multiples of 8, neck and head included.

    Its architectures are chosen like those of `space`, and each fits into the weights of the same choice there.

    Raises:
        UsageError: the factor is not in 0..1, or rounding makes equal widths of unequal ones: that changes the choices.
    """
    if not 0 < factor <= 1:
        raise UsageError(f"a width is a share of the reference's channels, above 0 and at most 1; got {factor:g}")
    config = space.config
    head = make_divisible((config.head_width or describe_head(config.head).width) * factor) if config.head else None
    found = build(replace(config, width_mult=config.width_mult * factor, head_width=head))
    pairs = zip(space.positions, found.positions, strict=True)
    if any([o.label for o in p.ops] != [o.label for o in q.ops] for p, q in pairs):
        raise UsageError(f"width {factor:g} of space {space.name} rounds different widths to the same, which changes "
                         "what can be chosen: take a larger one")
    return found
