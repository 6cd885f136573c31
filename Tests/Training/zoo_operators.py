#!/usr/bin/env python3
"""Makes a model of a single node for every operator of ai.onnx.ml, attribute and type, and what ONNX Runtime computes.

    python zoo_operators.py

Writes <zoo>/operators/<case>/ (see zoo_case.py). Where ONNX Runtime has no kernel for a type, ONNX's reference
implementation answers in its place.
"""

import itertools
import warnings

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import onnx_case  # Mends onnx.helper.make_attribute.
from fixture import SEED
from zoo_case import write_case
from zoo_runtime import run_onnxruntime

warnings.filterwarnings("ignore")
TYPES = {
    "float32": (np.float32, TensorProto.FLOAT),
    "float64": (np.float64, TensorProto.DOUBLE),
    "int64": (np.int64, TensorProto.INT64),
    "int32": (np.int32, TensorProto.INT32),
    "string": (object, TensorProto.STRING),
}
NUMERIC = ("float32", "float64", "int64", "int32")
TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")


def numbers(kind, rows=40, width=4, scale=2.0, stream=0):
    random = np.random.default_rng(SEED + 200 + stream)
    X = random.normal(0, scale, (rows, width))
    X[:3] = [[0.0] * width, [-0.0] * width, [1.0] * width]
    return np.round(X, 2 if kind.startswith("float") else 0).astype(TYPES[kind][0])


def single(name, operator, X, kind, inputs, outputs, opset, attributes):
    constants = [numpy_helper.from_array(np.asarray(value), f"c{k}") for k, value in enumerate(inputs)]
    names = [f"y{k}" for k in range(outputs)]
    node = helper.make_node(
        operator, ["X"] + [c.name for c in constants], names, domain="ai.onnx.ml", **attributes
    )
    graph = helper.make_graph(
        [node],
        name,
        [helper.make_tensor_value_info("X", TYPES[kind][1], [None, X.shape[1]])],
        [onnx.ValueInfoProto(name=n) for n in names],
        constants,
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", opset)], ir_version=9
    )


def answer(model, X):
    """Answers and who gives them: ONNX Runtime; itself for rows as floats; ONNX's reference implementation."""
    reasons = []
    try:
        return run_onnxruntime(model, {"X": X}), "ONNX Runtime"
    except Exception as error:
        reasons.append(str(error).splitlines()[0])
    attributes = {a.name for a in model.graph.node[0].attribute}
    if X.dtype != object and not any("tensor" in name for name in attributes):
        floats = onnx.ModelProto.FromString(model.SerializeToString())
        floats.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
        try:
            return run_onnxruntime(floats, {"X": X.astype(np.float32)}), "ONNX Runtime, rows as floats"
        except Exception as error:
            reasons.append(str(error).splitlines()[0])
    try:
        return ReferenceEvaluator(model).run(None, {"X": X}), "ONNX's reference implementation"
    except Exception as error:
        reasons.append(str(error).splitlines()[0])
    return None, "; ".join(reasons)


def ordered(rows, attributes):
    """A sequence of maps as a matrix, its columns as the classes are listed."""
    labels = attributes.get("classlabels_int64s") or attributes.get("classlabels_strings")
    return np.array([[row[label] for label in labels] for row in rows])


def case(name, operator, X, kind, *, inputs=None, outputs=1, opset=3, change=list, notes="", answered_by=None, **attributes):
    """One node over rows.

    `inputs` are constants that follow the rows; `change` mends answers that we do not give on purpose, and `answered_by`
    are attributes that are asked instead: the notes say why.
    """
    model = single(name, operator, X, kind, inputs or [], outputs, opset, attributes)
    answers, answering = answer(single(name, operator, X, kind, inputs or [], outputs, opset, answered_by or attributes), X)
    if answers is None:
        raise SystemExit(f"{name}: nobody answers: {answering}")
    features = [(f"X_{k}" if X.shape[1] > 1 else "X", "int64" if kind == "int32" else kind, list(X[:, k])) for k in range(X.shape[1])]
    line = write_case(
        "operators",
        name,
        about=operator,
        library="ONNX Runtime",
        versions=onnx_case.VERSIONS,
        model=model.SerializeToString(),
        features=features,
        answers=[ordered(a, attributes) if isinstance(a, list) else a for a in change(answers)],
        runtime=None,
        refusal="it is what is compared with",
        notes=f"{answering}{'; ' + notes if notes else ''}",
    )
    print(f"{name:48} {line.split('  onnx')[0]}  {answering}", flush=True)


def preparations():
    for kind in NUMERIC:
        X = numbers(kind)
        case(f"Scaler_{kind}", "Scaler", X, kind, offset=[1.0, 0.5, -2.0, 0.0], scale=[2.0, 0.25, 1.0, -1.0])
        case(f"Scaler_one_{kind}", "Scaler", X, kind, offset=[1.5], scale=[0.5])
        for norm in ("MAX", "L1", "L2"):
            case(f"Normalizer_{norm}_{kind}", "Normalizer", np.abs(X) if norm == "MAX" else X, kind, norm=norm)
        case(f"Binarizer_{kind}", "Binarizer", X, kind, threshold=0.5)
        case(f"ArrayFeatureExtractor_{kind}", "ArrayFeatureExtractor", X, kind, inputs=[np.array([2, 0, 2], np.int64)])
        case(f"FeatureVectorizer_{kind}", "FeatureVectorizer", X, kind, inputdimensions=[4])
        case(f"FeatureVectorizer_wider_{kind}", "FeatureVectorizer", X, kind, inputdimensions=[6])
        case(f"FeatureVectorizer_cut_{kind}", "FeatureVectorizer", X, kind, inputdimensions=[2])
        case(f"OneHotEncoder_{kind}", "OneHotEncoder", X, kind, cats_int64s=[-1, 0, 1, 2], zeros=1)
    for kind in ("float32", "float64"):
        X = numbers(kind)
        X[5:15, 1] = np.nan
        case(f"Imputer_{kind}", "Imputer", X, kind, imputed_value_floats=[1.0, 2.0, 3.0, 4.0], replaced_value_float=float("nan"))
        case(f"Imputer_one_{kind}", "Imputer", numbers(kind), kind, imputed_value_floats=[7.5], replaced_value_float=0.0)
    for kind in ("int64",):
        case(f"Imputer_{kind}", "Imputer", numbers(kind), kind, imputed_value_int64s=[10, 20, 30, 40], replaced_value_int64=0)


def encoders():
    words = np.array([["a"], ["b"], ["zürich"], [""], ["never"], ["b "], ["A"]], object)
    case("OneHotEncoder_string", "OneHotEncoder", words, "string", cats_strings=["a", "b", "zürich"])
    case("ArrayFeatureExtractor_string", "ArrayFeatureExtractor", np.concatenate([words, words[::-1]], axis=1), "string", inputs=[np.array([1], np.int64)])
    case("CategoryMapper_string", "CategoryMapper", words, "string", opset=1, cats_strings=["a", "b", "zürich"], cats_int64s=[7, 8, -9], default_int64=-5)
    codes = np.array([[7], [8], [-9], [0]], np.int64)
    case("CategoryMapper_int64", "CategoryMapper", codes, "int64", opset=1, cats_strings=["a", "b", "zürich"], cats_int64s=[7, 8, -9], default_string="none")
    case("LabelEncoder_1_string", "LabelEncoder", words, "string", opset=1, classes_strings=["a", "b", "zürich"], default_int64=-3)
    floats = np.array([[1.5], [np.nan], [-0.0], [0.0], [9.0]], np.float32)
    # NaN is a key like any other, but ONNX Runtime finds it from opset 4 on only.
    tables = {
        "strings": (words, "string", ["a", "b", "zürich"]),
        "int64s": (codes, "int64", [7, 8, -9]),
        "floats": (floats[[0, 2, 3, 4]], "float32", [1.5, -3.0, 0.0]),
    }
    values = {"strings": (["x", "y", "z"], {"default_string": "none"}), "int64s": ([5, 6, 7], {"default_int64": 42}), "floats": ([0.5, 1.5, 2.5], {"default_float": -1.25})}
    for (key, (X, kind, keys)), (value, (targets, default)) in itertools.product(tables.items(), values.items()):
        for rest, suffix in ((default, ""), ({}, "_no_default")):
            case(f"LabelEncoder_2_{key}_{value}{suffix}", "LabelEncoder", X, kind, opset=2, **{f"keys_{key}": keys, f"values_{value}": targets}, **rest)
    tensors = {
        "float32": (floats, np.array([1.5, np.nan, 0.0], np.float32)),
        "float64": (floats.astype(np.float64), np.array([1.5, np.nan, 0.0])),
        "floats": (floats[[0, 2, 3, 4]], np.array([1.5, -3.0, 0.0], np.float32)),
        "doubles": (floats[[0, 2, 3, 4]].astype(np.float64), np.array([1.5, -3.0, 0.0])),
        "int64": (codes, np.array([7, 8, -9])),
        "int32": (codes.astype(np.int32), np.array([7, 8, -9], np.int32)),
        "string": (words, np.array(["a", "b", "zürich"], object)),
    }
    results = {
        "float32": (np.array([0.5, 1.5, 2.5], np.float32), np.array([9], np.float32)),
        "float64": (np.array([0.5, 1.5, 1 / 3]), np.array([9.0])),
        "int64": (np.array([5, 6, 7]), np.array([9])),
        "int32": (np.array([5, 6, 7], np.int32), np.array([9], np.int32)),
        "int16": (np.array([5, 6, 7], np.int16), np.array([9], np.int16)),
        "string": (np.array(["x", "y", "z"], object), np.array(["none"], object)),
    }
    for (kind, (X, keys)), (value, (targets, default)) in itertools.product(tensors.items(), results.items()):
        tensor = lambda name, array: numpy_helper.from_array(array, name)
        # ONNX's reference implementation, which has all pairs of types, does not find NaN.
        if (kind, value) in {(k, v) for k in ("float32", "float64") for v in ("int16", "int32", "float64" if k == "float32" else "float32")}:
            continue
        case(
            f"LabelEncoder_4_{kind}_{value}",
            "LabelEncoder",
            X,
            {"floats": "float32", "doubles": "float64"}.get(kind, kind),
            opset=4,
            keys_tensor=tensor("keys", keys),
            values_tensor=tensor("values", targets),
            default_tensor=tensor("default", default),
        )
    for labels, kind in (([3, 1, 2, 0], "int64s"), (["a", "b", "c", "d"], "strings")):
        case(f"ZipMap_{kind}", "ZipMap", numbers("float32"), "float32", **{f"classlabels_{kind}": labels})


def linear():
    random = np.random.default_rng(SEED + 201)
    for kind, transform in itertools.product(NUMERIC, TRANSFORMS):
        if kind not in ("float32",) and transform not in ("NONE", "LOGISTIC"):
            continue
        X = numbers(kind, scale=0.2) if transform == "PROBIT" else numbers(kind)
        weights = np.round(random.normal(0, 0.04 if transform == "PROBIT" else 0.5, 12), 3).tolist()
        # Far from one half, where ONNX Runtime's floats lose digits.
        half = [0.8, 0.25, 0.7] if transform == "PROBIT" else [0.1, -0.2, 0.3]
        case(f"LinearRegressor_{transform}_{kind}", "LinearRegressor", X, kind, coefficients=weights, intercepts=half, targets=3, post_transform=transform)
        case(f"LinearRegressor_one_{transform}_{kind}", "LinearRegressor", X, kind, coefficients=weights[:4], intercepts=half[:1], post_transform=transform)
        case(f"LinearClassifier_{transform}_{kind}", "LinearClassifier", X, kind, outputs=2, coefficients=weights, intercepts=half, classlabels_ints=[4, 2, 9], post_transform=transform)
        case(f"LinearClassifier_strings_{transform}_{kind}", "LinearClassifier", X, kind, outputs=2, coefficients=weights[:8], intercepts=half[:2], classlabels_strings=["no", "yes"], post_transform=transform)
        if transform != "PROBIT":
            case(f"LinearClassifier_one_sum_{transform}_{kind}", "LinearClassifier", X, kind, outputs=2, coefficients=weights[:4], intercepts=half[:1], classlabels_ints=[0, 1], post_transform=transform)


def machines():
    random = np.random.default_rng(SEED + 202)
    vectors = np.round(random.normal(0, 1, (6, 4)), 3)
    pair = np.round(random.normal(0, 1, 6), 3)
    for kernel, kind in itertools.product(("LINEAR", "POLY", "RBF", "SIGMOID"), NUMERIC):
        if kind != "float32" and kernel != "RBF":
            continue
        X = numbers(kind, scale=1.0)
        shared = {"kernel_type": kernel, "kernel_params": [0.3, 0.5, 3.0], "support_vectors": vectors.ravel().tolist()}
        case(f"SVMRegressor_{kernel}_{kind}", "SVMRegressor", X, kind, coefficients=pair.tolist(), n_supports=6, rho=[0.2], **shared)
        case(f"SVMRegressor_one_class_{kernel}_{kind}", "SVMRegressor", X, kind, coefficients=np.abs(pair).tolist(), n_supports=6, rho=[-0.9], one_class=1, **shared)
        two = {"coefficients": pair.tolist(), "vectors_per_class": [3, 3], "rho": [0.1]}
        three = {"coefficients": np.round(random.normal(0, 1, 12), 3).tolist(), "vectors_per_class": [2, 1, 3], "rho": [0.1, -0.2, 0.3]}
        case(
            f"SVMClassifier_two_{kernel}_{kind}",
            "SVMClassifier",
            X,
            kind,
            outputs=2,
            classlabels_ints=[0, 1],
            change=lambda answers: [answers[0], answers[1][:, ::-1]],
            notes="scores by class: ONNX Runtime exchanges them",
            **two,
            **shared,
        )
        case(f"SVMClassifier_three_{kernel}_{kind}", "SVMClassifier", X, kind, outputs=2, classlabels_strings=["a", "b", "c"], **three, **shared)
        case(f"SVMClassifier_two_probability_{kernel}_{kind}", "SVMClassifier", X, kind, outputs=2, classlabels_ints=[3, 5], prob_a=[-1.2], prob_b=[0.1], **two, **shared)
        case(f"SVMClassifier_three_probability_{kernel}_{kind}", "SVMClassifier", X, kind, outputs=2, classlabels_ints=[0, 1, 2], prob_a=[-1.2, -0.8, -1.1], prob_b=[0.1, 0.0, -0.1], **three, **shared)
    for transform in TRANSFORMS[:4]:
        X = numbers("float32")
        case(f"SVMRegressor_linear_{transform}", "SVMRegressor", X, "float32", coefficients=[0.5, -0.25, 1.0, 0.125], rho=[0.2], kernel_params=[0.0, 0.0, 0.0], post_transform=transform)
        case(f"SVMClassifier_linear_{transform}", "SVMClassifier", X, "float32", outputs=2, coefficients=vectors.ravel()[:12].tolist(), rho=[0.2], kernel_params=[0.0, 0.0, 0.0], classlabels_ints=[0, 1, 2], post_transform=transform)


def specs():
    preparations()
    encoders()
    linear()
    machines()


def main():
    from zoo_ensembles import ensembles

    specs()
    ensembles(case, numbers)


if __name__ == "__main__":
    main()
