"""One thing in the place of two neighbours: where that can be, what it computes, what a plan of it takes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from hwnas.errors import UsageError
from hwnas.surgery import NOTHING, Cut, Fragment, assemble
from hwnas.surgery.assembler import Assembler, feeds_of
from hwnas.surgery.canonical import canonical
from hwnas.surgery.plan import AS_IT_IS, SPANNED, Option, Places, spans, with_span
from hwnas.surgery.splice import SPANNED_PART
from hwnas.surgery.unit_costs import UnitCosts, effects_of, random_plans, signature_in
from tests.surgery.networks import chain, image_of, run
from tests.surgery.test_merged import INPUTS, forms_of, outputs
from tests.trained_network import small_network


def cut_of(model: onnx.ModelProto | None = None) -> Cut:
    return Cut.of(canonical(small_network(width=16)) if model is None else model)


def own_span(cut: Cut, second: str) -> dict[str, Fragment]:
    """Two neighbours in their own place."""
    return {cut.spans[second]: SPANNED_PART, second: Fragment(cut.model_of(cut.span(second)), spans=True)}


def spanning(cut: Cut, precisions: tuple[str, ...] = ("int8",)) -> Places:
    """Every unit may be left out where it keeps shape, every span be one convolution."""
    forms: dict[str, list[str]] = {u.name: ["none"] if u.keeps_shape else [] for u in cut.units}
    for second, first in cut.spans.items():
        forms[second].append("span3")
        forms[first].append(SPANNED)
    return Places.of(cut, precisions, forms=forms)


@pytest.mark.parametrize("model", [chain(12), canonical(small_network(width=16))])
def test_two_units_in_their_own_place_compute_the_same(model: onnx.ModelProto) -> None:
    cut = cut_of(model)
    assert cut.spans
    for second, first in cut.spans.items():
        both = cut.span(second)
        assert (both.source, both.target) == (cut[first].source, cut[second].target)
        assert both.region.work == cut[first].region.work + cut[second].region.work
        made = assemble(cut, own_span(cut, second))
        onnx.checker.check_model(made, full_check=True)
        assert cut[first].target not in {name for node in made.graph.node for name in node.output}
        x = image_of(model)
        assert np.array_equal(run(made, x, optimised=False)[0], run(model, x, optimised=False)[0])


def test_a_map_that_someone_else_reads_is_within_no_span() -> None:
    model = canonical(small_network(width=16))
    cut = cut_of(model)
    first = next(iter(cut.spans.values()))
    tapped = onnx.ModelProto()
    tapped.CopyFrom(model)
    tapped.graph.output.append(next(v for v in model.graph.value_info if v.name == cut[first].target))
    found = cut_of(tapped)
    assert all(found[f].target != cut[first].target for f in found.spans.values())


def test_half_a_span_is_refused() -> None:
    cut = cut_of()
    second, first = next(iter(cut.spans.items()))
    whole = own_span(cut, second)
    with pytest.raises(UsageError, match=f"{second} stands for the unit before it as well"):
        assemble(cut, {second: whole[second]})
    with pytest.raises(UsageError, match=f"{first} is left to the unit after it"):
        assemble(cut, {first: SPANNED_PART})


def test_one_convolution_for_two_is_nearer_than_one_for_the_first_alone() -> None:
    cut = cut_of()
    forms = forms_of(cut)
    second, first = next((s, f) for s, f in cut.spans.items() if cut[s].keeps_shape)
    assert forms[second, "span3"].spans

    def away(parts: dict[str, Fragment]) -> float:
        model = assemble(cut, parts)
        return float(np.mean([np.square(outputs(model, x) - outputs(cut.flow.model, x)).mean() for x in INPUTS[:8]]))

    both = {first: SPANNED_PART, second: forms[second, "span3"]}
    assert away(both) < 0.5 * away({first: forms[first, "conv3"], second: NOTHING})


def test_both_or_neither_and_in_one_precision() -> None:
    cut = cut_of()
    found = spanning(cut)
    second, first = next(iter(cut.spans.items()))
    for precision in ("float", "int8"):
        plan = with_span(cut, second, Option("span3", precision))
        assert plan == {first: Option(SPANNED, precision), second: Option("span3", precision)}
        assert found.allowed(plan)
    assert not found.allowed({second: Option("span3")})
    assert not found.allowed({first: Option(SPANNED)})
    assert not found.allowed({first: Option(SPANNED, "int8"), second: Option("span3")})
    assert with_span(cut, second, AS_IT_IS) == {second: AS_IT_IS}


def test_random_plans_have_whole_spans() -> None:
    found = spanning(cut_of(chain(12)))
    plans = random_plans(found, 60)
    assert all(found.allowed(plan) for plan in plans)
    assert sum(any(spans(option) for option in plan.values()) for plan in plans) > 10


def test_the_second_unit_says_what_both_take() -> None:
    cut = cut_of()
    found = spanning(cut, ())
    second, first = next(iter(cut.spans.items()))
    plan = with_span(cut, second, Option("span3"))
    (effect,) = effects_of(found, plan)
    signature = signature_in(cut, second, "span3/float")
    assert cut[first].signature in signature
    assert cut[second].signature in signature
    alone = {(u.signature, "teacher/float"): 1.0 for u in cut.units} | {(signature, "span3/float"): 0.5}
    costs = UnitCosts.believed(found, 10.0, alone, {})
    assert costs.effect_ms(effect) == pytest.approx(-1.5)
    assert costs.predict([plan])[0][0] == pytest.approx(8.5)


def test_a_span_in_integers_runs() -> None:
    cut = cut_of()
    forms = forms_of(cut)
    second, first = next((s, f) for s, f in cut.spans.items() if (s, "span3") in forms)
    assembler = Assembler(cut, feeds_of("image", INPUTS[:4]), forms={**forms, (first, SPANNED): SPANNED_PART})
    floats, lowered = (assembler.model(with_span(cut, second, Option("span3", p))) for p in ("float", "int8"))
    name = cut.flow.inputs[0]
    a, b = (np.concatenate([run(onnx.load_from_string(m), x)[0] for x in INPUTS[:8]]) for m in (floats, lowered))
    assert name == "image"
    assert "QuantizeLinear" in {node.op_type for node in onnx.load_from_string(lowered).graph.node}
    assert 0 < np.abs(a - b).max() < 0.2 * np.abs(a).max()
