"""From a float ONNX model to int8 or half precision. No torch.

    to_form(model, runtime.graph_form, samples=..., variant=variant_for(target.runtime))
"""

from hwnas.quantize.cache import cached
from hwnas.quantize.forms import FORMS, Samples, to_form
from hwnas.quantize.positions import in_precisions
from hwnas.quantize.variants import VARIANTS, variant_for

__all__ = ["FORMS", "VARIANTS", "Samples", "cached", "in_precisions", "to_form", "variant_for"]
