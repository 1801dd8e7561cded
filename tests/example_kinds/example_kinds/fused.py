"""A fused inverted residual (EfficientNetV2, Tan and Le, ICML 2021): one convolution in place of the first two."""

from hwnas.space import Conv, Kind, SqueezeExcite, make_divisible


class FusedMbConv(Kind):
    name = "fused_mbconv"
    about = "fused inverted residual of EfficientNetV2"

    def steps(self, op):
        mid = op.in_channels * op.expand
        gate = [SqueezeExcite(mid, op.out_size, make_divisible(mid / 4))] if op.se else []
        return (Conv(op.in_channels, mid, op.size, op.kernels, op.strides, act=op.act), *gate,
                Conv(mid, op.out_channels, op.out_size))

    def residual(self, op):
        return op.keeps_shape

    def elastic(self, op):
        return True
