#!/usr/bin/env python3
"""The CatBoost zoo: losses, shapes of trees, missing values, one-hot categories; the library's own answers.

    python catboost_zoo.py [CASE ...]      default all
"""

import os
import sys
import tempfile

import catboost
import numpy as np
import pandas

from boosted_zoo import (
    PLAIN,
    SEED,
    Case,
    Feature,
    Output,
    View,
    edge_rows,
    features_of,
    leaves,
    make,
    make_fixtures,
    make_zoo,
    margins,
    predictions,
    write_case,
)

TOLERANCE = 1e-12
SPECIAL = PLAIN + [5e-324, 1e-310, 1e300, -1e300, 3.4028235e38, 3.4028236e38, -3.5e38, np.inf, -np.inf]
WORDS = ["red", "green", "a much longer word than all others", "Grün", "3", " 3"]
STRANGERS = ["", "purple", "Red", "\u0000", "x" * 33, "y" * 65, "z" * 200, "größer " * 12]

PLAIN_DATA = dict(missing=0.08)
WHOLE = dict()
CASES = [
    # name, parameters, target, kind, data, categories
    ("regression", {"loss_function": "RMSE"}, "signal", "scores", PLAIN_DATA, False),
    ("no_missing_seen", {"loss_function": "RMSE"}, "signal", "scores", WHOLE, False),
    ("missing_is_high", {"loss_function": "RMSE", "nan_mode": "Max"}, "signal", "scores", PLAIN_DATA, False),
    ("mae", {"loss_function": "MAE"}, "signal", "scores", PLAIN_DATA, False),
    ("quantiles", {"loss_function": "MultiQuantile:alpha=0.1,0.5,0.9"}, "signal", "scores", PLAIN_DATA, False),
    ("poisson", {"loss_function": "Poisson"}, "counts", "scores", PLAIN_DATA, False),
    ("tweedie", {"loss_function": "Tweedie:variance_power=1.5"}, "positive", "scores", PLAIN_DATA, False),
    ("uncertainty", {"loss_function": "RMSEWithUncertainty"}, "signal", "scores", PLAIN_DATA, False),
    ("targets", {"loss_function": "MultiRMSE"}, "targets", "scores", PLAIN_DATA, False),
    ("binary", {"loss_function": "Logloss"}, "binary", "binary", PLAIN_DATA, False),
    ("binary_words", {"loss_function": "Logloss"}, "answers", "words", PLAIN_DATA, False),
    ("cross_entropy", {"loss_function": "CrossEntropy"}, "share", "binary", PLAIN_DATA, False),
    ("multiclass", {"loss_function": "MultiClass"}, "three", "multiclass", PLAIN_DATA, False),
    ("multiclass_numbers", {"loss_function": "MultiClass"}, "tens", "tens", PLAIN_DATA, False),
    ("one_vs_all", {"loss_function": "MultiClassOneVsAll"}, "three", "multiclass", PLAIN_DATA, False),
    ("labels", {"loss_function": "MultiLogloss"}, "labels", "labels", PLAIN_DATA, False),
    ("categories", {"loss_function": "RMSE"}, "signal", "scores", PLAIN_DATA, True),
    ("categories_binary", {"loss_function": "Logloss"}, "binary", "binary", PLAIN_DATA, True),
    ("leafwise", {"loss_function": "Logloss", "grow_policy": "Lossguide"}, "binary", "binary", PLAIN_DATA, False),
    ("depthwise", {"loss_function": "MultiClass", "grow_policy": "Depthwise"}, "three", "multiclass", PLAIN_DATA, True),
    ("deep", {"loss_function": "RMSE", "depth": 10}, "signal", "scores", PLAIN_DATA, False),
    ("ranking", {"loss_function": "YetiRank"}, "three", "scores", PLAIN_DATA, False),
    ("ordered", {"loss_function": "RMSE", "boosting_type": "Ordered"}, "signal", "scores", PLAIN_DATA, False),
]
FIXTURES = ("categories", "depthwise")


def target_of(data, name):
    if name == "targets":
        return np.column_stack([data.signal, 1 - 2 * data.signal])
    if name == "labels":
        return np.column_stack([data.binary, data.signal > 1]).astype(int)
    if name == "answers":
        return np.where(data.binary == 1, "yes", "no")
    if name == "tens":
        return data.three * 10 - 10
    return getattr(data, name)


def frame(X, names, word, number):
    table = pandas.DataFrame(dict(zip(names, X.T)))
    if word is not None:
        table["word"], table["number"] = word, number
    return table


def answers(kind, model, table):
    if kind == "scores":
        return predictions("scores", model.predict(table), "float64")
    P = model.predict_proba(table)
    if kind == "labels":
        return predictions("scores", P, "float64")
    if kind == "binary":
        return predictions("binary", P[:, 1], "float64")
    labels = np.ravel(model.predict(table))
    if kind == "words":
        return [
            Output("label", "label", "string", labels),
            Output("probability", "probability", "float64", P[:, 1], "yes"),
        ]
    outputs = predictions("multiclass", P, "float64", labels.astype(np.int64))
    if kind == "tens":
        for output, name in zip(outputs[1:], ("-10", "0", "10")):
            output.class_name, output.name = name, f"probability_{name.replace('-', '_')}"
    return outputs


def views(kind, model, table, iterations):
    def margin(prefix="", **range_):
        P = model.predict(table, prediction_type="RawFormulaVal", **range_)
        outputs = margins("multiclass" if kind == "multiclass" else kind, P, "float64", prefix)
        if kind == "words":
            outputs[0].class_name = "yes"
        if kind == "tens":
            for output, name in zip(outputs, ("-10", "0", "10")):
                output.class_name, output.name = name, f"margin_{name.replace('-', '_')}"
        return outputs

    found = [View("margin", margin())]
    if model.get_params().get("grow_policy") is None:
        found.append(View("leaf", leaves(model.calc_leaf_indexes(table))))
    for start, end in ((0, 2), (1, iterations)):
        outputs = margin(f"from_{start}_to_{end}_", ntree_start=start, ntree_end=end)
        found.append(View("margin", outputs, (start, end)))
    return found


def case(name, parameters, target, kind, data, categories, as_fixture=False):
    train, test = make(1000, 70, **data), make(30 if as_fixture else 100, 71, **data)
    random = np.random.default_rng(SEED)
    settings = {
        "iterations": 3 if as_fixture else 9,
        "depth": 4,
        "learning_rate": 0.3,
        "random_seed": SEED,
        "thread_count": 1,
        "verbose": 0,
        "allow_writing_files": False,
        **parameters,
    }
    y = target_of(train, target)
    is_classifier = kind in ("binary", "words", "multiclass", "tens", "labels")
    model = (catboost.CatBoostClassifier if is_classifier else catboost.CatBoostRegressor)(**settings)
    word = number = None
    fit = {}
    if categories:
        settings["one_hot_max_size"] = 50
        model.set_params(one_hot_max_size=50)
        word = random.choice(WORDS, len(train.X))
        number = random.choice([3, -7, 2_000_000_000, 12], len(train.X))
        if target == "signal":
            y = y + 3 * (word == "green") - 2 * (number == 3) + (word == WORDS[2])
        elif target == "binary":
            y = ((y > 0) ^ (word == "green") ^ (number == -7)).astype(int)
        else:
            y = np.where(word == "red", 0, np.where(number == 12, 2, y))
        fit["cat_features"] = ["word", "number"]
    if "Yeti" in parameters["loss_function"]:
        pool = catboost.Pool(frame(train.X, train.names, word, number), y, group_id=np.arange(len(y)) // 20)
        model = catboost.CatBoost(settings).fit(pool)
    else:
        model.fit(frame(train.X, train.names, word, number), y, **fit)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.json")
        model.save_model(path, format="json")
        with open(path, "rb") as file:
            text = file.read()
    splits = [(k, border) for k, borders in model.get_borders().items() if k < len(train.names) for border in borders[:5]]
    middles = [
        (k, float(np.float64(np.float32(b)) / 2 + np.float64(np.nextafter(np.float32(b), np.float32(np.inf))) / 2))
        for k, b in splits
    ]
    # The zoo has values between floats too, which the engine and CatBoost round alike.
    written = "float32" if as_fixture else "float64"
    X = edge_rows(test, splits[:12] if as_fixture else (splits + middles)[:60], SPECIAL, [], np.dtype(written).type)
    features = features_of(X, train.names, written)
    if categories:
        word = np.concatenate([STRANGERS, random.choice(WORDS, len(X) - len(STRANGERS))]).astype(object)
        number = random.choice([3, -7, 2_000_000_000, 12, 13, -2_147_483_648], len(X))
        features += [Feature("word", "string", list(word), "refused"), Feature("number", "string", [str(n) for n in number], "refused")]
    for feature in features[: len(train.names)]:
        feature.type, feature.written = "float32", None if as_fixture else written
    table = frame(X, train.names, word, number)
    write_case(
        Case(
            f"catboost_{name}" if as_fixture else name,
            "catboost",
            {"catboost": catboost.__version__},
            name.replace("_", " "),
            "model.json",
            text,
            features,
            answers(kind, model, table),
            TOLERANCE,
            extra={"about": parameters["loss_function"].split(":")[0]},
            views=views(kind, model, table, settings["iterations"]),
        ),
        "catboost",
        as_fixture,
    )


def fixtures():
    make_fixtures(CASES, case, FIXTURES)


def main():
    make_zoo(CASES, case, sys.argv[1:])


if __name__ == "__main__":
    main()
