"""Exports scikit-learn estimators to ONNX and records what scikit-learn itself computes for the rows.

The truth is scikit-learn in double precision on values that a 32-bit float holds exactly, so that a value on a
threshold falls to the same side in both. ONNX Runtime's distance to it is recorded for information only.
"""

import json
import warnings

import numpy as np
import onnx
import onnx.helper
import onnxruntime
import skl2onnx
import sklearn
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType

from fixture import Case, Feature, Output, difference, write

warnings.filterwarnings("ignore")
TOLERANCE = 1e-6
VERSIONS = {
    "scikit-learn": sklearn.__version__,
    "skl2onnx": skl2onnx.__version__,
    "onnx": onnx.__version__,
    "onnxruntime": onnxruntime.__version__,
    "numpy": np.__version__,
}
TENSORS = {
    "float32": FloatTensorType,
    "float64": DoubleTensorType,
    "int64": Int64TensorType,
    "string": StringTensorType,
}


def patch_attributes():
    """skl2onnx 1.20 passes numpy booleans and integers on to protobuf 7, which takes only Python's own."""
    make = onnx.helper.make_attribute

    def make_attribute(key, value, *rest, **named):
        if isinstance(value, np.ndarray):
            value = value.tolist()
        if isinstance(value, (list, tuple)):
            value = [int(v) if isinstance(v, (bool, np.bool_, np.integer)) else v for v in value]
        elif isinstance(value, (np.bool_, np.integer)):
            value = int(value)
        return make(key, value, *rest, **named)

    onnx.helper.make_attribute = make_attribute


patch_attributes()


def export(estimator, inputs, feature_names=None, options=None, opset=None):
    """ONNX bytes; `inputs` are (name, type, width)."""
    types = [(name, TENSORS[kind]([None, width])) for name, kind, width in inputs]
    model = to_onnx(estimator, initial_types=types, options=options, target_opset=opset)
    if feature_names:
        entry = model.metadata_props.add()
        entry.key, entry.value = "feature_names", json.dumps(feature_names)
    model.producer_version = VERSIONS["skl2onnx"]
    return model


def settle(model, name):
    """Takes out what differs from run to run: the order of the opsets, which comes from a set, and a random graph name."""
    opsets = sorted(model.opset_import, key=lambda entry: entry.domain)
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    model.graph.name = name


def run_onnxruntime(model, feeds):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds)))


def columns_of(answer):
    """ONNX Runtime's answer as flat columns, zipmaps and matrices taken apart, in order."""
    columns = []
    for value in answer.values():
        if isinstance(value, list):
            columns += [np.array([row[key] for row in value]) for key in value[0]]
        elif value.ndim == 2:
            columns += list(value.T)
        else:
            columns.append(value)
    return columns


def operators(model):
    return sorted({(n.domain + "." if n.domain else "") + n.op_type for n in model.graph.node})


def edge_rows(X, thresholds=(), count=110, extreme=1e4):
    """Plain rows, then zeros of both signs, a subnormal, each column at both extremes, and values on thresholds."""
    X = np.asarray(X, np.float32)[:count]
    width = X.shape[1]
    extra = [np.zeros(width), np.full(width, -0.0), np.full(width, 1e-40)]
    for j in range(width if extreme else 0):
        for sign in (1, -1):
            row = X[j].copy()
            row[j] = sign * extreme
            extra.append(row)
    for k, (j, threshold) in enumerate(thresholds):
        at = np.float32(threshold)
        for value in (at, np.nextafter(at, np.float32(np.inf)), np.nextafter(at, np.float32(-np.inf))):
            row = X[k % len(X)].copy()
            row[j] = value
            extra.append(row)
    return np.vstack([X, np.asarray(extra, np.float32)])


def without_ties(X, margins, gap=1e-5):
    """The rows whose two best classes are at least `gap` apart: nearer ones are decided by rounding."""
    top = np.sort(np.asarray(margins, np.float64), axis=1)[:, -2:]
    return X[(top[:, 1] - top[:, 0]) > gap]


def scale_of(values):
    """The usual magnitude of an output: below it a difference counts as absolute.

    A 32-bit sum of terms that cancel has an error relative to the terms, not to what is left of them, so no
    float32 evaluation can promise relative accuracy near zero.
    """
    return float(np.median(np.abs(np.asarray(values, np.float64))))


def float_features(X, names, refusals, missing):
    """Features from a matrix, with rows appended that the model must refuse: NULL, NaN and infinity."""
    values = [list(column) for column in np.asarray(X, np.float32).T]
    failures = [None] * len(X)
    if refusals:
        for column, value, code in (
            (0, None, "missing"),
            (len(names) - 1, np.nan, "missing"),
            (0, np.inf, "not_finite"),
        ):
            for j in range(len(names)):
                values[j].append(np.float32(X[3, j]))
            values[column][-1] = value
            failures.append(code)
    missing = "refused" if refusals else missing
    features = [Feature(name, "float32", column, missing) for name, column in zip(names, values)]
    return features, failures


def matrix_case(
    name,
    estimator,
    X,
    outputs,
    description,
    *,
    feature_names=None,
    options=None,
    opset=None,
    refusals=True,
    missing=None,
    tolerance=TOLERANCE,
    input_name="X",
    notes="",
):
    """A model with one float matrix as its input. `outputs` are in the graph's order, zipmap or not."""
    width = X.shape[1]
    model = export(estimator, [(input_name, "float32", width)], feature_names, options, opset)
    names = feature_names or ([input_name] if width == 1 else [f"{input_name}_{j}" for j in range(width)])
    features, failures = float_features(X, names, refusals, missing)
    finish(name, model, {input_name: X}, features, failures, outputs, description, tolerance, notes)


def finish(
    name,
    model,
    feeds,
    features,
    failures,
    outputs,
    description,
    tolerance=TOLERANCE,
    notes="",
    library="scikit-learn",
    versions=VERSIONS,
):
    rows = len(outputs[0].values)
    settle(model, name)
    extra = {"operators": operators(model)}
    got = columns_of(run_onnxruntime(model, feeds))
    if len(got) != len(outputs):
        raise SystemExit(f"{name}: the graph has {len(got)} output columns, {len(outputs)} are described")
    worst = 0.0
    for column, output in zip(got, outputs):
        if output.type in ("string", "int64"):
            wrong = int(np.sum(column.astype(str) != np.asarray(output.values).astype(str)))
            if wrong:
                print(f"  {name}: onnxruntime disagrees on {output.name} in {wrong} rows")
        else:
            worst = max(worst, difference(column.astype(np.float64), output.values, output.floor))
    extra["onnxruntime_difference"] = float(f"{worst:.3g}")
    for output in outputs:
        output.values = list(output.values) + [None] * (len(failures) - rows)
    write(
        Case(
            name=name,
            library=library,
            versions=versions,
            description=description,
            model_file="model.onnx",
            model=model.SerializeToString(),
            features=features,
            outputs=outputs,
            tolerance=tolerance,
            failures=failures,
            notes=notes,
            extra=extra,
        )
    )


def label(values):
    values = np.asarray(values)
    kind = "string" if values.dtype.kind in "UOT" else "int64"
    return Output("label", "label", kind, values)


def per_class(prefix, role, classes, values, floor=1.0, by_class=False):
    return [
        Output(f"{prefix}_{c}", role, "float32", values[:, k], str(c), floor, by_class) for k, c in enumerate(classes)
    ]


def score(values, floor=None):
    return [Output("score", "score", "float32", values, floor=scale_of(values) if floor is None else floor)]
