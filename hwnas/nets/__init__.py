"""How a network is built: op modules, single networks, the supernet. Needs torch."""

from hwnas.nets.block import Block, Normalize
from hwnas.nets.features import FeatureNet
from hwnas.nets.fusing import deployed
from hwnas.nets.mixture import Mixture
from hwnas.nets.network import Network
from hwnas.nets.supernet import Subnet, Supernet

__all__ = ["Block", "FeatureNet", "Mixture", "Network", "Normalize", "Subnet", "Supernet", "deployed"]
