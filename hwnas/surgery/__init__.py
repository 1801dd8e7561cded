"""A user's own trained network: read, cut into units, every unit's operation and precision chosen, put together again.

    network = read_network("net.onnx", InputContract(mean=(127,), std=(128,)))
    cut = Cut.of(network.model)
"""

from hwnas.imaging.contract import InputContract
from hwnas.surgery.reading import TrainedNetwork, read_network
from hwnas.surgery.splice import NOTHING, Fragment, assemble
from hwnas.surgery.unit import Cut, Unit

__all__ = ["NOTHING", "Cut", "Fragment", "InputContract", "TrainedNetwork", "Unit", "assemble", "read_network"]
