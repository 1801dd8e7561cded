"""A RepVGG block (Ding et al., CVPR 2021): trained as three branches, deployed as one convolution."""

from hwnas.space import Kind, RepConv


class RepVgg(Kind):
    name = "repvgg"
    about = "convolutions k x k and 1 x 1 and the map itself, fused into one convolution"

    def steps(self, op):
        branches = (op.kernels, (1,) * len(op.size))
        return (RepConv(op.in_channels, op.out_channels, op.size, op.kernels, op.strides, op.groups, op.act,
                        branches=branches, identity=op.keeps_shape),)

    def elastic(self, op):
        return op.groups == 1
