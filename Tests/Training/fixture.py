"""Writes one parity fixture: a model file, input rows, the source library's answers and what they mean.

`rows.csv` and `expected.csv` follow PostgreSQL's CSV: an empty cell is NULL, `""` is the empty string, `nan` is NaN.
`failure` in `expected.csv` names the code with which a row must be refused; such a row has no other values.
"""

import json
import math
import pathlib
from dataclasses import dataclass, field

import numpy as np

SEED = 20240607
FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "InferenceTests" / "Fixtures"


@dataclass
class Feature:
    """One column of the signature; `values` holds None where the row has NULL. `missing` is None where it is open.

    `written` is the type of the values in rows.csv where it is another, which the engine has to convert.
    """

    name: str
    type: str
    values: list
    missing: str | None = None
    written: str | None = None


@dataclass
class Output:
    """One column of the answer, and the engine's output that must agree with it.

    `floor` is the magnitude below which differences count as absolute: |got - want| <= tolerance * max(|want|, floor).
    `column` is its name in expected.csv where that is not the output's.
    """

    name: str
    role: str
    type: str
    values: np.ndarray
    class_name: str | None = None
    floor: float = 0.0
    by_class: bool = False
    column: str | None = None


@dataclass
class View:
    """The same model asked otherwise: for margins or leaves, perhaps of some boosting rounds."""

    answer: str
    outputs: list
    iterations: tuple | None = None


@dataclass
class Case:
    name: str
    library: str
    versions: dict
    description: str
    model_file: str
    model: bytes
    features: list
    outputs: list
    tolerance: float
    failures: list = field(default_factory=list)
    notes: str = ""
    extra: dict = field(default_factory=dict)
    views: list = field(default_factory=list)


def float_text(value, single):
    """The shortest decimal that reads back as the same number."""
    if math.isnan(value):
        return "nan"
    text = str(np.float32(value)) if single else repr(float(value))
    return text[:-2] if text.endswith(".0") and text != "-0.0" else text


def cell(value, kind):
    if value is None:
        return ""
    if kind == "string":
        plain = value != "" and not any(c in value for c in ',"\n\r')
        return value if plain else '"' + value.replace('"', '""') + '"'
    if kind == "int64":
        return str(int(value))
    if kind == "bool":
        return "true" if value else "false"
    return float_text(value, kind == "float32")


def difference(got, want, floor):
    """Largest |got - want| / max(|want|, floor) over the rows."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    scale = np.maximum(np.abs(want), floor)
    error = np.abs(got - want)
    return float(
        np.max(np.where(error == 0, 0, error / np.where(scale == 0, np.finfo(float).tiny, scale)), initial=0)
    )


def write_table(path, columns, count, refused=()):
    """Columns are (name, kind, values); the rows in `refused` are left empty."""
    with open(path, "w", newline="") as file:
        file.write(",".join(cell(name, "string") for name, _, _ in columns) + "\n")
        for row in range(count):
            file.write(
                ",".join(
                    cell(None if row in refused and name != "failure" else values[row], kind)
                    for name, kind, values in columns
                )
                + "\n"
            )


def described(output):
    """What case.json says of an output."""
    facts = {
        "column": output.column or output.name,
        "output": None if output.by_class else output.name,
        "class": output.class_name,
        "role": output.role,
        "type": output.type,
        "computed": kind_of(output),
        "floor": output.floor,
    }
    return {key: value for key, value in facts.items() if value is not None}


def write(case, root=FIXTURES):
    folder = root / case.name
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    (folder / case.model_file).write_bytes(case.model)
    count = len(case.features[0].values)
    failures = case.failures or [None] * count
    refused = {row for row, code in enumerate(failures) if code}
    write_table(folder / "rows.csv", [(f.name, f.written or f.type, f.values) for f in case.features], count)
    outputs = case.outputs + [output for view in case.views for output in view.outputs]
    columns = [(o.column or o.name, kind_of(o), o.values) for o in outputs]
    columns.append(("failure", "string", failures))
    write_table(folder / "expected.csv", columns, count, refused)
    record = {
        "name": case.name,
        "library": case.library,
        "versions": case.versions,
        "description": case.description,
        "model": case.model_file,
        "seed": SEED,
        "rows": count,
        "tolerance": case.tolerance,
        "features": [
            {
                "name": f.name,
                "type": f.type,
                **({"missing": f.missing} if f.missing else {}),
                **({"written": f.written} if f.written else {}),
            }
            for f in case.features
        ],
        "outputs": [described(output) for output in case.outputs],
        **({"views": [view_record(view) for view in case.views]} if case.views else {}),
        **({"notes": case.notes} if case.notes else {}),
        **case.extra,
    }
    (folder / "case.json").write_text(json.dumps(record, indent=1) + "\n")
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(
        f"{case.name:36} {count:4} rows {size / 1024:6.1f} KiB  {case.extra.get('onnxruntime_difference', '')}",
        flush=True,
    )


def view_record(view):
    record = {"answer": view.answer, "outputs": [described(output) for output in view.outputs]}
    return record if view.iterations is None else {**record, "iterations": list(view.iterations)}


def kind_of(output):
    """How an answer is printed: floats with as many digits as the library computed."""
    if output.type in ("string", "int64", "bool"):
        return output.type
    return "float32" if np.asarray(output.values).dtype == np.float32 else "float64"
