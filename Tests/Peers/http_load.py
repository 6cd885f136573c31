"""Requests under load: beside a job that takes all cores, and in overload.

    .data/http/bin/python Tests/Peers/http_load.py --rowcast .build/release/rowcast

An appliance scores a job of ten million rows while requests of one row come over a few connections: their p50 and p99 before
and beside it. Then ever more connections ask at once, while a probe asks for /v2/health/live over a connection of its own each time.
Needs wrk and psql, no Python package.
"""
import argparse
import json
import os
import pathlib
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from http_compare import MODEL, ROOT, post, rowcast, until, wrk

FEATURES = 28


class Appliance:
    """One with the model and a table of rows."""

    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        self.server, self.data, self.port = rowcast(args, folder, f"{folder}/rowcast.log")

    def __enter__(self):
        self.server.__enter__()
        until(lambda: urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v2/health/ready"))
        subprocess.run([self.args.rowcast, "push", str(MODEL), "--name", "boosted", "--alias", "champion",
                        "--data-dir", self.data], check=True, capture_output=True)
        # As the appliance announces it.
        self.database = re.search(r'psql "([^"]+)"', pathlib.Path(self.server.log).read_text()).group(1)
        until(lambda: post(self.url, BODY))
        return self

    def __exit__(self, *_):
        self.server.__exit__()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v2/models/boosted/infer"

    def sql(self, text):
        return subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.database], check=True, text=True,
                              input=text, capture_output=True).stdout.strip()

    def resident(self):
        """Megabytes of the worker and server, without PostgreSQL."""
        for line in pathlib.Path(f"/proc/{self.server.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024


row = random.Random(7)
BODY = {"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, FEATURES],
                    "data": [round(row.gauss(0, 1), 6) for _ in range(FEATURES)]}],
        "outputs": [{"name": "probability"}]}


def fill(appliance, rows):
    features = ", ".join(f"(((i * {7919 + 2 * n}) % 10007) / 2500.0 - 2)::real as f{n}" for n in range(FEATURES))
    appliance.sql(f"create schema load; create table load.row as select i::int as id, {features} "
                  f"from generate_series(1, {rows}::bigint) as i; vacuum analyze load.row; checkpoint;")


def beside_a_job(appliance, args, folder):
    """Requests before, beside and after a job, and the job's rows a second."""
    def asked(seconds):
        return wrk(appliance.url, BODY, folder, seconds, args.connections)

    asked(2)
    idle = asked(args.seconds)
    job = int(appliance.sql("select rowcast.submit_job('boosted', 'load.row', 'load.scored', mode => 'replace')"))
    progress = f"select rows_done, state from rowcast.job_progress where job_id = {job}"
    until(lambda: 1 / int(appliance.sql(progress).split("|")[0] or 0))
    before, began = int(appliance.sql(progress).split("|")[0]), time.monotonic()
    beside = asked(args.seconds)
    done, state = appliance.sql(progress).split("|")
    rate = (int(done) - before) / (time.monotonic() - began)
    ran_throughout = state == "running"
    until(lambda: appliance.sql(progress).split("|")[1] == "done" or 1 / 0, 600)
    return {"idle": idle, "beside": beside, "job_rate": rate, "ran_throughout": ran_throughout}


class Probe(threading.Thread):
    """Asks for health over and over, each time over a new connection, and notes how long that took."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.times, self.errors, self.stopped = port, [], [], threading.Event()

    def run(self):
        while not self.stopped.wait(0.02):
            began = time.perf_counter()
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
                    connection.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n")
                    answer = b""
                    while piece := connection.recv(4096):
                        answer += piece
                if not answer.startswith(b"HTTP/1.1 200"):
                    self.errors.append(answer[:80].decode("latin-1"))
            except OSError as error:
                self.errors.append(str(error))
            self.times.append((time.perf_counter() - began) * 1000)

    def end(self):
        self.stopped.set()
        self.join()
        times = sorted(self.times)
        return {"probes": len(times), "p50": statistics.median(times), "p99": times[int(len(times) * 0.99)],
                "max": times[-1], "errors": self.errors}


def overload(appliance, args, folder):
    """Ever more connections, each with a request as soon as it has its answer."""
    results = {}
    for connections in args.overload:
        before, probe = appliance.resident(), Probe(appliance.port)
        probe.start()
        load = wrk(appliance.url, BODY, folder, args.seconds, connections)
        results[connections] = {**load, "health": probe.end(), "before": before, "after": appliance.resident()}
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rowcast", default=str(ROOT / ".build/release/rowcast"))
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=4, help="of the requests beside a job")
    parser.add_argument("--overload", type=int, nargs="*", default=[64, 640, 2000])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not shutil.which("wrk"):
        raise SystemExit("wrk is not installed")
    with tempfile.TemporaryDirectory(prefix="http-load-") as folder:
        os.chmod(folder, 0o755)
        with Appliance(args, folder) as appliance:
            loads = overload(appliance, args, folder)
            jobs = []
            if args.rows:
                print(f"… {args.rows:,} rows", file=sys.stderr)
                fill(appliance, args.rows)
                for number in range(args.rounds):
                    print(f"… beside a job, {number + 1}/{args.rounds}", file=sys.stderr)
                    jobs.append(beside_a_job(appliance, args, folder))
    report(loads, jobs, args)
    return 0


def report(loads, jobs, args):
    if args.json:
        print(json.dumps({"overload": loads, "beside": jobs}, indent=1))
        return
    print(f"{'connections':>12}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'refused':>9}"
          f"{'health p50':>12}{'p99':>8}{'most ms':>9}{'errors':>8}{'MB before':>11}{'after':>8}")
    for connections, r in loads.items():
        h = r["health"]
        print(f"{connections:12}{r['rate']:12,.0f}{r['p50']:9.2f}{r['p99']:9.2f}{r['errors']:9.0f}"
              f"{h['p50']:12.2f}{h['p99']:8.2f}{h['max']:9.2f}{len(h['errors']):8}{r['before']:11.0f}{r['after']:8.0f}")
    if not jobs:
        return
    print(f"\n{args.connections} connections beside a job of {args.rows:,} rows; median of {len(jobs)}")
    print(f"{'':10}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'of idle':>9}")
    idle = {key: statistics.median(j["idle"][key] for j in jobs) for key in ["rate", "p50", "p99"]}
    beside = {key: statistics.median(j["beside"][key] for j in jobs) for key in ["rate", "p50", "p99"]}
    ratio = statistics.median(j["beside"]["p99"] / j["idle"]["p99"] for j in jobs)
    print(f"{'idle':10}{idle['rate']:12,.0f}{idle['p50']:9.2f}{idle['p99']:9.2f}")
    print(f"{'beside':10}{beside['rate']:12,.0f}{beside['p50']:9.2f}{beside['p99']:9.2f}{ratio:9.2f}")
    print(f"the job meanwhile: {statistics.median(j['job_rate'] for j in jobs):,.0f} rows/s"
          + ("" if all(j["ran_throughout"] for j in jobs) else "; it ended before the requests did"))


if __name__ == "__main__":
    sys.exit(main())
