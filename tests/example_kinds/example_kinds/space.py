"""A space of our kinds, sized to small images."""

from hwnas.space.chain import Chain, Stage


def candidates(blank):
    """Fused and plain inverted residuals, a RepVGG block, branches; a pooling where the shape stays."""
    fused = [blank.replaced(kind="fused_mbconv", kernel=k, expand=e) for k, e in ((3, 2), (5, 2), (3, 4))]
    plain = [blank.replaced(kernel=k, expand=2) for k in (3, 5)]
    rep = [blank.replaced(kind="repvgg", kernel=3, expand=1)]
    if blank.keeps_shape:
        return (*fused, *plain, *rep, blank.replaced(kind="inception", kernel=1, own={"branches": 3}),
                blank.replaced(kind="maxpool", kernel=3, act="none"), blank.replaced(kind="skip", kernel=1, act="none"))
    return (*fused, *plain, *rep)


def example(config):
    """A stem and two stages of two choices each."""
    chain = Chain(config)
    chain.fixed("stem", "repvgg", chain.scale(16), kernel=3, stride=2, act="relu")
    chain.stages([Stage(16, 2, 1, "relu"), Stage(32, config.depth or 2, 2, "relu")], candidates)
    return chain.finished(act="relu", hidden=(64,))
