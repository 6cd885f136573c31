#!/usr/bin/env python3
"""Measures one peer on one model and prints a line of JSON: worker.py '{"folder": …, "peer": …}'.

With `processes` > 1 as many copies of the peer, each with one thread, score at the same time, as
people run Python on many cores; their rows are added up.
"""

import json
import multiprocessing
import sys
import time
import warnings

warnings.filterwarnings("ignore")


def measure(job, barrier=None):
    """Rows a second by batch, and how far the outputs are from the trainer's."""
    import numpy as np
    import peers

    peer = peers.PEERS[job["model"]][job["peer"]](job["folder"], job["threads"])
    result = {"rates": {}, "difference": None}
    expected = np.load(f"{job['folder']}/expected.npy")
    if peer.compares:
        rows = slice(0, len(expected))
        got = np.asarray(peer.run(peer.batch(rows)), np.float64)
        width = expected.shape[1] if expected.ndim == 2 else 1
        got = got.reshape(len(expected), -1)[:, -width:]
        wanted = expected.reshape(len(expected), -1)
        result["difference"] = float((np.abs(got - wanted) / np.maximum(np.abs(wanted), 1)).max())
    for size in job["batches"]:
        if peer.only and size not in peer.only:
            continue
        if hasattr(peer, "seconds_a_row"):
            rates = [1 / peer.seconds_a_row(size, job["seconds"]) for _ in range(job["repeats"])]
        else:
            rates = time_batches(peer, size, job, barrier)
        result["rates"][str(size)] = sorted(rates)[len(rates) // 2]
    return result


def time_batches(peer, size, job, barrier):
    import numpy as np

    count = peer.count()
    # More rows than the pool has are had by repeating it.
    places = np.arange(max(size, count)) % count
    batches = [peer.batch(places[start:start + size] if size > count
                          else slice(start, start + size))
               for start in range(0, max(count - size, 0) + 1, size)[:2048 if size <= 16 else 16]]
    peer.run(batches[0])
    calls, spent = 1, 0.0
    while True:
        start = time.perf_counter()
        for call in range(calls):
            peer.run(batches[call % len(batches)])
        spent = time.perf_counter() - start
        if spent > job["seconds"] / 4:
            break
        calls *= 4
    calls = max(1, int(calls * job["seconds"] / spent))
    rates = []
    for _ in range(job["repeats"]):
        if barrier:
            barrier.wait()
        start = time.perf_counter()
        for call in range(calls):
            peer.run(batches[call % len(batches)])
        rates.append(calls * size / (time.perf_counter() - start))
    return rates


def member(job, barrier, queue):
    try:
        queue.put(measure(job, barrier))
    except Exception as error:  # The others wait for all; this one says why it cannot come.
        barrier.abort()
        queue.put({"error": repr(error)})


def main():
    job = json.loads(sys.argv[1])
    if job["processes"] == 1:
        print(json.dumps(measure(job)))
        return
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(job["processes"]), context.Queue()
    members = [context.Process(target=member, args=(job, barrier, queue))
               for _ in range(job["processes"])]
    for process in members:
        process.start()
    results = [queue.get() for _ in members]
    for process in members:
        process.join()
    errors = [result["error"] for result in results if "error" in result]
    if errors:
        raise SystemExit(errors[0])
    total = results[0]
    for result in results[1:]:
        for size, rate in result["rates"].items():
            total["rates"][size] += rate
    print(json.dumps(total))


if __name__ == "__main__":
    main()
