"""The XGBoost cases, from the library's own JSON files.

Run by an interpreter with XGBoost 1.7 this writes the cases of that series, whose files differ: `base_score` is a plain
number, and some fields are missing.
"""

import json
import os
import tempfile

import numpy as np
import xgboost

from boosting_rows import NAMES, answers, edge_rows, features_of, holes
from data import BINARY, SIGNAL, TEST, THREE, TRAIN
from fixture import SEED, Case, write

TOLERANCE = 1e-6
SERIES_1 = xgboost.__version__.startswith("1.")
PREFIX = "xgboost_1_7" if SERIES_1 else "xgboost"


def xgboost_rows(booster):
    table = booster.trees_to_dataframe()
    table = table[table.Feature != "Leaf"]
    splits = [(NAMES.index(f), float(t)) for f, t in zip(table.Feature, table.Split)]
    splits = splits[:: max(1, len(splits) // 12)][:12]
    return edge_rows(holes(TEST[:80], 0.1, 31), splits, 1e30, np.float32).astype(np.float32)


def xgboost_outputs(objective, kind, booster, data):
    """What the objective predicts; beside a bare class also what the library says of the same sum otherwise."""
    P = booster.predict(data)
    if objective == "multi:softmax":
        booster.set_param({"objective": "multi:softprob"})
        outputs = answers("multiclass", booster.predict(data), "float32")
        outputs[0].values = P.astype(np.int64)
        return outputs
    return answers(kind, P, "float32")


XGBOOST = [
    ("binary", {"objective": "binary:logistic"}, "BINARY", "binary", "two classes, missing values"),
    ("binary_margin", {"objective": "binary:logitraw"}, "BINARY", "regression", "two classes, the margin itself"),
    ("multiclass", {"objective": "multi:softprob", "num_class": 3}, "THREE", "multiclass", "softmax of three"),
    ("multiclass_label", {"objective": "multi:softmax", "num_class": 3}, "THREE", "label", "the class only"),
    ("regression", {"objective": "reg:squarederror"}, "SIGNAL", "regression", "squared error"),
    (
        "regression_lossguide",
        {
            "objective": "reg:squarederror",
            "grow_policy": "lossguide",
            "max_leaves": 12,
            "max_depth": 0,
            "tree_method": "hist",
        },
        "SIGNAL",
        "regression",
        "trees grown leaf by leaf",
    ),
    (
        "reg_logistic",
        {"objective": "reg:logistic", "base_score": 0.3},
        "SHARE",
        "regression",
        "probabilities as targets",
    ),
    ("poisson", {"objective": "count:poisson"}, "COUNTS", "regression", "counts, log link"),
    ("gamma", {"objective": "reg:gamma"}, "POSITIVE", "regression", "positive values, log link"),
    ("tweedie", {"objective": "reg:tweedie"}, "POSITIVE", "regression", "Tweedie, log link"),
    ("rank", {"objective": "rank:pairwise"}, "THREE", "regression", "a ranking score"),
    (
        "dart",
        {"objective": "reg:squarederror", "booster": "dart", "rate_drop": 0.2},
        "SIGNAL",
        "regression",
        "trees that drop out, each with a weight",
    ),
    (
        "random_forest",
        {
            "objective": "binary:logistic",
            "num_parallel_tree": 5,
            "subsample": 0.6,
            "colsample_bynode": 0.7,
            "eta": 1.0,
        },
        "BINARY",
        "binary",
        "five trees a round",
    ),
    ("depth0", {"objective": "reg:squarederror", "gamma": 1e9}, "SIGNAL", "regression", "trees of a single leaf"),
]


def xgboost_targets():
    positive = np.exp(SIGNAL / 3)
    return {
        "BINARY": BINARY,
        "THREE": THREE,
        "SIGNAL": SIGNAL,
        "SHARE": BINARY * 0.8 + 0.1,
        "COUNTS": np.floor(positive * 2),
        "POSITIVE": positive,
    }


def xgboost_case(name, parameters, y, kind, description, pretty=False):
    settings = {"max_depth": 3, "eta": 0.3, "seed": SEED, "nthread": 1, **parameters}
    trees = 3 if "num_class" in parameters or "num_parallel_tree" in parameters else 8
    data = xgboost.DMatrix(holes(TRAIN, 0.08, 30).astype(np.float32), y, feature_names=NAMES)
    if "rank" in settings["objective"]:
        data.set_group([20] * (len(y) // 20))
    booster = xgboost.train(settings, data, trees)
    text = bytes(booster.save_raw("json"))
    booster = xgboost.Booster(model_file=bytearray(text))
    X = xgboost_rows(booster)
    outputs = xgboost_outputs(settings["objective"], kind, booster, xgboost.DMatrix(X, feature_names=NAMES))
    text = (json.dumps(json.loads(text), indent=1) + "\n").encode() if pretty else text
    write(
        Case(
            name,
            "xgboost",
            {"xgboost": xgboost.__version__},
            description,
            "model.json",
            text,
            features_of(X, "float32"),
            outputs,
            TOLERANCE,
            extra={"objective": settings["objective"]},
        )
    )


def xgboost_wrapper_case():
    """The file that XGBClassifier writes: named attributes, and no feature names from a bare array."""
    model = xgboost.XGBClassifier(n_estimators=3, max_depth=3, n_jobs=1, random_state=SEED)
    model.fit(holes(TRAIN, 0.08, 30).astype(np.float32), THREE)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.json")
        model.save_model(path)
        with open(path, "rb") as file:
            text = file.read()
    model.get_booster().feature_names = NAMES
    X = xgboost_rows(model.get_booster())
    model.get_booster().feature_names = None
    P = model.predict_proba(X)
    features = features_of(X, "float32")
    for j, feature in enumerate(features):
        feature.name = f"f{j}"
    write(
        Case(
            f"{PREFIX}_wrapper",
            "xgboost",
            {"xgboost": xgboost.__version__},
            "written by XGBClassifier, without feature names",
            "model.json",
            text,
            features,
            answers("multiclass", P, "float32"),
            TOLERANCE,
            extra={"objective": "multi:softprob"},
        )
    )


def xgboost_cases():
    targets = xgboost_targets()
    for name, parameters, y, kind, description in XGBOOST:
        if not SERIES_1 or name in ("binary", "multiclass", "regression", "poisson", "dart"):
            xgboost_case(f"{PREFIX}_{name}", parameters, targets[y], kind, description, pretty=name == "gamma")
    if not SERIES_1:
        xgboost_wrapper_case()


if __name__ == "__main__":
    xgboost_cases()
