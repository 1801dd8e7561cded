"""A subject for `own_network.py`: ResNet-20 trained on 40,000 images of CIFAR-10, and the 10,000 others to judge on.

    python own_subjects.py --data ../../shared/data/cifar10 --out /tmp/own/subjects

The form of the shared `resnet20_cifar10.onnx` (1x1 shortcuts, widths 16, 32, 64), which was trained on all images.
Plain PyTorch, nothing of hwnas but its export: to hwnas it is a stranger's file. Leaves `resnet20.onnx`, its weights as
.safetensors, `cifar10.npz`, and `resnet20.json` with epochs and the accuracy on images that it did not see. bf16 in
training, float32 in what is judged and left.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

MEAN, STD = (125.27, 122.93, 113.86), (62.5, 61.9, 66.5)
JUDGED = 10_000
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


class Block(nn.Module):
    """Two 3x3 convolutions and what goes past them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)])
        self.past = nn.Sequential() if inputs == outputs and stride == 1 else nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.norms[0](self.first(x)))
        return functional.relu(self.norms[1](self.second(inner)) + self.past(x))


def resnet20(widths: tuple[int, int, int] = (16, 32, 64)) -> nn.Sequential:
    """Nine blocks; other widths for a network that is thinner everywhere."""
    first, layers = widths[0], []
    layers += [nn.Conv2d(3, first, 3, 1, 1, bias=False), nn.BatchNorm2d(first), nn.ReLU()]
    inputs = first
    for width in widths:
        for number in range(3):
            layers.append(Block(inputs, width, 2 if number == 0 and width != first else 1))
            inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10))


def images(folder: Path, path: Path) -> dict[str, np.ndarray]:
    """40,000 images to train on and 10,000 to judge on, kept as one .npz."""
    if not path.exists():
        import pyarrow.parquet as pq
        from PIL import Image

        table = pq.read_table(folder / "train.parquet")
        x = np.stack([np.asarray(Image.open(io.BytesIO(b)).convert("RGB")) for b in table["jpeg"].to_pylist()])
        y, cut = table["label"].to_numpy().astype(np.int64), len(x) - JUDGED  # rows lie shuffled
        np.savez(path, x_train=x[:cut], y_train=y[:cut], x_val=x[cut:], y_val=y[cut:], classes=np.array(CLASSES))
    with np.load(path) as held:
        return {name: held[name] for name in held.files}


def normed(pixels: np.ndarray) -> Tensor:
    """As the network is fed: N, 3, 32, 32."""
    x = torch.from_numpy(np.ascontiguousarray(pixels)).float()
    return ((x - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2).contiguous(
        memory_format=torch.channels_last)


def moved(x: Tensor, rng: torch.Generator) -> Tensor:
    """Shifted by up to four pixels, every second one mirrored."""
    padded = functional.pad(x, (4, 4, 4, 4))
    dx, dy = (int(torch.randint(0, 9, (), generator=rng)) for _ in range(2))  # one shift a batch of 128
    cut = padded[:, :, dy : dy + x.shape[2], dx : dx + x.shape[3]]
    mirrored = torch.rand(len(x), generator=rng) < 0.5
    return torch.where(mirrored[:, None, None, None], cut.flip(3), cut)


def accuracy(net: nn.Module, x: np.ndarray, y: np.ndarray) -> float:
    """Percent, float32."""
    net.eval()
    with torch.no_grad():
        found = [net(normed(x[i : i + 500])).argmax(1) for i in range(0, len(x), 500)]
    return 100 * float((torch.cat(found).numpy() == y).mean())


def trained(net: nn.Module, data: dict[str, np.ndarray], epochs: int, seed: int, batch: int = 128,
            teacher: nn.Module | None = None, peak: float = 0.2) -> nn.Module:
    """SGD with a cycle of learning rates up to `peak`; a teacher's probabilities are learnt beside the labels."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    net = net.to(memory_format=torch.channels_last)
    x, y = data["x_train"], torch.from_numpy(data["y_train"])
    steps = epochs * (len(x) // batch)
    weights = [p for p in net.parameters() if p.ndim > 1]
    others = [p for p in net.parameters() if p.ndim <= 1]
    optimiser = torch.optim.SGD([{"params": weights, "weight_decay": 5e-4}, {"params": others}], 0.1, momentum=0.9,
                                nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, peak, steps, pct_start=0.2)
    for epoch in range(epochs):
        net.train()
        began, total, order = time.time(), 0.0, torch.randperm(len(x), generator=rng).numpy()
        for i in range(0, len(x) - batch + 1, batch):
            rows = order[i : i + batch]
            shown = moved(normed(x[rows]), rng)
            with torch.autocast("cpu", torch.bfloat16):
                out = net(shown)
                loss = functional.cross_entropy(out.float(), y[rows])
                if teacher is not None:
                    with torch.no_grad():
                        wanted = teacher(shown).float().softmax(1)
                    loss = 0.5 * loss + 0.5 * functional.cross_entropy(out.float(), wanted)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
        print(f"epoch {epoch + 1}: loss {total / (len(x) // batch):.4f}, {time.time() - began:.0f} s", flush=True)
    return net.to(memory_format=torch.contiguous_format)


def left(net: nn.Module, path: Path) -> None:
    """The network as ONNX, weights in float32."""
    from hwnas.export.onnx_export import onnx_graph

    with torch.no_grad():
        path.write_bytes(onnx_graph(net.eval(), (3, 32, 32), ["logits"], {}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    data = images(args.data, args.out / "cifar10.npz")
    net = trained(resnet20(), data, args.epochs, args.seed)
    left(net, args.out / "resnet20.onnx")
    save_file(net.state_dict(), args.out / "resnet20.safetensors")
    facts: dict[str, Any] = {"epochs": args.epochs, "seed": args.seed, "images": len(data["x_train"]),
                             "accuracy": accuracy(net, data["x_val"], data["y_val"])}
    (args.out / "resnet20.json").write_text(json.dumps(facts))
    print(facts)


if __name__ == "__main__":
    main()
