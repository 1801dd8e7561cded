"""hwnas bench"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli.completing import strategies
from hwnas.cli.options import OUT, Json
from hwnas.progress import plural

if TYPE_CHECKING:
    from hwnas.bench import Benchmark, Result, StrategySpec

EPILOG = "Example: hwnas bench search --benchmark nasbench201 --data nasbench201.parquet"
SUPERNET_EPILOG = ("Example: hwnas bench supernet --benchmark nasbench201 --data nasbench201.parquet --images "
                   "photos/ --imgsz 16 -o signals")

Options = dict[str, dict[str, Any]]


def make_group() -> typer.Typer:
    """`hwnas bench` and what is below it."""
    group = typer.Typer(help="Judge search strategies on benchmarks whose truth is known.",
                        invoke_without_command=True)
    group.callback()(_default)
    group.command("search", epilog=EPILOG)(search)
    group.command("supernet", epilog=SUPERNET_EPILOG)(supernet)
    return group


def _default(context: typer.Context, json: Json = False) -> None:
    """List the benchmarks and strategies at hand, those of other packages among them."""
    from hwnas.errors import UsageError

    if context.invoked_subcommand is not None:
        if json:
            raise UsageError("--json goes behind the command: hwnas bench search ...")
        return
    from hwnas.bench import registry
    from hwnas.cli.console import say_facts, say_json
    from hwnas.search.registry import names

    found = {"benchmarks": registry.names(), "strategies": names()}
    if json:
        say_json(found)
    else:
        say_facts((kind, ", ".join(there)) for kind, there in found.items())


def search(
    benchmark: Annotated[str, typer.Option("--benchmark", help="nasbench201, nasbench-macro, or that of a package "
                                           "(hwnas bench).", show_default=False)],
    data: Annotated[Path | None, typer.Option("--data", help="The benchmark's file, or the folder that holds it.",
                                              show_default=False)] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", help="For nasbench201: cifar10, cifar100 or "
                                                "ImageNet16-120.", show_default="the benchmark's own")] = None,
    strategy: Annotated[list[str] | None, typer.Option("--strategy", help="A strategy; again for another one.",
                                                       autocompletion=strategies,
                                                       show_default="migo and random")] = None,
    evaluations: Annotated[str, typer.Option("--evaluations", help="Numbers to compare at.")] = "25,50,100,200,400",
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=100_000,
                                       help="Searches of every strategy: seeds 0, 1, ...")] = 20,
    option: Annotated[list[str] | None, typer.Option(
        "--option", metavar="[NAME.]KEY=VALUE", show_default=False,
        help="An option of every strategy; with a name before, of that one or the benchmark: migo.ridge=5.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, max=1024, help="Processes.",
                                                show_default="one per core")] = None,
    out: Annotated[Path | None, typer.Option(*OUT, help="Folder that keeps every outcome (regret.jsonl); the same "
                                             "command goes on there.", show_default=False)] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw regret against evaluations: .png, .pdf or .svg.",
                                              show_default=False)] = None,
    json: Json = False,
) -> None:
    """Compare search strategies by the regret of their answers.

    A search sees the benchmark's signal, e.g. the accuracy after a few epochs; its answer is the best it evaluated.
    The regret is how far the answer's true accuracy is from the best there is, in percent points.
    """
    from hwnas.bench.threads import one_blas_thread

    with one_blas_thread():  # before numpy is imported
        from hwnas.bench import compare, load
        from hwnas.bench import plot as plotting
        from hwnas.pipeline.display.watch import watching

        names = list(dict.fromkeys(strategy or ["migo", "random"]))
        given = _options(option or [], {benchmark, *names})
        if dataset is not None:
            given[benchmark]["dataset"] = dataset
        if plot is not None:
            plotting.check(plot)
        specs, counts = _specs(names, given), _counts(evaluations)
        found = load(benchmark, data, **given[benchmark])
        with watching(json) as watch:
            results = compare(found, specs, counts, range(seeds), workers or _cores(), out=out,
                              progress=watch.progress)
        if plot is not None:
            plotting.draw(results, plot)
    _say(found, results, out, plot, json)


def supernet(
    images: Annotated[str, typer.Option("--images", help="What supernets are trained on: a folder of classes, a .npz, "
                                        "a .parquet, or digits.", show_default=False)],
    benchmark: Annotated[str, typer.Option("--benchmark", help="One of the space of that name.")] = "nasbench201",
    data: Annotated[Path | None, typer.Option("--data", help="The benchmark's file, or the folder that holds it.",
                                              show_default=False)] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", help="For nasbench201: cifar10, cifar100 or "
                                                "ImageNet16-120.", show_default="the benchmark's own")] = None,
    signal: Annotated[list[str] | None, typer.Option("--signal", help="A signal; again for another one; a+b says the "
                                                     "mean of the places of two.", show_default="all")] = None,
    cells: Annotated[int, typer.Option("--cells", min=2, help="Architectures that are ordered.")] = 1000,
    epochs: Annotated[int, typer.Option("--epochs", min=1, max=100_000, help="Of every supernet; a tenth where norms "
                                        "alone learn.")] = 20,
    imgsz: Annotated[int | None, typer.Option("--imgsz", min=8, max=1024, help="Side of the images.",
                                              show_default="their own")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=20, help="Use at most so many images.",
                                              show_default=False)] = None,
    width_mult: Annotated[float, typer.Option("--width-mult", min=0.01, max=16, help="Of the supernets, to the "
                                              "benchmark's own width.")] = 0.5,
    depth: Annotated[int, typer.Option("--depth", min=1, max=64, help="Cells a stage of the supernets.")] = 1,
    batch: Annotated[int, typer.Option("--batch", min=2, max=100_000, help="Images a step.")] = 64,
    lr: Annotated[float, typer.Option("--lr", min=1e-9, max=1e3, help="Largest learning rate.")] = 0.1,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1)] = 0,
    threads: Annotated[int | None, typer.Option("--torch-threads", min=1, max=1024, help="Threads of torch.",
                                                show_default="its own")] = None,
    out: Annotated[Path | None, typer.Option(*OUT, help="Folder that keeps what every signal says (signals.jsonl); the "
                                             "same command goes on there.", show_default=False)] = None,
    json: Json = False,
) -> None:
    """Judge what a supernet, or nothing but a network's form, says of architectures whose truth is known.

    tau orders all of them, near those of one budget (costs within 10 %); of pairs: ops at their places, by the means of
    what holds them; kept: of the 8 best of those how many are among the signal's 10; regret: in percent points, of
    DPNG's answers within a quarter, a half, three quarters and all of the largest FLOPs.
    """
    from hwnas.cli.console import say_json, say_table
    from hwnas.pipeline.display.watch import watching
    from hwnas.pipeline.job import require_torch

    require_torch("a supernet")
    import torch

    from hwnas.bench import TabularBenchmark, load
    from hwnas.bench.supernet import judged
    from hwnas.data import load as load_images
    from hwnas.errors import UsageError
    from hwnas.search.config import SearchConfig
    from hwnas.search.evaluators.setting import EvaluatorSetting
    from hwnas.search.signals import NAMES, Signals
    from hwnas.space import SpaceConfig, build
    from hwnas.train import TrainConfig, as_task

    if threads is not None:
        torch.set_num_threads(threads)
    found = load(benchmark, data, **({} if dataset is None else {"dataset": dataset}))
    if not isinstance(found, TabularBenchmark):
        raise UsageError(f"the truth of {benchmark} is no table: take nasbench201 or nasbench-macro")
    with watching(json) as watch:
        pictures = load_images(images, imgsz=imgsz, limit=limit, seed=seed, progress=watch.progress)
        size, channels = pictures.train_images.shape[1], pictures.train_images.shape[-1]
        space = build(SpaceConfig(benchmark, size, channels, len(pictures.classes), width_mult, depth))
        config = SearchConfig(train=TrainConfig(batch=batch, lr=lr))
        signals = Signals(EvaluatorSetting(space, as_task(pictures), config, seed), epochs, watch.progress)
        results = judged(found, signals, signal or list(NAMES), cells, out)
    if json:
        say_json({"benchmark": found.name, "cells": cells, "epochs": epochs, "signals": [
            {"signal": r.name, "tau": r.ranking.tau, "near": r.ranking.near, "of_pairs": r.ranking.of_pairs,
             "kept": r.ranking.kept, "regret": r.ranking.regret, "regrets": list(r.ranking.regrets),
             "seconds": r.seconds} for r in results]})
        return
    say_table(["signal", "tau", "near", "of pairs", "kept of 8", "regret", "seconds"], [
        [r.name, f"{r.ranking.tau:.3f}", f"{r.ranking.near:.3f}", f"{r.ranking.of_pairs:.3f}", str(r.ranking.kept),
         f"{r.ranking.regret:.2f}", f"{r.seconds:.1f}"] for r in results])


def _specs(names: list[str], given: Options) -> list[StrategySpec]:
    from hwnas.bench import StrategySpec

    specs = [StrategySpec(name, given[""] | given[name]) for name in names]
    for spec in specs:
        _ = spec.kind  # a wrong name is told before any data are read
    return specs


def _options(texts: list[str], names: set[str]) -> Options:
    """Values by the name before the dot, '' for those of every strategy; a value is JSON where it parses as JSON."""
    from json import loads

    from hwnas.errors import UnknownName, UsageError

    found: Options = {name: {} for name in ("", *names)}
    for text in texts:
        left, equals, value = text.partition("=")
        name, dot, key = left.rpartition(".")
        if not equals or not key or (dot and not name):
            raise UsageError(f"--option takes KEY=VALUE or NAME.KEY=VALUE, not {text!r}")
        if name not in found:
            raise UnknownName("name before the dot of --option:", name, names)
        try:
            found[name][key] = loads(value)
        except ValueError:
            found[name][key] = value
    return found


def _counts(text: str) -> list[int]:
    from hwnas.errors import UsageError

    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise UsageError(f"--evaluations takes whole numbers with commas between, e.g. 25,50,100; not {text!r}"
                         ) from None


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _say(benchmark: Benchmark, results: list[Result], out: Path | None, plot: Path | None, json: bool) -> None:
    from hwnas.bench import table
    from hwnas.cli.console import say, say_facts, say_json, say_table

    seeds = results[0].regrets().shape[1]
    written = {"out": out, "plot": plot}
    if json:
        say_json({**table.to_json(results), "best_truth": benchmark.best_truth, "seeds": seeds,
                  **{name: path and str(path) for name, path in written.items()}})
        return
    say(f"{benchmark.name}: best {benchmark.best_truth:.2f}, {plural(seeds, 'seed')}; regret in points, by evaluations")
    for title, rows in (("mean ± standard error", table.mean_rows(results)),
                        ("median (quartiles)", table.quartile_rows(results))):
        say()
        say_table((title, *map(str, results[0].evaluations)), rows)
    for line in table.shortfalls(results):
        say(line)
    say_facts((name, path) for name, path in written.items() if path is not None)
