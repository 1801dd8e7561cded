"""What looking at a data set costs, and what training on one that does not fit does: time and peak memory.

    python benchmarks/sources.py shared/data/imagenet_samples/images --count 2000 --other ../hwnas-410ed94

copies the photos below a folder into a temporary one until there are --count in two classes, and runs in turn, each in
a process of its own: what a dry run asks of the data and a whole dry run, by this checkout and by the one of --other;
then one epoch of batches with all images kept decoded, and with a limit of memory under which they are decoded batch by
batch.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hwnas.imaging.listing import list_images

DRY = 32  # px
HERE = Path(__file__).resolve().parents[1]
EPOCH = """
import sys, time, resource
import numpy as np
from hwnas.data import ClassFeed, load, policy_for
began = time.process_time()
data = load(sys.argv[1], imgsz=int(sys.argv[2]), memory=int(sys.argv[3]))
loaded = time.process_time()
total = 0
for images, labels in ClassFeed(data.train, policy_for(data)).epoch(64, np.random.default_rng(0)):
    total += int(images.sum())
done = time.process_time()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"{loaded - began:.1f} {done - loaded:.1f} {peak:.0f} {total}")
"""
LOOK = """
import inspect, sys
from hwnas.data import load
how = {"memory": 0} if "memory" in inspect.signature(load).parameters else {}  # 0.1 knows no other way than to decode
print(load(sys.argv[1], imgsz=int(sys.argv[2]), **how).summary())
"""


def copies(source: Path, count: int, folder: Path) -> None:
    """`count` files in the classes a and b."""
    files = [source / path for path in list_images(source).images]
    for i in range(count):
        place = folder / "ab"[i % 2] / f"{i:05}{files[i % len(files)].suffix}"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(files[i % len(files)], place)


def run(checkout: Path, *args: str) -> tuple[float, float, float, str]:
    """Wall and processor seconds, peak resident MiB and what was printed by one Python process of a checkout."""
    began = time.perf_counter()
    child = subprocess.Popen([sys.executable, *args], stdout=subprocess.PIPE, text=True,
                             env=os.environ | {"PYTHONPATH": str(checkout)}, cwd=tempfile.gettempdir())
    assert child.stdout is not None
    said = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"python {' '.join(args)[:80]} ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--imgsz", type=int, default=224)
    parser.add_argument("--other", type=Path, help="another checkout of hwnas")
    parser.add_argument("--limit", type=int, default=64, help="MiB that decoded images may take")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        copies(args.photos.resolve(), args.count, Path(folder))
        size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file()) / 2**20
        print(f"{args.count} photos, {size:.0f} MiB encoded, {args.count * args.imgsz**2 * 3 / 2**20:.0f} decoded at "
              f"{args.imgsz} px\n")
        print("| checkout | what | seconds | of processor | peak MiB |\n| --- | --- | --- | --- | --- |")
        dry = ("-m", "hwnas", "compress", "--data", folder, "--imgsz", str(DRY), "--target", "raspberry-pi-4",
               "--flops", "60%", "--dry-run")
        for what, how in (("size, classes and counts", ("-c", LOOK, folder, str(args.imgsz))),
                          (f"a dry run at {DRY} px, which tries steps of training", dry)):
            for checkout in filter(None, (args.other, HERE)):
                seconds, clock, peak, _ = run(checkout.resolve(), *how)
                name = checkout.resolve().name
                print(f"| {name} | {what} | {seconds:.1f} | {clock:.1f} | {peak:.0f} |", flush=True)
        print("\n| an epoch | processor seconds to load | of the epoch | peak MiB |\n| --- | --- | --- | --- |")
        sums = set()
        for name, memory in (("kept decoded", 1 << 40), (f"at most {args.limit} MiB decoded", args.limit << 20)):
            told = run(HERE, "-c", EPOCH, folder, str(args.imgsz), str(memory))[3].split()
            print(f"| {name} | {' | '.join(told[:3])} |", flush=True)
            sums.add(told[3])
        assert len(sums) == 1, "the pixels differ"
    print(f"\nPeak of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB.")


if __name__ == "__main__":
    main()
