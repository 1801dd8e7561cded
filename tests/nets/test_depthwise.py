"""The depthwise convolution gives what nn.Conv2d gives, forward and backward, for every kernel and map."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hwnas.nets.depthwise import LARGEST_MAP, DepthwiseConv2d, _Depthwise, depthwise

CHANNELS = 6


def pair(kernel: int, stride: int) -> tuple[DepthwiseConv2d, nn.Conv2d]:
    ours = DepthwiseConv2d(CHANNELS, kernel, stride).double()
    plain = nn.Conv2d(CHANNELS, CHANNELS, kernel, stride, kernel // 2, groups=CHANNELS, bias=False).double()
    plain.load_state_dict(ours.state_dict())
    return ours, plain


def results(conv: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    x = x.clone().requires_grad_()
    out = conv(x)
    weights = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).reshape(out.shape)
    (out * weights).sum().backward()
    assert x.grad is not None
    return out.detach(), x.grad, conv.weight.grad  # type: ignore[return-value]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("size", range(1, 14))
def test_outputs_and_gradients_in_float64(kernel: int, stride: int, size: int) -> None:
    torch.manual_seed(size)
    ours, plain = pair(kernel, stride)
    for shape in ((3, CHANNELS, size, size), (2, CHANNELS, size, max(1, size - 3)), (1, CHANNELS, 1, size)):
        x = torch.randn(shape, dtype=torch.float64)
        for found, expected in zip(results(ours.train(), x), results(plain, x), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
        ours.zero_grad()
        plain.zero_grad()


@pytest.mark.parametrize("kernel", [5, 7])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_fast_path_by_finite_differences(kernel: int, layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64).to(memory_format=layout).requires_grad_()
    w = torch.randn(3, 1, kernel, kernel, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: depthwise(a, b, 1, True), (x, w))


@pytest.mark.parametrize(("kernel", "stride", "size", "fast"), [
    (5, 1, LARGEST_MAP, True), (7, 1, 1, True), (5, 1, LARGEST_MAP + 1, False), (3, 1, 4, False), (5, 2, 4, False),
])
def test_where_the_fast_path_is_taken(kernel: int, stride: int, size: int, fast: bool) -> None:
    conv = DepthwiseConv2d(CHANNELS, kernel, stride)
    out = conv.train()(torch.randn(1, CHANNELS, size, size))
    assert (type(out.grad_fn).__name__ == f"{_Depthwise.__name__}Backward") == fast
    out = conv.eval()(torch.randn(1, CHANNELS, size, size))
    assert type(out.grad_fn).__name__ == "ConvolutionBackward0"


def test_float32_agrees_to_rounding() -> None:
    torch.manual_seed(0)
    ours = DepthwiseConv2d(CHANNELS, 7, 1)
    plain = nn.Conv2d(CHANNELS, CHANNELS, 7, 1, 3, groups=CHANNELS, bias=False)
    plain.load_state_dict(ours.state_dict())
    x = torch.randn(4, CHANNELS, 8, 8)
    for found, expected in zip(results(ours.train(), x), results(plain, x), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_an_input_without_gradient_gets_none() -> None:
    conv = DepthwiseConv2d(CHANNELS, 5, 1).train()
    x = torch.randn(1, CHANNELS, 4, 4)
    conv(x).sum().backward()
    assert x.grad is None
    assert conv.weight.grad is not None
    assert set(conv.state_dict()) == {"weight"}
