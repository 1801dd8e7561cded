"""The look-up tables of ProxylessNAS and once-for-all: one key a layer, its shape and options spelled out.

    <layer>-input:HxWxC-output:HxWxC[-expand:E-kernel:K-stride:S-idskip:0|1[-se:0|1-hs:0|1]]

Without `se` and `hs` it is ProxylessNAS's (Cai et al., ICLR 2019): expand is a factor, ReLU6. With them it is
once-for-all's MobileNetV3 form (Cai et al., ICLR 2020): expand is the number of hidden channels, hs hard swish
or else ReLU.

| layer               | is                                                    | ours                              |
| ------------------- | ----------------------------------------------------- | --------------------------------- |
| expanded_conv       | inverted residual                                     | mbconv                            |
| Conv                | first 3x3 convolution                                 | conv k3                           |
| Conv_1, Logits      | proxyless: last 1x1 convolution, pooling + classifier | head, their sum                   |
| Conv_1, AvgPool2D,  | ofa: last 1x1 convolution, pooling, second 1x1        | head with two widths, their sum   |
| Conv_2, Logits      | convolution on the pooled map, classifier             |                                   |
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.errors import InputError
from hwnas.latency.published import Mapped, Time, Unmapped, read_time, unread_names
from hwnas.space import Op, make_divisible

_KEY = re.compile(
    r"(?P<layer>\w+)-input:(?P<h>\d{1,6})x(?P<w>\d{1,6})x(?P<cin>\d{1,6})"
    r"-output:(?:(?P<oh>\d{1,6})x(?P<ow>\d{1,6})x)?(?P<cout>\d{1,6})"
    r"(?:-expand:(?P<expand>\d{1,6})-kernel:(?P<kernel>\d{1,6})-stride:(?P<stride>\d{1,6})-idskip:(?P<idskip>[01])"
    r"(?:-se:(?P<se>[01])-hs:(?P<hs>[01]))?)?"
)
_HEAD = {"proxyless": ("Conv_1", "Logits"), "ofa": ("Conv_1", "AvgPool2D", "Conv_2", "Logits")}
_STATISTIC = "mean; p10 and p90 of a normal with the file's variance, where it gives one"


class _Inexact(Exception):
    """A layer that is not exactly one of our ops; the text says why."""


@dataclass(frozen=True)
class _Layer:
    """A parsed key; `output` is (height, width) or None."""

    key: str
    name: str
    height: int
    width: int
    in_channels: int
    out_channels: int
    output: tuple[int, int] | None
    options: Mapping[str, int]

    @classmethod
    def parse(cls, key: str) -> _Layer | None:
        found = _KEY.fullmatch(key)
        if found is None:
            return None
        output = (int(found["oh"]), int(found["ow"])) if found["oh"] else None
        options = {n: int(found[n]) for n in ("expand", "kernel", "stride", "idskip", "se", "hs") if found[n]}
        return cls(key, found["layer"], int(found["h"]), int(found["w"]), int(found["cin"]), int(found["cout"]),
                   output, options)


def recognises(table: Mapping[Any, Any]) -> bool:
    """Whether any key has the form above."""
    return any(_KEY.fullmatch(str(key)) for key in table)


def read_keys(path: Path, table: Mapping[Any, Any], unit: str) -> Mapped:
    """Map every key.

    Raises:
        InputError: a time is no number; names the key.
    """
    times = {str(key): read_time(path, str(key), value, unit) for key, value in table.items()}
    layers = {key: _Layer.parse(key) for key in times}
    form = "ofa" if any(layer and "hs" in layer.options for layer in layers.values()) else "proxyless"
    entries, unmapped = {}, []
    for key, layer in layers.items():
        try:
            if layer is None:
                raise _Inexact("not a key of this format")
            if layer.name not in _HEAD[form]:
                signature = _op(layer, form).signature
                entries[signature] = times[key].entry(signature)
        except (_Inexact, InputError) as err:
            unmapped.append(Unmapped(key, str(err)))
    heads, alone = _heads([layer for layer in layers.values() if layer and layer.name in _HEAD[form]], times, form)
    made = [*entries.values(), *(time.entry(signature) for signature, time in heads.items())]
    return Mapped(form, made, unmapped + alone, unit, _STATISTIC, unread_names(table.values()))


def _op(layer: _Layer, form: str) -> Op:
    if layer.name == "Conv":
        act = "hswish" if form == "ofa" else "relu6"
        return _checked(layer, Op("conv", layer.in_channels, layer.out_channels, layer.height, layer.width, kernel=3,
                                  stride=_stride(layer), act=act))
    if layer.name != "expanded_conv":
        raise _Inexact(f"layer {layer.name} is none of {', '.join(('Conv', 'expanded_conv', *_HEAD[form]))}")
    if ("hs" in layer.options) != (form == "ofa") or "expand" not in layer.options:
        raise _Inexact(f"an expanded_conv without the options of the {form} format")
    options = layer.options
    op = _checked(layer, Op(
        "mbconv", layer.in_channels, layer.out_channels, layer.height, layer.width, kernel=options["kernel"],
        expand=_expansion(layer, form), stride=options["stride"], se=bool(options.get("se", 0)),
        act="relu6" if form == "proxyless" else "hswish" if options["hs"] else "relu",
    ))
    if op.residual != bool(options["idskip"]):
        raise _Inexact(f"idskip:{options['idskip']}, but our mbconv adds its input exactly when the shape stays")
    return op


def _checked(layer: _Layer, op: Op) -> Op:
    if layer.output != op.out_hw:
        raise _Inexact(f"its output does not follow from its input at stride {op.stride}")
    return op


def _stride(layer: _Layer) -> int:
    height = layer.output[0] if layer.output else 0
    return max(1, round(layer.height / height)) if height else 1


def _expansion(layer: _Layer, form: str) -> int:
    """The expansion factor; once-for-all's files have the hidden channels instead."""
    expand, channels = layer.options["expand"], layer.in_channels
    if form == "proxyless":
        return expand
    if not channels or expand % channels:
        raise _Inexact(f"{expand} hidden channels are no multiple of the {channels} that come in")
    if layer.options["se"] and make_divisible(expand // 4) != make_divisible(expand / 4):
        raise _Inexact(f"squeeze-excite of {expand} channels is rounded differently")
    return expand // channels


def _heads(parts: Iterable[_Layer], times: Mapping[str, Time], form: str) -> tuple[dict[str, Time], list[Unmapped]]:
    """Chains of the head's layers, each ending where the next begins; and the layers that are in no whole chain."""
    names, parts = _HEAD[form], list(parts)
    chains = [[layer] for layer in parts if layer.name == names[0]]
    for name in names[1:]:
        chains = [[*chain, layer] for chain in chains for layer in parts
                  if layer.name == name and _follows(chain[-1], layer)]
    found: dict[str, Time] = {}
    for chain in chains:
        first, last = chain[0], chain[-1]
        hidden = tuple(layer.out_channels for layer in chain[:-1] if layer.name != "AvgPool2D")
        op = Op("head", first.in_channels, last.out_channels, first.height, first.width, hidden=hidden,
                act="hswish" if form == "ofa" else "relu6")
        found[op.signature] = sum((times[layer.key] for layer in chain[1:]), times[first.key])
    used = {layer.key for chain in chains for layer in chain}
    why = f"our head is {', '.join(names)} together, and the file has no such chain with this one"
    return found, [Unmapped(layer.key, why) for layer in parts if layer.key not in used]


def _follows(before: _Layer, layer: _Layer) -> bool:
    shape = (layer.height, layer.width)
    output = before.output or (1, 1)
    return before.out_channels == layer.in_channels and shape == output
