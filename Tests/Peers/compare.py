#!/usr/bin/env python3
"""Rowcast beside its peers: the same models, rows and cores in one run, outputs compared first.

    compare.py --models FOLDER --rowcast PROGRAM [--quick] [--only a,b] [--batches 1,1024]
               [--rounds N] [--json FILE]

In each round Rowcast and its peers take turns, and a figure is the median of the rounds, so that
what else the machine does does not slow one of them alone. On one thread each engine has one. On
all cores Rowcast has a thread a core, each with batches of its own; a peer counts with the better
of two ways: its own threads over each batch, or a process a core. Peers marked * have trees of the
same shape, trained by themselves.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys

import peers

HERE = os.path.dirname(os.path.abspath(__file__))
# Single precision; scikit-learn's own exports are not nearer.
TOLERANCE = 1e-4


def note(text):
    print("…", text, file=sys.stderr, flush=True)


def measure_peer(options, model, name, threads, processes):
    """The worker's answer, or None where the peer is not there or too slow."""
    job = {"model": model, "peer": name, "folder": os.path.join(options.models, model),
           "threads": threads, "processes": processes, "batches": options.batches,
           "seconds": options.seconds, "repeats": options.repeats}
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads),
                       MKL_NUM_THREADS=str(threads), PYTHONPATH=HERE)
    try:
        done = subprocess.run([sys.executable, os.path.join(HERE, "worker.py"), json.dumps(job)],
                              capture_output=True, text=True, env=environment,
                              timeout=options.timeout)
    except subprocess.TimeoutExpired:
        note(f"{model} {name}: took more than {options.timeout} s, left out")
        return None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        note(f"{model} {name}: left out: {lines[-1][:160]}")
        return None
    result = json.loads(done.stdout.strip().splitlines()[-1])
    difference = result["difference"]
    if difference is not None and not difference <= TOLERANCE:
        note(f"{model} {name}: outputs differ by {difference:.1e} from the trainer's")
    return result["rates"]


def measure_rowcast(options, model, file):
    """Figures by (threads, batch); the program compares outputs before it measures."""
    folder = os.path.join(options.models, model)
    done = subprocess.run(
        [options.rowcast, "bench", "engine", "--json", "--model", os.path.join(folder, file),
         "--rows", os.path.join(folder, f"rows_{file}.csv"),
         "--batches", ",".join(map(str, options.batches)), "--threads", f"1,{options.cores}",
         "--repeats", str(options.repeats), "--seconds", str(options.seconds),
         "--tolerance", str(TOLERANCE)], capture_output=True, text=True)
    if done.returncode:
        note(f"{model} {file}: {done.stderr.strip()}")
        return {}
    figures = json.loads(done.stdout)["results"][0]["figures"]
    return {(figure["threads"], figure["batch"]): figure["rowsPerSecond"] for figure in figures}


def measure_peers(options, model):
    """Rows a second by (threads, batch) and peer, on many threads of the better way."""
    table = {}
    for name, peer in peers.PEERS[model].items():
        label = name if peer.compares or name == "LightGBM single row" else name + "*"
        for threads in dict.fromkeys([1, options.cores]):
            ways = [(threads, 1)] + ([(1, threads)] if threads > 1 else [])
            for inner, processes in ways:
                rates = measure_peer(options, model, name, inner, processes)
                if rates is None:
                    break
                for size, rate in rates.items():
                    found = table.setdefault((threads, int(size)), {})
                    found[label] = max(found.get(label, 0), rate)
            else:
                continue
            break
    return table


def compare(options, model):
    """One entry a (threads, batch): ours and each peer's rows a second, medians of the rounds."""
    with open(os.path.join(options.models, model, "meta.json")) as source:
        meta = json.load(source)
    note(f"{model}: {meta['title']}")
    ours, table = {}, {}
    for _ in range(options.rounds):
        for place, rate in measure_rowcast(options, model, meta["files"][0]).items():
            ours.setdefault(place, []).append(rate)
        for place, rates in measure_peers(options, model).items():
            for name, rate in rates.items():
                table.setdefault(place, {}).setdefault(name, []).append(rate)

    def median(rates):
        return statistics.median(rates) if rates else None

    return {"title": meta["title"],
            "rows": [{"threads": threads, "batch": batch, "ours": median(ours.get((threads, batch))),
                      "peers": {name: median(rates)
                                for name, rates in table.get((threads, batch), {}).items()}}
                     for threads in dict.fromkeys([1, options.cores]) for batch in options.batches]}


def rate(value):
    if value is None:
        return "-"
    if value >= 1e6:
        return f"{value / 1e6:.2f}M"
    return f"{value / 1e3:.1f}k" if value >= 1e3 else f"{value:.0f}"


def show(report):
    head = f"{'model':44} {'threads':>7} {'batch':>6} {'ours':>8} {'fastest peer':>28} {'ratio':>6} {'ORT':>8} {'ratio':>6}"
    print(head)
    print("-" * len(head))
    over_peers, over_runtime = [], []
    for model, result in report["models"].items():
        for row in result["rows"]:
            best = max(row["peers"].items(), key=lambda item: item[1], default=(None, None))
            runtime = row["peers"].get("ONNX Runtime")
            ratio = row["ours"] / best[1] if row["ours"] and best[1] else None
            runtime_ratio = row["ours"] / runtime if row["ours"] and runtime else None
            if ratio:
                over_peers.append(ratio)
            if runtime_ratio:
                over_runtime.append(runtime_ratio)
            peer = f"{rate(best[1])} {best[0]}" if best[0] else "-"
            print(f"{model + '. ' + result['title']:44.44} {row['threads']:>7} {row['batch']:>6} "
                  f"{rate(row['ours']):>8} {peer:>28} {'-' if ratio is None else f'{ratio:.2f}':>6} "
                  f"{rate(runtime):>8} {'-' if runtime_ratio is None else f'{runtime_ratio:.1f}':>6}")
    for name, ratios in (("the fastest peer", over_peers), ("ONNX Runtime", over_runtime)):
        if ratios:
            mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
            print(f"over {name}: geometric mean {mean:.2f}, least {min(ratios):.2f} "
                  f"({sum(value >= 1 for value in ratios)} of {len(ratios)} at least equal)")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", required=True)
    parser.add_argument("--rowcast", required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default=",".join(peers.PEERS))
    parser.add_argument("--batches")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json")
    options = parser.parse_args()
    options.batches = [int(size) for size in (
        options.batches or ("1,1024" if options.quick else "1,16,1024,65536")).split(",")]
    options.seconds, options.repeats = (0.05, 3) if options.quick else (0.3, 5)
    options.timeout = 120 if options.quick else 900
    options.cores = len(os.sched_getaffinity(0))
    report = {"cores": options.cores, "models": {}}
    for model in options.only.split(","):
        report["models"][model] = compare(options, model)
        if options.json:
            with open(options.json, "w") as target:
                json.dump(report, target, indent=1)
    show(report)


if __name__ == "__main__":
    main()
