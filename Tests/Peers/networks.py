#!/usr/bin/env python3
"""Times networks beside ONNX Runtime and PyTorch: the same file, the same cores, in turn.

    python networks.py --rowcast .build/release/rowcast --models .data/zoo/networks [--only resnet50]
                       [--batches 1,8,32] [--threads 1,4] [--rounds 3] [--json FILE]

A figure is images a second, the median of the rounds; each round asks each program once, in a process of its own, whose
peak memory is reported too. PyTorch runs the network that the file was exported from.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

PROGRAMS = ("rowcast", "onnxruntime", "torch")


def timed(call, batch, seconds):
    """Rows a second of repeated calls, after one that does not count."""
    call()
    start, calls = time.perf_counter(), 0
    while calls < 2 or time.perf_counter() - start < seconds:
        call()
        calls += 1
    return calls * batch / (time.perf_counter() - start)


def runtime(path, batch, threads, seconds):
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    info = session.get_inputs()[0]
    image = np.random.default_rng(1).standard_normal((batch, *info.shape[1:]), dtype=np.float32)
    return timed(lambda: session.run(None, {info.name: image}), batch, seconds)


def torch(path, batch, threads, seconds):
    import torch
    import torchvision

    torch.set_num_threads(threads)
    name = os.path.basename(os.path.dirname(path))
    network = getattr(torchvision.models, name)(weights=None).eval()
    image = torch.randn(batch, 3, 224, 224)
    with torch.inference_mode():
        return timed(lambda: network(image), batch, seconds)


def rowcast(program, path, batch, threads, seconds):
    text = subprocess.run(
        [program, "bench", "engine", "--model", path, "--batches", str(batch), "--threads", str(threads),
         "--repeats", "1", "--seconds", str(seconds), "--json"],
        check=True, capture_output=True, text=True).stdout
    return json.loads(text)["results"][0]["figures"][0]["rowsPerSecond"]


def one(arguments):
    """One measurement in this process, as JSON."""
    path, batch, threads = arguments.one[1], int(arguments.one[2]), int(arguments.one[3])
    if arguments.one[0] == "rowcast":
        rate = rowcast(arguments.rowcast, path, batch, threads, arguments.seconds)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    else:
        call = runtime if arguments.one[0] == "onnxruntime" else torch
        rate = call(path, batch, threads, arguments.seconds)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"rate": rate, "megabytes": peak / 1024}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rowcast", default=".build/release/rowcast")
    parser.add_argument("--models", default=".data/zoo/networks")
    parser.add_argument("--only", default="resnet50,resnet152")
    parser.add_argument("--batches", default="1,8,32")
    parser.add_argument("--threads", default=f"1,{os.cpu_count()}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--json")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        return one(arguments)
    report = []
    for name in arguments.only.split(","):
        path = os.path.join(arguments.models, name, "model.onnx")
        for threads in arguments.threads.split(","):
            for batch in arguments.batches.split(","):
                found = {program: [] for program in PROGRAMS}
                for _ in range(arguments.rounds):
                    for program in PROGRAMS:
                        run = subprocess.run(
                            [sys.executable, __file__, "--rowcast", arguments.rowcast, "--seconds",
                             str(arguments.seconds), "--one", program, path, batch, threads],
                            capture_output=True, text=True)
                        if run.returncode == 0:
                            found[program].append(json.loads(run.stdout.splitlines()[-1]))
                line = {"model": name, "threads": int(threads), "batch": int(batch)}
                for program, figures in found.items():
                    if figures:
                        line[program] = statistics.median(figure["rate"] for figure in figures)
                        line[f"{program} MB"] = max(figure["megabytes"] for figure in figures)
                peers = [line[program] for program in PROGRAMS[1:] if program in line]
                if peers and "rowcast" in line:
                    line["over the faster"] = line["rowcast"] / max(peers)
                report.append(line)
                print("  ".join(f"{key} {value:.2f}" if isinstance(value, float) else f"{key} {value}"
                                for key, value in line.items()), flush=True)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(report, file, indent=1)


if __name__ == "__main__":
    main()
