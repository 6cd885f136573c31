"""Writes a case of the zoo: a model that is made anew for each run of the conformance tests and never committed.

    <zoo>/<family>/<case>/model.onnx       the model
                         /rows.csv         input, a column a feature, in the order of the graph's inputs
                         /expected.csv     what the library that trained the model computes, a column an output
                         /onnxruntime.csv  what ONNX Runtime computes from the same file; absent where it refuses it
                         /case.json        names and types; which estimator it is about

Outputs are compared by their place. Cells are those of fixture.py: empty is NULL, `""` the empty string.
"""

import json
import os
import pathlib
import shutil

import numpy as np

from fixture import write_table

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ZOO = pathlib.Path(os.environ.get("ROWCAST_ZOO") or ROOT / ".data" / "zoo")

KINDS = {"f": "float", "i": "int64", "u": "int64", "b": "int64", "U": "string", "T": "string", "O": "string"}


def flat(answers, rows):
    """Columns of an answer in order: matrices, lists of matrices and lists of dictionaries taken apart.

    The first axis is the rows, or, where an estimator has several outputs, the second.
    """
    columns = []
    for answer in answers:
        if isinstance(answer, list) and answer and isinstance(answer[0], dict):
            columns += [np.array([row[key] for row in answer]) for key in answer[0]]
            continue
        if isinstance(answer, list):
            columns += flat(answer, rows)
            continue
        answer = np.asarray(answer)
        if len(answer) == rows:
            columns += list(answer.reshape(rows, -1).T)
        elif answer.ndim > 1 and answer.shape[1] == rows:
            columns += flat(list(answer), rows)
        else:
            raise ValueError(f"an output of shape {answer.shape} for {rows} rows")
    return columns


def as_computed(expected, got):
    """The expected column as numbers where the graph counts in floats."""
    return expected.astype(np.float64) if kind_of(expected) == "int64" and kind_of(got).startswith("float") else expected


def kind_of(column):
    kind = KINDS[np.asarray(column).dtype.kind]
    if kind == "float":
        return "float32" if np.asarray(column).dtype == np.float32 else "float64"
    return kind


def difference(got, want):
    """Largest |got - want| / max(|want|, 1); None where something is finite in one alone."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    with np.errstate(all="ignore"):
        error = np.where(same, 0, np.abs(got - want) / np.maximum(np.abs(want), 1))
    return float(np.max(error, initial=0)) if np.isfinite(error).all() else None


def write_csv(path, columns, names):
    kinds = [kind_of(column) for column in columns]
    write_table(path, list(zip(names, kinds, columns)), len(columns[0]))


def write_case(family, name, *, about, library, versions, model, features, answers, runtime, refusal=None, notes=""):
    """Writes a case and gives a line about it.

    `features` are (name, type, values) with None for NULL; `answers` the library's outputs and `runtime` those of ONNX
    Runtime, both in the graph's order; `refusal` says why there is no `runtime`.
    """
    folder = ZOO / family / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model)
    rows = len(features[0][2])
    write_table(folder / "rows.csv", features, rows)
    expected = flat(answers, rows)
    names = [f"output_{k}" for k in range(len(expected))]
    worst, exchanged = 0.0, 0
    if runtime is not None:
        got = flat(runtime, rows)
        if len(got) != len(expected):
            shutil.rmtree(folder)
            raise ValueError(f"ONNX Runtime gives {len(got)} columns, {len(expected)} are described")
        expected = [as_computed(column, other) for column, other in zip(expected, got)]
        write_csv(folder / "onnxruntime.csv", got, names)
        for column, want in zip(got, expected):
            if kind_of(want).startswith("float"):
                distance = difference(column, want)
                worst = None if worst is None or distance is None else max(worst, distance)
            else:
                exchanged += int(np.sum(np.asarray(column).astype(str) != np.asarray(want).astype(str)))
    write_csv(folder / "expected.csv", expected, names)
    record = {
        "name": name,
        "about": about,
        "library": library,
        "versions": versions,
        "rows": rows,
        "features": [{"name": n, "type": t} for n, t, _ in features],
        "outputs": [{"column": n, "type": kind_of(c)} for n, c in zip(names, expected)],
        "onnxruntime": {"refusal": refusal} if runtime is None else {"difference": worst, "labels": exchanged},
    }
    if notes:
        record["notes"] = notes
    (folder / "case.json").write_text(json.dumps(record, indent=1) + "\n")
    return f"{rows:4} rows {len(model) / 1024:7.1f} KiB  onnxruntime: " + (
        f"refuses ({refusal[:70]})" if runtime is None else f"{worst if worst is None else format(worst, '.1e')}, {exchanged} labels differ"
    )
