#!/usr/bin/env python3
"""A worker as people write it in Python, timed beside Rowcast by `rowcast bench bulk --peer`.

    rowcast bench bulk --peer "python3 Tests/Peers/pipeline.py"
    rowcast bench bulk --peer "python3 Tests/Peers/pipeline.py --write unnest"
    rowcast bench bulk --peer "python3 Tests/Peers/pipeline.py --naive"

The competent one: psycopg 3; binary COPY by key range, read as one array without a Python object a
row; ONNX Runtime, a process a core with one thread each; and its outputs go back by binary COPY into
fresh keys, or by `insert … select unnest(…) on conflict do update` with binary arrays. Ranges are dealt
out as they are asked for. The naive one asks for the next row, scores it, inserts it, commits.

Imports, connections, the session and a first batch are made before it says that it is ready: only
what a worker does that runs already is timed. Tables and columns come in ROWCAST_PEER_… .
"""

import argparse
import json
import multiprocessing
import os
import resource
import sys

# Threads that wait for one another by spinning take a shared machine's cores from each other.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"


class Task:
    """What is to be done, as the environment says."""

    def __init__(self):
        get = lambda name: os.environ["ROWCAST_PEER_" + name]
        self.source, self.target = get("SOURCE"), get("TARGET")
        self.features = get("FEATURES").split(",")
        self.outputs = get("OUTPUTS").split(",")
        self.rows, self.processes = int(get("ROWS")), int(get("PROCESSES"))
        self.model = get("MODEL")


def onnx_bytes(path):
    """The model for ONNX Runtime: as it is, or converted from LightGBM's text."""
    if path.endswith(".onnx"):
        with open(path, "rb") as file:
            return file.read()
    import lightgbm
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    booster = lightgbm.Booster(model_file=path)
    kind = [("input", FloatTensorType([None, booster.num_feature()]))]
    return convert_lightgbm(booster, initial_types=kind, zipmap=False).SerializeToString()


class Scorer:
    """Rows in, the columns of the target table out."""

    def __init__(self, model, outputs):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name
        self.outputs = outputs

    def run(self, features):
        found = self.session.run(None, {self.input: features})
        columns = []
        for name in self.outputs:
            if name == "label":
                columns.append(found[0].reshape(-1).astype("int64"))
            else:
                last = found[-1].reshape(len(features), -1)
                columns.append(last[:, -1].astype("float64"))
        return columns


class Competent:
    """One process of many: takes ranges of keys until none is left."""

    def __init__(self, task, model, write):
        import numpy
        import psycopg

        self.np, self.task = numpy, task
        self.connection = psycopg.connect()
        self.connection.prepare_threshold = 0
        self.scorer = Scorer(model, task.outputs)
        self.write = self.copy if write == "copy" else self.unnest
        count = len(task.features)
        # A binary row: the number of its fields, then a length and the value of each.
        self.row = numpy.dtype(
            [("fields", ">i2"), ("key_size", ">i4"), ("key", ">i8"),
             ("features", [("size", ">i4"), ("value", ">f4")], (count,))])
        fields = [("fields", ">i2"), ("key_size", ">i4"), ("key", ">i8")]
        kinds = {"label": ">i8"}
        for name in task.outputs:
            fields += [(name + "_size", ">i4"), (name, kinds.get(name, ">f8"))]
        self.answer = numpy.dtype(fields)
        with self.connection.cursor() as cursor:
            found = cursor.execute(
                "select attname, atttypid::regtype::text from pg_attribute "
                "where attrelid = to_regclass(%s) and attname = any (%s)",
                (task.target, task.outputs)).fetchall()
        self.types = dict(found)
        if self.types.get("label", "bigint") != "bigint":
            raise SystemExit(f"label is {self.types['label']}, not bigint")
        self.connection.commit()
        self.scorer.run(numpy.zeros((1024, count), "float32"))
        self.read(1, 1024)

    def read(self, lower, upper):
        columns = ", ".join(["id"] + self.task.features)
        with self.connection.cursor() as cursor:
            with cursor.copy(f"copy (select {columns} from {self.task.source} where id between "
                             f"{lower} and {upper}) to stdout (format binary)") as copy:
                data = b"".join(copy)
        rows = self.np.frombuffer(data, self.row, offset=len(SIGNATURE),
                                  count=(len(data) - len(SIGNATURE) - 2) // self.row.itemsize)
        return rows["key"], rows["features"]["value"].astype("float32")

    def copy(self, keys, columns):
        rows = self.np.empty(len(keys), self.answer)
        rows["fields"] = 1 + len(columns)
        rows["key_size"], rows["key"] = 8, keys
        for name, values in zip(self.task.outputs, columns):
            rows[name + "_size"], rows[name] = 8, values
        names = ", ".join(["id"] + self.task.outputs)
        with self.connection.cursor() as cursor:
            with cursor.copy(
                    f"copy {self.task.target} ({names}) from stdin (format binary)") as copy:
                copy.write(SIGNATURE + rows.tobytes() + TRAILER)

    def unnest(self, keys, columns):
        names = ["id"] + self.task.outputs
        types = ["bigint"] + [self.types[name] for name in self.task.outputs]
        arrays = [self.array(keys, ">i8", 20)] + [
            self.array(values, ">i8" if kind == "bigint" else ">f8", 20 if kind == "bigint" else 701)
            for values, kind in zip(columns, types[1:])]
        places = ", ".join(f"%b::{kind}[]" for kind in types)
        updates = ", ".join(f"{name} = excluded.{name}" for name in self.task.outputs)
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"insert into {self.task.target} ({', '.join(names)}) select * from unnest({places}) "
                f"on conflict (id) do update set {updates}", arrays)

    def array(self, values, kind, oid):
        """A binary array of PostgreSQL's, without a Python object an element."""
        header = self.np.array([1, 0, oid, len(values), 1], ">i4").tobytes()
        items = self.np.empty(len(values), [("size", ">i4"), ("value", kind)])
        items["size"], items["value"] = 8, values
        return Image(header + items.tobytes(), oid + 996 if oid == 20 else 1022)

    def run(self, ranges):
        done = 0
        for lower, upper in iter(ranges.get, None):
            keys, features = self.read(lower, upper)
            self.write(keys, self.scorer.run(features))
            self.connection.commit()
            done += len(keys)
        return done


class Image:
    """Bytes of a value in PostgreSQL's binary form."""

    def __init__(self, data, oid):
        self.data, self.oid = data, oid


def register_images():
    import psycopg
    from psycopg.adapt import Dumper
    from psycopg.pq import Format

    class ImageDumper(Dumper):
        format = Format.BINARY

        def get_key(self, value, format):
            return (self.cls, value.oid)

        def upgrade(self, value, format):
            dumper = type(self)(self.cls)
            dumper.oid = value.oid
            return dumper

        def dump(self, value):
            return value.data

    psycopg.adapters.register_dumper(Image, ImageDumper)


def used():
    """Processor seconds of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def member(task, model, write, ranges, ready, go, results):
    try:
        register_images()
        worker = Competent(task, model, write)
        ready.put(None)
        go.wait()
        start = used()
        rows = worker.run(ranges)
        results.put((rows, used() - start))
    except BaseException as error:  # Whoever waits for this process must hear of it.
        ready.put(repr(error))
        results.put((repr(error), 0))


def competent(task, write, chunk):
    model = onnx_bytes(task.model)
    context = multiprocessing.get_context("spawn")
    ranges, ready, results = context.Queue(), context.Queue(), context.Queue()
    go = context.Event()
    for lower in range(1, task.rows + 1, chunk):
        ranges.put((lower, min(lower + chunk - 1, task.rows)))
    for _ in range(task.processes):
        ranges.put(None)
    members = [context.Process(target=member, daemon=True,
                               args=(task, model, write, ranges, ready, go, results))
               for _ in range(task.processes)]
    for process in members:
        process.start()
    for _ in members:
        problem = ready.get()
        if problem:
            raise SystemExit(problem)

    def run():
        start = used()
        go.set()
        found = [results.get() for _ in members]
        for rows, _ in found:
            if isinstance(rows, str):
                raise SystemExit(rows)
        return sum(rows for rows, _ in found), sum(s for _, s in found) + used() - start

    return f"Python, {task.processes} processes, {write} of {chunk:,} rows", run


def naive(task, limit):
    import numpy
    import psycopg

    connection = psycopg.connect()
    scorer = Scorer(onnx_bytes(task.model), task.outputs)
    names = ", ".join(["id"] + task.outputs)
    places = ", ".join(["%s"] * (1 + len(task.outputs)))
    select = (f"select {', '.join(['id'] + task.features)} from {task.source} as s where not exists "
              f"(select from {task.target} as t where t.id = s.id) order by id limit 1")
    insert = f"insert into {task.target} ({names}) values ({places})"
    scorer.run(numpy.zeros((1, len(task.features)), "float32"))

    def run():
        start, done = used(), 0
        with connection.cursor() as cursor:
            while done < min(limit, task.rows):
                row = cursor.execute(select).fetchone()
                columns = scorer.run(numpy.array([row[1:]], "float32"))
                cursor.execute(insert, [row[0]] + [column[0].item() for column in columns])
                connection.commit()
                done += 1
        return done, used() - start

    return "Python, row by row", run


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", choices=["copy", "unnest"], default="copy")
    parser.add_argument("--chunk", type=int, default=25_000, help="rows of a range")
    parser.add_argument("--naive", action="store_true", help="row by row instead")
    parser.add_argument("--limit", type=int, default=2_000, help="rows of the naive one")
    options = parser.parse_args()
    task = Task()
    if options.naive:
        name, run = naive(task, options.limit)
    else:
        name, run = competent(task, options.write, options.chunk)
    print("ready", flush=True)
    if not sys.stdin.readline():
        return
    rows, seconds = run()
    print(json.dumps({"name": name, "rows": rows, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
