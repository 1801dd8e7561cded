"""200,000 photos of 224 px that do not fit into memory: time to the first step of training, memory, images a second.

    python benchmarks/big_data.py shared/data/imagenet_samples/images --count 200000 --folder /tmp/big

makes the photos once below --folder (crops of those given, each file with bytes of its own, in 100 classes) and runs,
each in a process of its own:

- `hwnas.compress` on them until it has trained for --steps steps: when the first one was done, after the process was
  started, and the most memory that the process took until the last. A small network and a device of estimated
  latencies, so that data are what is measured. On a machine that others use seconds of processor are what counts;
- an epoch's first batches as training gets them, shifted and mirrored, without a network: by 0, 1 and 2 workers, with
  the images cached on disk and without;
- the same by torch's `DataLoader` with Pillow.

Memory is VmHWM of the process, and with workers of a DataLoader the sum of all processes' own (not shared) memory.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

from PIL import Image

SIDE, CLASSES, DISTINCT = 224, 100, 4000
MEMORY = """
import os, time
from pathlib import Path
def age():
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return float(Path("/proc/uptime").read_text().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")
def field(name, pid="self"):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))
"""
STEP = MEMORY + """
import sys, tempfile, threading
from hwnas.pipeline import compress
folder, steps, cache = sys.argv[1], int(sys.argv[2]), sys.argv[3]
first, spent, begun, stages = [], [], [], []
def told(what, done, total):
    if what == "train reference":
        first.append(age())
        spent.append(time.process_time())
        if done >= steps:
            rate = (steps - 1) / (first[-1] - first[0])
            print(f"{first[0]:.1f} {spent[0]:.1f} {begun[0]:.1f} {rate:.2f} {field('VmHWM'):.0f} {' '.join(stages)}",
                  flush=True)
            os._exit(0)
def hook(stage, event, seconds):
    if (stage, event) == ("reference", "start"):
        begun.append(time.process_time())
    if event == "done":
        stages.append(f"{stage}={seconds:.1f}")
compress(tempfile.mkdtemp() + "/run", data=folder, imgsz=224, space="proxyless", width_mult=0.1, batch_size=16,
         torch_threads=1, target="raspberry-pi-5", budgets={"flops": "50%"}, image_cache=cache, progress=told,
         hook=hook)
"""
READ = MEMORY + """
import itertools, sys
import numpy as np
from hwnas.data import ClassFeed, Reading, load, policy_for, read_by
folder, workers, cache, batches = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
with read_by(Reading(Path(cache) if cache != "off" else None, workers)):
    data = load(folder, imgsz=224, memory=0)
    for _ in range(2 if cache != "off" else 1):
        began, clock, count = time.perf_counter(), time.process_time(), 0
        feed = ClassFeed(data.train, policy_for(data)).epoch(64, np.random.default_rng(0))
        for images, labels in itertools.islice(feed, batches):
            count += len(images)
        seconds, spent = time.perf_counter() - began, time.process_time() - clock
        feed.close()
        print(f"{count / seconds:.0f} {1e3 * spent / count:.2f} {field('VmHWM'):.0f}")
"""
BESIDE = """
import os, sys, time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from hwnas.imaging import Picture
paths = list(islice(Path(sys.argv[1]).rglob("*.jpg"), 4000))
def some(start):
    for path in paths[start : start + 50]:
        Picture.read(path).square(224, 3)
def rate(pool):
    list(pool.map(some, range(4)))
    began = time.perf_counter()
    list(pool.map(some, range(0, len(paths), 50)))
    return len(paths) / (time.perf_counter() - began)
for name, pool in (("1 thread", ThreadPoolExecutor(1)), ("2 threads", ThreadPoolExecutor(2)),
                   ("2 processes that give no pixels back", ProcessPoolExecutor(2))):
    with pool:
        rates = sorted(rate(pool) for _ in range(3))
        print(f"{name}|{rates[1]:.0f} ({rates[0]:.0f} to {rates[2]:.0f})", flush=True)
"""
RIVAL = MEMORY + """
import itertools, random, sys
import numpy as np
import torch
from PIL import Image, ImageOps
folder, workers, batches = sys.argv[1], int(sys.argv[2]), int(sys.argv[4])
class Photos(torch.utils.data.Dataset):
    def __init__(self):
        classes = sorted(os.listdir(folder))
        self.files = [(f"{folder}/{name}/{file}", k) for k, name in enumerate(classes)
                      for file in sorted(os.listdir(f"{folder}/{name}"))]
    def __len__(self):
        return len(self.files)
    def __getitem__(self, index):
        path, label = self.files[index]
        with Image.open(path) as image:
            image = image.convert("RGB")
        if image.size != (224, 224):
            image = image.resize((224, 224), Image.Resampling.BILINEAR)
        padded = np.pad(np.asarray(image), ((28, 28), (28, 28), (0, 0)), mode="reflect")
        y, x = random.randrange(57), random.randrange(57)
        cut = padded[y : y + 224, x : x + 224]
        return torch.from_numpy(np.ascontiguousarray(cut[:, ::-1] if random.random() < 0.5 else cut)), label
torch.set_num_threads(1)
loader = iter(torch.utils.data.DataLoader(Photos(), 64, shuffle=True, num_workers=workers))
began, count = time.perf_counter(), 0
clock = sum(os.times()[:4])
for images, labels in itertools.islice(loader, batches):
    count += len(images)
seconds = time.perf_counter() - began
peak = field("VmHWM")
for pid in (process.pid for process in getattr(loader, "_workers", [])):
    peak += field("RssAnon", pid)
print(f"{count / seconds:.0f} - {peak:.0f}")
"""


def photos(source: Path, count: int, folder: Path) -> None:
    """`count` JPEGs of SIDE px in CLASSES folders: crops of the photos in `source`, in a comment of each its number."""
    files = sorted(source.rglob("*.jpg"))

    def crop(number: int) -> bytes:
        random, buffer = Random(number), io.BytesIO()
        with Image.open(files[number % len(files)]) as image:
            side = min(image.size) * random.uniform(0.6, 1)
            x, y = random.uniform(0, image.width - side), random.uniform(0, image.height - side)
            part = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC, (x, y, x + side, y + side))
        part.save(buffer, "JPEG", quality=random.choice((70, 75, 80)))
        return buffer.getvalue()

    with ThreadPoolExecutor() as pool:
        crops = list(pool.map(crop, range(DISTINCT)))
    for k in range(CLASSES):
        (folder / f"class{k:03}").mkdir(parents=True)
    for number in range(count):
        note, data = f"image {number}".encode(), crops[number % DISTINCT]
        told = b"\xff\xfe" + (len(note) + 2).to_bytes(2, "big") + note
        (folder / f"class{number % CLASSES:03}" / f"{number:06}.jpg").write_bytes(data[:2] + told + data[2:])


def ask(code: str, *args: object) -> list[list[str]]:
    """What a Python process printed, in words; its threads are as many as there are cores."""
    found = subprocess.run([sys.executable, "-c", code, *map(str, args)], text=True, check=True, stdout=subprocess.PIPE)
    return [line.split() for line in found.stdout.splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, required=True, help="where the photos and the cache are made")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batches", type=int, default=100, help="of 64 images, read without a network")
    args = parser.parse_args()
    data, cache = args.folder / f"photos{args.count}", args.folder / "cache"
    if not data.is_dir():
        began = time.perf_counter()
        photos(args.source.resolve(), args.count, data)
        print(f"{args.count:,} photos made in {time.perf_counter() - began:.0f} s, not counted below\n")
    print(f"Load of the machine when it began: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.\n")
    print("| images cached | seconds until the first step is done | of processor | of that before training | "
          "steps a second after it | peak MiB | seconds of stages |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for where in ("off", cache):
        ((*times, peak, stages, more),) = ask(STEP, data, args.steps, where)
        how = "no" if where == "off" else "on disk"
        print(f"| {how} | {' | '.join(times)} | {peak} | {stages}, {more} |", flush=True)
    print("\n| who reads | workers | images a second | ms of processor an image | peak MiB |")
    print("| --- | --- | --- | --- | --- |")
    for workers in (0, 1, 2):
        for where in ("off", cache):
            shutil.rmtree(cache, ignore_errors=True)
            told = ask(READ, data, workers, where, args.batches)
            for found, how in zip(told, ("decoded",) if where == "off" else ("decoded and cached", "from the cache"),
                                  strict=True):
                print(f"| hwnas, {how} | {workers} | {' | '.join(found)} |", flush=True)
    for workers in (0, 1, 2):
        (found,) = ask(RIVAL, data, workers, "off", args.batches)
        print(f"| DataLoader with Pillow | {workers} | {' | '.join(found)} |", flush=True)
    shutil.rmtree(cache, ignore_errors=True)
    print("\n| decoding alone | images a second, median of 3 |\n| --- | --- |")
    for words in ask(BESIDE, data):
        print(f"| {' '.join(words).replace('|', ' | ')} |", flush=True)
    print(f"\nLoad when it ended: {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()
