#!/usr/bin/env python3
"""The LightGBM zoo: objectives, boosting modes, categories, missing values, linear trees; the library's own answers.

    python lightgbm_zoo.py [CASE ...]      default all
"""

import sys

import lightgbm
import numpy as np
import pandas

from boosted_zoo import (
    CODES,
    DENORMAL,
    LEAST_FLOAT,
    PLAIN,
    SEED,
    Case,
    Feature,
    contributions,
    edge_rows,
    features_of,
    make,
    make_fixtures,
    make_zoo,
    predictions,
    thinned,
    views,
    write_case,
)
from boosting_rows import STEADY

TOLERANCE = 1e-12
SPECIAL = PLAIN + [
    DENORMAL,
    -DENORMAL,
    1e-310,
    np.nextafter(LEAST_FLOAT, 1),
    np.nextafter(-LEAST_FLOAT, -1),
    1e300,
    -1e300,
    np.inf,
    -np.inf,
]
HUGE = [
    2147483647.0,
    2147483647.5,
    2147483648.0,
    -2147483648.0,
    -2147483649.0,
    4294967296.0,
    4294967299.0,
    -4294967293.0,
    1e12,
    1e300,
    np.inf,
    -np.inf,
    DENORMAL,
    -0.999999,
]

PLAIN_DATA = dict(missing=0.08)
CATEGORY_DATA = dict(categories=True, missing=0.05)
HOLES = dict(categories=True, missing=0.05, missing_categories=0.1)
ZEROS = dict(missing=0.05, zeros=0.15)
WHOLE = dict()
DEEP = {"num_leaves": 200, "min_data_in_leaf": 2}
FOREST = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6, "feature_fraction": 0.8}
LINEAR = {"linear_tree": True, "num_leaves": 8, "min_data_in_leaf": 40}
THREE = {"objective": "multiclass", "num_class": 3}
OVA = {"objective": "multiclassova", "num_class": 3}


def pull(target):
    """Half the squared error, as an objective of one's own."""

    def gradient(P, data):
        return (P - target.reshape(P.shape)).ravel(), np.ones(P.size)

    return gradient


def pull_three(target):
    def gradient(P, data):
        P = P.reshape(len(target), 3) if P.ndim == 2 else P.reshape(3, len(target)).T
        wanted = np.eye(3)[target] * 4 - 2
        return P - wanted, np.ones_like(P)

    return gradient


CASES = [
    # name, parameters, target, kind, data
    *[
        (name, {"objective": name, **more}, target, "scores", PLAIN_DATA)
        for name, target, more in [
            ("regression", "signal", {}),
            ("regression_l1", "signal", {}),
            ("huber", "signal", {}),
            ("fair", "signal", {}),
            ("quantile", "signal", {"alpha": 0.9}),
            ("mape", "positive", {}),
            ("poisson", "counts", {}),
            ("gamma", "positive", {}),
            ("tweedie", "positive", {}),
            ("cross_entropy", "share", {}),
            ("cross_entropy_lambda", "share", {}),
            ("lambdarank", "three", {}),
            ("rank_xendcg", "three", {}),
        ]
    ],
    ("binary", {"objective": "binary"}, "binary", "binary", PLAIN_DATA),
    ("multiclass", THREE, "three", "multiclass", PLAIN_DATA),
    ("multiclassova", OVA, "three", "multiclass", PLAIN_DATA),
    *[
        (f"{name}_sqrt", {"objective": name, "reg_sqrt": True}, "signal", "scores", PLAIN_DATA)
        for name in ("regression", "regression_l1", "fair", "quantile", "mape")
    ],
    ("binary_sigmoid", {"objective": "binary", "sigmoid": 0.7, "is_unbalance": True}, "binary", "binary", PLAIN_DATA),
    ("multiclassova_sigmoid", {**OVA, "sigmoid": 1.7}, "three", "multiclass", PLAIN_DATA),
    ("custom", {"objective": pull}, "signal", "scores", PLAIN_DATA),
    ("custom_three", {"objective": pull_three, "num_class": 3}, "three", "scores", PLAIN_DATA),
    ("dart_regression", {"objective": "regression", "boosting": "dart"}, "signal", "scores", PLAIN_DATA),
    ("dart_binary", {"objective": "binary", "boosting": "dart", "drop_rate": 0.3}, "binary", "binary", PLAIN_DATA),
    ("dart_xgboost_mode", {**THREE, "boosting": "dart", "xgboost_dart_mode": True}, "three", "multiclass", PLAIN_DATA),
    ("rf_regression", {"objective": "regression", **FOREST}, "signal", "scores", PLAIN_DATA),
    ("rf_binary", {"objective": "binary", **FOREST}, "binary", "binary", PLAIN_DATA),
    ("rf_multiclass", {**THREE, **FOREST}, "three", "multiclass", PLAIN_DATA),
    ("rf_categories", {"objective": "binary", **FOREST}, "binary", "binary", CATEGORY_DATA),
    ("rf_poisson", {"objective": "poisson", **FOREST}, "counts", "scores", PLAIN_DATA),
    ("goss_regression", {"objective": "regression", "data_sample_strategy": "goss"}, "signal", "scores", PLAIN_DATA),
    ("goss_categories", {"objective": "binary", "data_sample_strategy": "goss"}, "binary", "binary", HOLES),
    ("categories_regression", {"objective": "regression"}, "signal", "scores", CATEGORY_DATA),
    ("categories_binary", {"objective": "binary"}, "binary", "binary", CATEGORY_DATA),
    ("categories_multiclass", THREE, "three", "multiclass", CATEGORY_DATA),
    ("categories_one_hot", {"objective": "regression", "max_cat_to_onehot": 100}, "signal", "scores", CATEGORY_DATA),
    ("categories_missing", {"objective": "regression"}, "signal", "scores", HOLES),
    ("categories_use_missing_false", {"objective": "binary", "use_missing": False}, "binary", "binary", HOLES),
    ("categories_zero_as_missing", {"objective": "regression", "zero_as_missing": True}, "signal", "scores", HOLES),
    ("categories_dart", {"objective": "poisson", "boosting": "dart"}, "counts", "scores", HOLES),
    ("zero_as_missing", {"objective": "regression", "zero_as_missing": True}, "signal", "scores", ZEROS),
    ("zero_as_missing_binary", {"objective": "binary", "zero_as_missing": True}, "binary", "binary", ZEROS),
    ("zero_as_missing_multiclass", {**THREE, "zero_as_missing": True}, "three", "multiclass", ZEROS),
    ("use_missing_false", {"objective": "binary", "use_missing": False}, "binary", "binary", ZEROS),
    ("no_missing_seen", {"objective": "regression"}, "signal", "scores", WHOLE),
    ("linear_regression", {"objective": "regression", **LINEAR}, "signal", "scores", WHOLE),
    ("linear_missing", {"objective": "regression", **LINEAR, "linear_lambda": 0.1}, "signal", "scores", PLAIN_DATA),
    ("linear_binary", {"objective": "binary", **LINEAR}, "binary", "binary", PLAIN_DATA),
    ("linear_multiclass", {**THREE, **LINEAR}, "three", "multiclass", PLAIN_DATA),
    ("linear_poisson", {"objective": "poisson", **LINEAR}, "counts", "scores", WHOLE),
    ("linear_huber", {"objective": "huber", **LINEAR}, "signal", "scores", PLAIN_DATA),
    ("linear_categories", {"objective": "regression", **LINEAR}, "signal", "scores", HOLES),
    ("linear_dart", {"objective": "regression", "boosting": "dart", **LINEAR}, "signal", "scores", WHOLE),
    ("early_stopping", {"objective": "binary", "early_stopping_round": 5, "learning_rate": 0.5}, "binary", "binary", WHOLE),
    ("deep", {"objective": "regression", **DEEP}, "signal", "scores", PLAIN_DATA),
    ("deep_multiclass", {**THREE, **DEEP}, "three", "multiclass", HOLES),
    ("stumps", {"objective": "regression", "min_data_in_leaf": 2000}, "signal", "scores", WHOLE),
    ("constant_linear", {"objective": "regression", **LINEAR, "min_data_in_leaf": 2000}, "signal", "scores", WHOLE),
    ("wide", {"objective": "regression"}, "signal", "scores", dict(numbers=300, missing=0.05)),
    ("monotone", {"objective": "regression", "monotone_constraints": [1, -1, 0, 0]}, "signal", "scores", PLAIN_DATA),
    ("extra_trees", {"objective": "binary", "extra_trees": True}, "binary", "binary", PLAIN_DATA),
    ("few_bins", {"objective": "regression", "max_bin": 7}, "signal", "scores", PLAIN_DATA),
    ("interactions", {"objective": "regression", "interaction_constraints": [[0, 1], [2, 3]]}, "signal", "scores", ZEROS),
    ("two_trees", {"objective": "binary"}, "binary", "binary", PLAIN_DATA),
]
FIXTURES = ("categories_missing", "linear_missing")


def splits_of(booster):
    """Numeric splits of the trees: feature and threshold."""
    found = []

    def walk(node):
        if "split_feature" in node:
            if node["decision_type"] == "<=":
                found.append((node["split_feature"], node["threshold"]))
            walk(node["left_child"])
            walk(node["right_child"])

    for tree in booster.dump_model()["tree_info"]:
        walk(tree["tree_structure"])
    return found


def contributed(kind, names, booster, rows, settings):
    """What `pred_contrib` gives; nothing for linear trees, which LightGBM does not explain."""
    if settings.get("linear_tree"):
        return None
    return contributions(kind, names, booster.predict(rows, pred_contrib=True, num_threads=1), TOLERANCE, 1e-9)


def case(name, parameters, target, kind, data, as_fixture=False):
    train, test = make(1200, 40, **data), make(30 if as_fixture else 120, 41, **data)
    y = getattr(train, target)
    settings = {
        "num_leaves": 15,
        "learning_rate": 0.15,
        "min_data_in_leaf": 5,
        **STEADY,
        **parameters,
    }
    if callable(settings["objective"]):
        settings["objective"] = settings["objective"](y)
    objective = parameters["objective"] if isinstance(parameters["objective"], str) else "custom"
    group = [20] * (len(y) // 20) if "rank" in objective else None
    rounds = 4 if as_fixture else 2 if name == "two_trees" else 40 if "early" in name else 12
    shared = dict(feature_name=train.names, categorical_feature=train.categorical or "auto", group=group)
    dataset = lightgbm.Dataset(train.X, y, params={"verbose": -1}, **shared)
    valid = []
    if "early" in name:
        other = make(400, 42, **data)
        valid = [dataset.create_valid(other.X, other.binary)]
    text = lightgbm.train(settings, dataset, rounds, valid_sets=valid).model_to_string()
    booster = lightgbm.Booster(model_str=text)
    rows = edge_rows(test, thinned(splits_of(booster), 6 if as_fixture else 30), SPECIAL, CODES + HUGE)
    threads = {"num_threads": 1}
    iterations = booster.current_iteration()
    ranges = {}
    if iterations > 3:
        for start, end in ((0, 2), (2, iterations - 1)):
            ranges[(start, end)] = booster.predict(
                rows, raw_score=True, start_iteration=start, num_iteration=end - start, **threads
            )
    write_case(
        Case(
            f"lightgbm_{name}" if as_fixture else name,
            "lightgbm",
            {"lightgbm": lightgbm.__version__},
            name.replace("_", " "),
            "model.txt",
            text.encode(),
            features_of(rows, train.names, "float64"),
            predictions(kind, booster.predict(rows, **threads), "float64"),
            TOLERANCE,
            extra={"objective": objective, "about": objective},
            views=views(
                kind,
                "float64",
                booster.predict(rows, raw_score=True, **threads),
                booster.predict(rows, pred_leaf=True, **threads),
                ranges,
                contributed(kind, train.names, booster, rows, settings),
            ),
        ),
        "lightgbm",
        as_fixture,
    )


WORDS = ["red", "Köln", "", "blue ", 'a "longer" name, than others', "🦊"]
COUNTS = [7, -3, 2_000_000_000, 12, 9_007_199_254_740_993]
SIZES = ["small", "middle", "large", "huge"]


def frame_case(name, ordered, as_fixture=False):
    """Categories of a data frame, which the file lists: words, whole numbers, fractions, truths; `ordered` ones, which
    are numbers to the trees; a column of one category, which none of them reads. Categories that training had not are missing.
    """
    random = np.random.default_rng(SEED)
    lists = {"word": WORDS, "count": COUNTS, "share": [0.5, -1.25, 3.0], "flag": [False, True], "same": ["one"]}
    if ordered:
        lists["size"] = SIZES
    strangers = {"word": ["RED", "nan"], "count": [8, 9_007_199_254_740_992], "share": [0.25, -0.0], "same": ["two"]}

    def frame(data, shuffled):
        table = pandas.DataFrame(dict(zip(data.names, data.X.T)))
        values, signal = {}, data.signal.copy()
        for at, (column, known) in enumerate(lists.items()):
            extra = strangers.get(column, []) if shuffled else []
            codes = random.integers(-1, len(known) + len(extra), len(data.X))
            listed = known + extra
            values[column] = [listed[k] if k >= 0 else None for k in codes]
            signal += np.where(codes < len(known), np.sin(codes * 2 + at), 0)
            categories = listed[::-1] if shuffled and column != "size" else listed
            table.insert(
                at, column, pandas.Categorical(values[column], categories=categories, ordered=column == "size")
            )
        return table, values, signal

    train, test = make(1200, 45, missing=0.05), make(40 if as_fixture else 150, 46, missing=0.05)
    table, _, signal = frame(train, False)
    settings = {"objective": "regression", "num_leaves": 15, "min_data_in_leaf": 5, "min_data_per_group": 10}
    booster = lightgbm.train({**settings, **STEADY}, lightgbm.Dataset(table, signal), 4 if as_fixture else 12)
    text = booster.model_to_string()
    booster = lightgbm.Booster(model_str=text)
    table, values, _ = frame(test, True)
    types = {"word": "string", "count": "int64", "share": "float64", "flag": "bool", "same": "string", "size": "string"}
    features = [Feature(column, types[column], column_values, "allowed") for column, column_values in values.items()]
    write_case(
        Case(
            f"lightgbm_{name}" if as_fixture else name,
            "lightgbm",
            {"lightgbm": lightgbm.__version__, "pandas": pandas.__version__},
            "categories of a data frame",
            "model.txt",
            text.encode(),
            features + features_of(test.X, test.names, "float64"),
            predictions("scores", booster.predict(table, num_threads=1), "float64"),
            TOLERANCE,
            extra={"objective": "regression", "about": "regression"},
            views=[
                contributions(
                    "scores",
                    booster.feature_name(),
                    booster.predict(table, pred_contrib=True, num_threads=1),
                    TOLERANCE,
                    1e-9,
                )
            ],
        ),
        "lightgbm",
        as_fixture,
    )


def fixtures():
    make_fixtures(CASES, case, FIXTURES)
    frame_case("frame", ordered=True, as_fixture=True)


def main():
    wanted = sys.argv[1:]
    make_zoo(CASES, case, wanted)
    for name, ordered in (("frame", False), ("frame_ordered", True)):
        if not wanted or name in wanted:
            frame_case(name, ordered)


if __name__ == "__main__":
    main()
