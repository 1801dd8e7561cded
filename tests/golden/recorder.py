"""Golden results: what the spaces, the searches, the solver and a small job give, as JSON that later code is held to.

    python -m tests.golden.recorder OUT_FOLDER [PART ...]

writes PART.json (spaces, networks, searches, solver, job) into a folder. The recorded ones beside this file were made
at commit 410ed94, before the house was rebuilt; they are recorded again only where a fix changes them, and CHANGELOG.md
says so. Outputs of networks are compared within a tolerance; the job, whose scores decide what it finds, only on the
kind of machine it was recorded on (`machine`).
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.space import SPACES, Architecture, Space, SpaceConfig, build

SIZES = {"mobile": 32, "nasbench201": 32, "fbnet": 32}
HEADS = ("fcos", "ssdlite", "lraspp", "deeplab")
ARCHITECTURES = 10


def configs(full: bool) -> dict[str, SpaceConfig]:
    """The built-in spaces and the heads on one of them: at their own size, or small enough to run in a test."""
    found = {name: SpaceConfig(name, SPACES[name].imgsz if full else SIZES.get(name, 64), classes=10,
                               **({} if full or name == "nasbench201" else {"width_mult": 0.25, "depth": 2}))
             for name in SPACES}
    found |= {f"mobile+{head}": SpaceConfig("mobile", 320 if full else 64, classes=3, head=head,
                                            **({} if full else {"width_mult": 0.5, "depth": 1}))
              for head in HEADS}
    return found


def drawn(space: Space) -> list[Architecture]:
    """The largest, the smallest and random ones."""
    rng = np.random.default_rng(15)
    return [space.largest(), space.smallest(), *(space.sample(rng) for _ in range(ARCHITECTURES - 2))]


def spaces() -> dict[str, Any]:
    """Counts, live ops, JSON and signatures of ten architectures of every space."""
    found = {}
    for name, config in configs(full=True).items():
        space = build(config)
        found[name] = {
            "fingerprint": space.fingerprint, "sizes": list(space.sizes), "signatures": digest(list(space.signatures)),
            "architectures": [{
                "choice": list(arch.choice), "flops": arch.flops, "params": arch.params,
                "memory_bytes": arch.memory_bytes(), "depth": arch.depth, "live": "".join("01"[x] for x in arch.live),
                "ops": digest([op.signature for op in arch.live_ops]), "json": digest(arch.to_json()),
            } for arch in drawn(space)],
        }
    return found


def networks() -> dict[str, Any]:
    """Weights, outputs and ONNX graph of ten architectures of every space, built small from a seed."""
    return {name: network(config) for name, config in configs(full=False).items()}


def network(config: SpaceConfig) -> dict[str, Any]:
    """The part of `networks` that is of one space."""
    import torch

    from hwnas.nets import Network, Supernet

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        space = build(config)
        image = torch.rand((2, *space.input_shape), generator=torch.Generator().manual_seed(1))
        statistics = [0.5] * space.input_shape[0], [0.25] * space.input_shape[0]
        torch.manual_seed(2)
        shared = Supernet(space, *statistics).eval()
        rows = []
        for arch in drawn(space):
            torch.manual_seed(3)
            net = Network(arch, *statistics).eval()
            with torch.no_grad():
                rows.append({"state": digest([[k, list(v.shape)] for k, v in net.state_dict().items()]),
                             "alone": summary(net(image)), "shared": summary(shared.network(arch).eval()(image))})
        return {"architectures": rows, "onnx": graph_of(shared.network(space.largest()).eval())}
    finally:
        torch.set_num_threads(threads)


def graph_of(net: Any) -> str:
    """Hash of an exported graph: op types, attributes and shapes of constants, in order; no names."""
    import onnx

    from hwnas.export import onnx_bytes

    graph = onnx.load_from_string(onnx_bytes(net, {})).graph
    number = {value.name: f"in{i}" for i, value in enumerate(graph.input)}
    number |= {tensor.name: f"constant {list(tensor.dims)}" for tensor in graph.initializer}
    rows = []
    for i, node in enumerate(graph.node):
        attributes = sorted((a.name, str(onnx.helper.get_attribute_value(a))) for a in node.attribute
                            if a.type != onnx.AttributeProto.TENSOR)
        rows.append([node.op_type, [number.get(x, "") for x in node.input], attributes])
        number |= {out: f"{i}.{j}" for j, out in enumerate(node.output)}
    return digest(rows)


def searches() -> dict[str, Any]:
    """What every strategy asks for on a seeded table of scores, what it answers and what it learnt."""
    from hwnas.search.registry import create, names
    from hwnas.search.strategy import Score

    choices = (4, 2, 3, 1, 5)
    rows = [np.random.default_rng((5, i)).normal(size=k) for i, k in enumerate(choices)]
    pairs = np.random.default_rng(6).normal(size=(4, 5)) / 2

    def score(choice: Any) -> float:
        return float(sum(row[op] for row, op in zip(rows, choice, strict=True)) + pairs[choice[0], choice[4]])

    found = {}
    for name in names():
        for seed in (0, 1):
            strategy = create(name, choices, evaluations=60, seed=seed)
            asks = []
            while not strategy.done:
                (ask,) = strategy.ask(1)
                asks.append(list(ask.choice))
                strategy.tell(ask.id, Score(score(ask.choice)))
            assert strategy.best is not None
            assert strategy.answer is not None
            found[f"{name} {seed}"] = {
                "asks": digest(asks), "count": len(asks), "best": list(strategy.best[0]), "score": strategy.best[1],
                "answer": list(strategy.answer[0]),
                "probabilities": [[round(float(p), 9) for p in row] for row in strategy.distribution().probabilities],
            }
    return found


def solver() -> dict[str, Any]:
    """Answers and fronts of DPNG on seeded instances of the kinds of `benchmarks/dpng_instances.py`."""
    from hwnas.generate import front, solve

    found = {}
    for kind, make in INSTANCES.items():
        for seed in (0, 1):
            rng = np.random.default_rng([len(kind), seed])
            utilities, costs = make(rng)
            least = {name: sum(int(row.min()) for row in rows) for name, rows in costs.items()}
            most = {name: sum(int(row.max()) for row in rows) for name, rows in costs.items()}
            for share in (0.4, 0.6):
                budgets = {name: least[name] + int(share * (most[name] - least[name])) for name in costs}
                solution = solve(utilities, costs, budgets, top=3)
                found[f"{kind} {seed} {share}"] = {
                    "budgets": budgets, "status": solution.status,
                    "answers": [{"choice": [int(k) for k in c.choice], "utility": c.utility,
                                 "costs": {name: int(c.costs[name]) for name in costs}}
                                for c in (solution, *solution.others)],
                }
            if len(costs) == 1:
                whole = front(utilities, next(iter(costs.values())))
                found[f"{kind} {seed} front"] = {
                    "points": len(whole.costs), "costs": digest([int(c) for c in whole.costs]),
                    "utilities": digest([round(float(u), 9) for u in whole.utilities]),
                }
    return found


def random_instance(rng: np.random.Generator, layers: int = 12, width: int = 7, costs: int = 1) -> Any:
    names = ("latency", "flops", "params")[:costs]
    utilities = [np.log(rng.dirichlet(np.ones(width))) for _ in range(layers)]
    return utilities, {name: [rng.integers(1_000, 100_000, width) for _ in range(layers)] for name in names}


def tied_instance(rng: np.random.Generator) -> Any:
    return ([rng.integers(0, 4, 6) / 4 for _ in range(10)], {"cost": [rng.integers(1, 11, 6) for _ in range(10)]})


def proportional_instance(rng: np.random.Generator) -> Any:
    rows = [np.sort(rng.integers(1, 1000, 6)) for _ in range(10)]
    return [row / 1024 for row in rows], {"cost": rows}


INSTANCES: dict[str, Callable[[np.random.Generator], Any]] = {
    "random": random_instance,
    "two costs": lambda rng: random_instance(rng, 10, 6, 2),
    "three costs": lambda rng: random_instance(rng, 8, 5, 3),
    "ties": tied_instance,
    "proportional": proportional_instance,
}


def job() -> dict[str, Any]:
    """A compress of two epochs under a budget of FLOPs: what it learnt, chose and scored."""
    import torch

    from hwnas.pipeline import compress

    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        try:
            run = compress(Path(folder) / "run", budgets={"flops": "60%"}, data="digits", limit=400, epochs=2, warmup=1,
                           epochs_per_evaluation=0.5, cycles=1, settle=8, top=3, finalists=1, trial_epochs=1, depth=1,
                           widths=(1.0,), torch_threads=1, tables=str(Path(folder) / "tables"))
            law = json.loads((run.path / "distribution.json").read_text())
            rows = [json.loads(line) for line in (run.path / "search.jsonl").read_text().splitlines()]
            chosen = json.loads((run.path / "architecture.json").read_text())
        finally:
            torch.set_num_threads(threads)
    return {
        "machine": machine(), "choice": chosen["choice"],
        "probabilities": [[round(p, 6) for p in row] for row in law["probabilities"]],
        "evaluations": [[row["choice"], round(row["score"], 6)] for row in rows if "choice" in row],
    }


def machine() -> str:
    """What bits of a training depend on, besides the seed."""
    import torch

    return f"{platform.machine()}, torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"


def summary(outputs: Any) -> list[float]:
    """Mean, deviation and first value of every output, to six digits."""
    tensors = outputs if isinstance(outputs, list) else [outputs]
    values = [value for t in tensors for value in (float(t.mean()), float(t.std()), float(t.flatten()[0]))]
    return [float(f"{value:.6g}") for value in values]


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "spaces": spaces, "networks": networks, "searches": searches, "solver": solver, "job": job,
}

if __name__ == "__main__":
    out, *wanted = sys.argv[1:]
    for part in wanted or PARTS:
        Path(out, f"{part}.json").write_text(json.dumps(PARTS[part](), indent=1, sort_keys=True) + "\n")
