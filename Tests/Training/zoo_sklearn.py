#!/usr/bin/env python3
"""Makes a model of every scikit-learn estimator that skl2onnx converts, and what scikit-learn and ONNX Runtime compute.

    python zoo_sklearn.py [NAME ...]       cases whose names contain one of NAME; default all

Writes <zoo>/sklearn/<case>/ (see zoo_case.py; the folder is $ROWCAST_ZOO or .data/zoo) and <zoo>/sklearn/converters.tsv:
each estimator of scikit-learn or its converter, with the number of its cases or the reason why there is none.
"""

import os
import sys

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"  # Sums in one order, so that a second run gives the same bytes.

import warnings

import numpy as np
from skl2onnx import to_onnx
from skl2onnx._supported_operators import build_sklearn_operator_name_map

import zoo_linear
import zoo_meta
import zoo_neighbors
import zoo_pipelines
import zoo_text
import zoo_transforms
import zoo_trees
from onnx_case import TENSORS, VERSIONS, settle
from zoo_case import ZOO, write_case
from zoo_rows import NotConverted
from zoo_runtime import run_onnxruntime

warnings.filterwarnings("ignore")

MODULES = (zoo_linear, zoo_trees, zoo_neighbors, zoo_transforms, zoo_meta, zoo_text, zoo_pipelines)
# What is no model that anybody makes, with the reason.
NOT_MODELS = {
    "_ConstantPredictor": "a private class that OneVsRestClassifier uses",
}


def run_rows(model, inputs):
    """ONNX Runtime's answers; a map goes in row by row."""
    if isinstance(inputs[0][2], list):
        (name, _, rows), *_ = inputs
        parts = [run_onnxruntime(model, {name: row}) for row in rows]
        return [np.concatenate(outputs) for outputs in zip(*parts)]
    return run_onnxruntime(model, {name: values for name, _, values in inputs})


def features_of(inputs):
    """A feature for each column of each input."""
    features = []
    for name, kind, values in inputs:
        width = values.shape[1]
        for k in range(width):
            features.append((name if width == 1 else f"{name}_{k}", kind, list(values[:, k])))
    return features


def make(spec):
    """One case: fits, converts, and writes what both libraries compute."""
    inputs, answers = spec.prepare()
    types = [
        (name, TENSORS[kind]([None, values.shape[1]]) if kind in TENSORS else kind) for name, kind, values in inputs
    ]
    try:
        model = to_onnx(spec.model, initial_types=types, options=spec.converter_options(), target_opset=spec.opset)
    except Exception as error:
        raise NotConverted(str(error).split("\n")[0][:160] or type(error).__name__) from error
    settle(model, spec.name)
    runtime, refusal = None, None
    try:
        runtime = run_rows(model, inputs)
    except Exception as error:
        refusal = str(error).split("\n")[0][:300]
    features = getattr(spec, "features", None) or features_of(inputs)
    return write_case(
        "sklearn",
        spec.name,
        about=spec.about,
        library="scikit-learn",
        versions=VERSIONS,
        model=model.SerializeToString(),
        features=features,
        answers=answers,
        runtime=runtime,
        refusal=refusal,
        notes=spec.notes,
    )


def main():
    wanted = sys.argv[1:]
    counts, reasons, broken = {}, {}, []
    for module in MODULES:
        for spec in module.specs():
            if wanted and not any(word in spec.name for word in wanted):
                continue
            try:
                line = make(spec)
                counts[spec.about] = counts.get(spec.about, 0) + 1
            except NotConverted as error:
                line = f"NOT CONVERTED: {error}"
                reasons.setdefault(spec.about, str(error))
            except Exception as error:
                line = f"BROKEN: {type(error).__name__}: {str(error).splitlines()[0]}"
                broken.append(spec.name)
            print(f"{spec.name:44} {line}", flush=True)
    if broken:
        raise SystemExit(f"{len(broken)} cases could not be made: {', '.join(broken)}")
    if wanted:
        return
    names = sorted({cls.__name__ for cls in build_sklearn_operator_name_map()} | set(counts) | set(reasons))
    with open(ZOO / "sklearn" / "converters.tsv", "w") as file:
        for name in names:
            reason = NOT_MODELS.get(name) or reasons.get(name) or "no case"
            file.write(f"{name}\t{counts.get(name, 0)}\t{'' if counts.get(name) else reason}\n")
            if not counts.get(name):
                print(f"without a case: {name}: {reason}")


if __name__ == "__main__":
    main()
