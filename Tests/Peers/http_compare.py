"""One row a request over HTTP: Rowcast beside FastAPI + ONNX Runtime and MLServer, in one run.

    python3 -m venv .data/http && .data/http/bin/pip install -r Tests/Peers/http_requirements.txt
    .data/http/bin/python Tests/Peers/http_compare.py --rowcast .build/release/rowcast

All serve the same boosted model (deploy/bench/boosted_100x31.txt), must answer alike, and are asked in turns by wrk over
64 connections, each alone. With a folder of the FAQ example (make faq) a question is matched with all its entries, too.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MODEL = ROOT / "deploy/bench/boosted_100x31.txt"
# As many answers as the question service had that this is to stand beside.
CANDIDATES = 182


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def until(what, seconds=120):
    end = time.monotonic() + seconds
    while True:
        try:
            return what()
        except Exception as error:  # Not there yet.
            if time.monotonic() > end:
                raise SystemExit(f"a server does not answer: {error}")
            time.sleep(0.2)


class Server:
    """A process group that ends with the block."""

    def __init__(self, command, log, **options):
        self.command, self.options, self.log = command, options, log

    def __enter__(self):
        self.out = open(self.log, "w")
        self.process = subprocess.Popen(
            self.command, stdout=self.out, stderr=subprocess.STDOUT, start_new_session=True, **self.options)
        return self

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.out.close()

    def cpu_seconds(self):
        """Of the whole group: workers of uvicorn and backends of PostgreSQL too."""
        total, tick = 0, os.sysconf("SC_CLK_TCK")
        for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[3]) == self.process.pid:
                total += (int(fields[11]) + int(fields[12])) / tick
        return total


def wrk(url, body, folder, seconds, connections):
    script = pathlib.Path(folder) / "post.lua"
    text = json.dumps(body)
    script.write_text(
        "wrk.method = 'POST'\nwrk.headers['Content-Type'] = 'application/json'\n"
        f"wrk.body = [==[{text}]==]\n"
        "done = function(s, l, r)\n"
        "  io.write(string.format('RESULT %f %f %f %f %d\\n', s.requests / s.duration * 1e6,"
        " l:percentile(50) / 1000, l:percentile(99) / 1000, s.requests,"
        " s.errors.status + s.errors.connect + s.errors.read + s.errors.write + s.errors.timeout))\nend\n")
    out = subprocess.run(
        ["wrk", "-t2", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script), url],
        check=True, capture_output=True, text=True).stdout
    rate, p50, p99, count, errors = map(float, re.search(r"RESULT (.*)", out).group(1).split())
    return {"rate": rate, "p50": p50, "p99": p99, "count": count, "errors": errors}


def measured(server, url, body, folder, args):
    wrk(url, body, folder, 2, args.connections)
    before = server.cpu_seconds()
    result = wrk(url, body, folder, args.seconds, args.connections)
    result["cpu"] = (server.cpu_seconds() - before) / max(result["count"], 1) * 1e6
    if result["errors"]:
        raise SystemExit(f"{url}: {result['errors']:.0f} errors")
    return result


def rowcast(args, folder, log):
    data, port = f"{folder}/rowcast", free_port()
    os.makedirs(data, exist_ok=True)
    server = Server([args.rowcast, "up", "--data-dir", data, "--http", str(port), "--without-keys"], log)
    return server, data, port


def make_models(folder):
    """The model in ONNX, and a row with what LightGBM says of it."""
    import lightgbm
    import numpy
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    booster = lightgbm.Booster(model_file=str(MODEL))
    features = booster.num_feature()
    onnx = onnxmltools.convert_lightgbm(
        booster, initial_types=[("input", FloatTensorType([None, features]))], zipmap=False)
    path = f"{folder}/model.onnx"
    pathlib.Path(path).write_bytes(onnx.SerializeToString())
    row = numpy.random.default_rng(7).normal(size=features).astype("float32")
    return path, [float(v) for v in row], booster


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rowcast", default=str(ROOT / ".build/release/rowcast"))
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--faq", help="folder with model.onnx, entries.tsv and questions.tsv")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not shutil.which("wrk"):
        raise SystemExit("wrk is not installed")
    with tempfile.TemporaryDirectory(prefix="http-peers-") as folder:
        os.chmod(folder, 0o755)
        report(compare(args, folder), args)
    return 0


def compare(args, folder):
    onnx, row, booster = make_models(folder)
    expected = float(booster.predict([row])[0])
    cores, results = len(os.sched_getaffinity(0)), {}
    tensors = {"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, len(row)], "data": row}]}
    # What the peers answer, and no label.
    asked = {**tensors, "outputs": [{"name": "probability"}]}

    def agree(name, score):
        if abs(score - expected) > 1e-4 * max(1, abs(expected)):
            raise SystemExit(f"{name} says {score}, LightGBM {expected}")

    def ours():
        server, data, port = rowcast(args, folder, f"{folder}/rowcast.log")
        url = f"http://127.0.0.1:{port}/v2/models/boosted/infer"
        with server:
            until(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready"))
            if not (pathlib.Path(data) / ".pushed").exists():
                subprocess.run([args.rowcast, "push", str(MODEL), "--name", "boosted", "--alias", "champion",
                                "--data-dir", data], check=True, capture_output=True)
                (pathlib.Path(data) / ".pushed").touch()
            agree("Rowcast", until(lambda: post(url, asked))["outputs"][0]["data"][-1])
            return measured(server, url, asked, folder, args)

    def fastapi(workers):
        port = free_port()
        server = Server(
            [sys.executable, "-m", "uvicorn", "http_fastapi:app", "--port", str(port), "--workers", str(workers),
             "--no-access-log", "--log-level", "warning", "--loop", "uvloop", "--http", "httptools"],
            f"{folder}/fastapi-{workers}.log", cwd=HERE, env={**os.environ, "MODEL": onnx})
        url = f"http://127.0.0.1:{port}/predict"
        with server:
            agree("FastAPI", until(lambda: post(url, {"rows": [row]}))["scores"][-1])
            return measured(server, url, {"rows": [row]}, folder, args)

    def mlserver(workers):
        port, grpc, metrics = free_port(), free_port(), free_port()
        home = pathlib.Path(folder) / f"mlserver-{workers}"
        home.mkdir(exist_ok=True)
        (home / "settings.json").write_text(json.dumps(
            {"http_port": port, "grpc_port": grpc, "metrics_port": metrics, "host": "127.0.0.1", "debug": False,
             "parallel_workers": workers}))
        (home / "model-settings.json").write_text(json.dumps(
            {"name": "boosted", "implementation": "http_mlserver.Boosted", "parameters": {"uri": onnx}}))
        server = Server([str(pathlib.Path(sys.executable).parent / "mlserver"), "start", str(home)],
                        f"{home}/log", cwd=HERE, env={**os.environ, "PYTHONPATH": str(HERE)})
        url = f"http://127.0.0.1:{port}/v2/models/boosted/infer"
        with server:
            agree("MLServer", until(lambda: post(url, tensors))["outputs"][0]["data"][-1])
            return measured(server, url, tensors, folder, args)

    def questions():
        server, data, port = rowcast(args, folder, f"{folder}/rowcast.log")
        url = f"http://127.0.0.1:{port}/api/v1/service/help/score"
        faq = pathlib.Path(args.faq).resolve()
        with server:
            until(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready"))
            if not (pathlib.Path(data) / ".faq").exists():
                make_service(args, data, faq, server.log)
                (pathlib.Path(data) / ".faq").touch()
            question = (faq / "questions.tsv").read_text().splitlines()[0].split("\t")[1]
            answer = until(lambda: post(url, {"input": question, "top_k": 5}))
            result = measured(server, url, {"input": question, "top_k": 5}, folder, args)
            return {**result, "answer": answer[0]}

    # A worker a core, and one, as it starts unless told otherwise.
    runs = {"Rowcast": ours, f"FastAPI + ONNX Runtime, {cores} workers": lambda: fastapi(cores),
            "FastAPI + ONNX Runtime": lambda: fastapi(1), "MLServer": lambda: mlserver(0), f"MLServer, {cores} workers": lambda: mlserver(cores)}
    if args.faq:
        runs["Rowcast, questions"] = questions
    for number in range(args.rounds):
        for name, run in runs.items():
            print(f"… round {number + 1}: {name}", file=sys.stderr)
            results.setdefault(name, []).append(run())
    return {name: {key: statistics.median(r[key] for r in rounds) for key in ["rate", "p50", "p99", "cpu"]}
            for name, rounds in results.items()}


def make_service(args, data, faq, log):
    """The entries as a table, over again until there are enough, and a service that asks for all of them."""
    subprocess.run([args.rowcast, "push", str(faq / "model.onnx"), "--name", "faq", "--alias", "champion",
                    "--data-dir", data], check=True, capture_output=True)
    entries = [line.split("\t", 1)[1] for line in (faq / "entries.tsv").read_text().splitlines()]
    rows = ",".join("(%d, %d, '%s')" % (number, number, entries[number % len(entries)].replace("'", "''"))
                    for number in range(CANDIDATES))
    # As the appliance announces it.
    database = re.search(r'psql "([^"]+)"', pathlib.Path(log).read_text()).group(1)
    subprocess.run(
        ["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-d", database], check=True, text=True,
        input="create schema help; create table help.entry (question_id int, answer_id int, entry text);\n"
              f"insert into help.entry values {rows};\n"
              "select rowcast.create_service('help', 'faq', "
              "'select question_id, answer_id, entry from help.entry order by question_id');\n",
        stdout=subprocess.DEVNULL)


def report(results, args):
    if args.json:
        print(json.dumps(results, indent=1))
        return
    own = results["Rowcast"]
    print(f"{args.connections} connections, a row a request; median of {args.rounds}")
    print(f"{'':38}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'CPU µs':>9}{'ours':>9}")
    for name, r in results.items():
        ratio = "" if name.startswith("Rowcast") else f"{own['rate'] / r['rate']:8.1f}x"
        print(f"{name:38}{r['rate']:12,.0f}{r['p50']:9.2f}{r['p99']:9.2f}{r['cpu']:9.0f}{ratio:>9}")


if __name__ == "__main__":
    sys.exit(main())
