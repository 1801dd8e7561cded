"""mIoU of segmenters as files: a user's network and what `own_network.py` made of it, on masks that neither has seen.

    python own_masks.py --data ../../shared/data/camvid \
        --networks DIR/segment/scaled-20.onnx /tmp/own/camvid/run-50/model.onnx

CamVid's validation images, 224 x 320, pixels over 255; the nearest class of the mask at that size, and 11 is left out.
The network is one that `tasks.py` trained and left as ONNX; to `own_network.py` it is a stranger's file:

    python own_network.py --model DIR/segment/scaled-20.onnx --data ../../shared/data/camvid/train --contract camvid \\
        --budgets 50% --out /tmp/own/camvid
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

SIZE, CLASSES = (320, 224), 11


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--networks", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    print("| network | mIoU % | mean over images of the pixels that are right % |\n|---|---|---|")
    for path in args.networks:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        name, counts, right = session.get_inputs()[0].name, np.zeros((CLASSES, CLASSES)), []
        for image in sorted((args.data / "val").glob("*.jpg")):
            x = np.asarray(Image.open(image).convert("RGB").resize(SIZE, Image.Resampling.BILINEAR), np.float32) / 255
            found = session.run(None, {name: np.ascontiguousarray(x.transpose(2, 0, 1)[None])})[0].argmax(1)[0]
            mask = Image.open(args.data / "valannot" / f"{image.stem}.png").resize(SIZE, Image.Resampling.NEAREST)
            truth = np.asarray(mask)
            kept = truth < CLASSES
            counts += np.bincount(truth[kept] * CLASSES + found[kept], minlength=CLASSES**2).reshape(CLASSES, CLASSES)
            right.append(float((truth[kept] == found[kept]).mean()))
        inter = counts.diagonal()
        iou = inter / np.maximum(counts.sum(0) + counts.sum(1) - inter, 1)
        print(f"| {path.parent.name}/{path.name} | {100 * iou.mean():.2f} | {100 * np.mean(right):.2f} |", flush=True)


if __name__ == "__main__":
    main()
