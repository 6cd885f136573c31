#!/usr/bin/env python3
"""The XGBoost zoo: objectives, boosters, categories, several outputs, both formats of files; the library's own answers.

    python xgboost_zoo.py [CASE ...]                  default all
    python xgboost_zoo.py --releases 1.7.6 2.1.4 3.0.5

The second form has pip put older releases (1.6 at least) beside the zoo, and writes what each of them can train.
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import xgboost

from boosted_zoo import (
    CODES,
    PLAIN,
    SEED,
    ZOO,
    Case,
    Feature,
    Output,
    View,
    contributions,
    edge_rows,
    features_of,
    make,
    margins,
    predictions,
    thinned,
    views,
    write_case,
)

TOLERANCE = 1e-6
VERSION = tuple(int(part) for part in xgboost.__version__.split(".")[:2])
IS_NEWEST = VERSION >= (3, 2)
DENORMAL = 1e-45
SPECIAL = PLAIN + [DENORMAL, -DENORMAL, 1e-39, 3.4028235e38, -3.4028235e38, 1e30, -1e30]
HUGE = [16777217.0, 2147483648.0, 1e9, 1e30, -1e30, 3.4028235e38, DENORMAL, -DENORMAL]

PLAIN_DATA = dict(missing=0.08)
WHOLE = dict()
CATEGORY_DATA = dict(categories=True, missing=0.05)
HOLES = dict(categories=True, missing=0.05, missing_categories=0.1)
HIST = {"tree_method": "hist"}
THREE = {"objective": "multi:softprob", "num_class": 3}
DART = {"booster": "dart", "rate_drop": 0.3}
LINEAR = {"booster": "gblinear"}
VECTORS = {"multi_strategy": "multi_output_tree", **HIST}
SQUARED = {"objective": "reg:squarederror"}
BINARY = {"objective": "binary:logistic"}
POISSON = {"objective": "count:poisson"}
QUANTILE = {"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.5, 0.9]}
ONE_HOT = {**HIST, "max_cat_to_onehot": 1000}
PARTITION = {**HIST, "max_cat_to_onehot": 1}
LEAVES = {"grow_policy": "lossguide", "max_leaves": 15, "max_depth": 0, **HIST}

CASES = [
    # name, parameters, target, kind, data
    ("squarederror", SQUARED, "signal", "scores", PLAIN_DATA),
    ("squaredlogerror", {"objective": "reg:squaredlogerror"}, "positive", "scores", PLAIN_DATA),
    ("reg_logistic", {"objective": "reg:logistic"}, "share", "scores", PLAIN_DATA),
    ("pseudohuber", {"objective": "reg:pseudohubererror"}, "signal", "scores", PLAIN_DATA),
    ("absoluteerror", {"objective": "reg:absoluteerror"}, "signal", "scores", PLAIN_DATA),
    ("quantile", {"objective": "reg:quantileerror", "quantile_alpha": 0.8}, "signal", "scores", PLAIN_DATA),
    ("quantiles", QUANTILE, "signal", "scores", PLAIN_DATA),
    ("gamma", {"objective": "reg:gamma"}, "positive", "scores", PLAIN_DATA),
    ("tweedie", {"objective": "reg:tweedie"}, "positive", "scores", PLAIN_DATA),
    ("poisson", POISSON, "counts", "scores", PLAIN_DATA),
    ("cox", {"objective": "survival:cox"}, "censored", "scores", PLAIN_DATA),
    ("aft", {"objective": "survival:aft"}, "bounds", "scores", PLAIN_DATA),
    ("binary", BINARY, "binary", "binary", PLAIN_DATA),
    ("logitraw", {"objective": "binary:logitraw"}, "binary", "scores", PLAIN_DATA),
    ("hinge", {"objective": "binary:hinge"}, "binary", "hinge", PLAIN_DATA),
    ("softprob", THREE, "three", "multiclass", PLAIN_DATA),
    ("softmax", {"objective": "multi:softmax", "num_class": 3}, "three", "label", PLAIN_DATA),
    ("rank_pairwise", {"objective": "rank:pairwise"}, "three", "scores", PLAIN_DATA),
    ("rank_ndcg", {"objective": "rank:ndcg"}, "three", "scores", PLAIN_DATA),
    ("rank_map", {"objective": "rank:map"}, "binary", "scores", PLAIN_DATA),
    ("squarederror_hist", {**SQUARED, **HIST}, "signal", "scores", PLAIN_DATA),
    ("squarederror_approx", {**SQUARED, "tree_method": "approx"}, "signal", "scores", PLAIN_DATA),
    ("squarederror_exact", {**SQUARED, "tree_method": "exact"}, "signal", "scores", PLAIN_DATA),
    ("whole", SQUARED, "signal", "scores", WHOLE),
    ("base_score", {**SQUARED, "base_score": 0.1}, "signal", "scores", PLAIN_DATA),
    ("base_score_binary", {**BINARY, "base_score": 0.9}, "binary", "binary", PLAIN_DATA),
    ("base_score_poisson", {**POISSON, "base_score": 3.5}, "counts", "scores", PLAIN_DATA),
    ("base_score_raw", {"objective": "binary:logitraw", "base_score": 0.3}, "binary", "scores", PLAIN_DATA),
    ("one_class_only", BINARY, "ones", "binary", PLAIN_DATA),
    ("scale_pos_weight", {**BINARY, "scale_pos_weight": 4}, "binary", "binary", PLAIN_DATA),
    ("dart", {**SQUARED, **DART}, "signal", "scores", PLAIN_DATA),
    ("dart_binary", {**BINARY, **DART, "normalize_type": "forest"}, "binary", "binary", PLAIN_DATA),
    ("dart_softprob", {**THREE, **DART, "sample_type": "weighted"}, "three", "multiclass", PLAIN_DATA),
    ("dart_categories", {**BINARY, **DART, **HIST}, "binary", "binary", HOLES),
    ("linear", {**SQUARED, **LINEAR}, "signal", "scores", PLAIN_DATA),
    ("linear_binary", {**BINARY, **LINEAR, "base_score": 0.7}, "binary", "binary", PLAIN_DATA),
    ("linear_softprob", {**THREE, **LINEAR}, "three", "multiclass", PLAIN_DATA),
    ("linear_poisson", {**POISSON, **LINEAR, "base_score": 2}, "counts", "scores", WHOLE),
    ("linear_targets", {**SQUARED, **LINEAR}, "targets", "scores", PLAIN_DATA),
    ("targets", {**SQUARED, **HIST}, "targets", "scores", PLAIN_DATA),
    ("targets_vectors", {**SQUARED, **VECTORS}, "targets", "scores", PLAIN_DATA),
    ("labels", {**BINARY, **HIST}, "labels", "scores", PLAIN_DATA),
    ("labels_vectors", {**BINARY, **VECTORS}, "labels", "scores", PLAIN_DATA),
    ("softprob_vectors", {**THREE, **VECTORS}, "three", "multiclass", PLAIN_DATA),
    ("targets_vectors_forest", {**SQUARED, **VECTORS, "num_parallel_tree": 3}, "targets", "scores", PLAIN_DATA),
    ("targets_categories", {**SQUARED, **HIST}, "targets", "scores", HOLES),
    ("categories", {**SQUARED, **HIST}, "signal", "scores", CATEGORY_DATA),
    ("categories_one_hot", {**SQUARED, **ONE_HOT}, "signal", "scores", HOLES),
    ("categories_partition", {**SQUARED, **PARTITION}, "signal", "scores", HOLES),
    ("categories_binary", {**BINARY, **PARTITION}, "binary", "binary", HOLES),
    ("categories_softprob", {**THREE, **HIST}, "three", "multiclass", HOLES),
    ("categories_approx", {**SQUARED, "tree_method": "approx"}, "signal", "scores", CATEGORY_DATA),
    ("lossguide", {**SQUARED, **LEAVES}, "signal", "scores", PLAIN_DATA),
    ("forest", {**BINARY, "num_parallel_tree": 5, "subsample": 0.6, "eta": 1.0}, "binary", "binary", PLAIN_DATA),
    ("forest_softprob", {**THREE, "num_parallel_tree": 3, "subsample": 0.6}, "three", "multiclass", PLAIN_DATA),
    ("depth_0", {**SQUARED, "gamma": 1e9}, "signal", "scores", PLAIN_DATA),
    ("pruned", {**SQUARED, "gamma": 8, "tree_method": "exact"}, "signal", "scores", PLAIN_DATA),
    ("deep", {**SQUARED, "max_depth": 12, "min_child_weight": 0}, "signal", "scores", PLAIN_DATA),
    ("monotone", {**SQUARED, "monotone_constraints": "(1,-1,0,0)"}, "signal", "scores", PLAIN_DATA),
    ("wide", {**BINARY, **HIST}, "binary", "binary", dict(numbers=200, missing=0.05)),
    ("large_margins", {**BINARY, "eta": 60.0, "lambda": 0}, "binary", "binary", WHOLE),
]
OLDER = ("squarederror", "binary", "softprob", "poisson", "dart", "linear", "logitraw", "base_score_raw", "aft", "cox",
         "forest_softprob", "targets", "targets_vectors", "labels", "categories_partition", "rank_ndcg", "quantiles")
FIXTURES = ("categories_partition", "targets_vectors", "linear_softprob", "dart_softprob")


def target_of(data, name, stream):
    """The labels of a training set; those of several columns, and what survival objectives want."""
    random = np.random.default_rng(SEED + stream)
    if name == "targets":
        return np.column_stack([data.signal, -2 * data.signal + 1, data.positive])
    if name == "labels":
        return np.column_stack([data.binary, data.signal > 1, data.X[:, 1] > 10]).astype(float)
    if name == "censored":
        return data.positive * np.where(random.random(len(data.X)) < 0.2, -1, 1)
    if name == "ones":
        return np.ones(len(data.X))
    return getattr(data, "positive" if name == "bounds" else name)


def matrix(X, data, y=None):
    categories = dict(
        feature_types=["c" if k in data.categorical else "float" for k in range(X.shape[1])], enable_categorical=True
    )
    return xgboost.DMatrix(
        X.astype(np.float32), y, feature_names=data.names, nthread=1, **(categories if data.categorical else {})
    )


def splits_of(text):
    """Numeric splits of the trees of a model in JSON: feature and threshold."""
    booster = json.loads(text)["learner"]["gradient_booster"]
    booster = booster.get("gbtree", booster)
    return [
        split
        for tree in booster["model"].get("trees", [])
        for *split, left, kind in zip(
            tree["split_indices"], tree["split_conditions"], tree["left_children"], tree["split_type"]
        )
        if left != -1 and not kind
    ]


def answers(objective, kind, booster, data):
    """What the objective predicts; beside a bare class also what the library says of the same sum otherwise."""
    P = booster.predict(data)
    if kind == "label":
        booster.set_param({"objective": "multi:softprob"})
        probabilities = booster.predict(data)
        booster.set_param({"objective": objective})
        return predictions("multiclass", probabilities, "float32", P.astype(np.int64))
    if kind == "hinge":
        return [
            Output("label", "label", "int64", P.astype(np.int64)),
            Output("decision", "decision", "float32", booster.predict(data, output_margin=True), "1"),
        ]
    return predictions(kind, P, "float32")


def contributed(kind, names, booster, rows):
    """What `pred_contribs` gives; nothing where XGBoost does not explain the model."""
    try:
        P = booster.predict(rows, pred_contribs=True)
    except xgboost.core.XGBoostError as error:
        print(f"not explained: {str(error).splitlines()[-1][:100]}")
        return None
    return contributions(kind, names, P, TOLERANCE, 1e-5)


def case(name, parameters, target, kind, data, as_fixture=False, number=0):
    train, test = make(1200, 50, **data), make(30 if as_fixture else 120, 51, **data)
    y = target_of(train, target, 52)
    settings = {"max_depth": 4, "eta": 0.3, "seed": SEED, "nthread": 1, "verbosity": 0, **parameters}
    objective = settings["objective"]
    shape = dict(X=train.X, data=train)
    if target == "bounds":
        training = matrix(**shape)
        training.set_float_info("label_lower_bound", y)
        training.set_float_info("label_upper_bound", np.where(y > np.median(y), np.inf, y))
    else:
        training = matrix(**shape, y=y)
    if "rank" in objective:
        training.set_group([20] * (len(y) // 20))
    rounds = 3 if as_fixture else 8
    booster = xgboost.train(settings, training, rounds)
    # Files of both kinds, one after the other.
    suffix = "ubj" if number % 2 else "json"
    text = bytes(booster.save_raw(suffix))
    booster = xgboost.Booster(model_file=bytearray(text), params={"nthread": 1})
    is_linear = settings.get("booster") == "gblinear"
    splits = thinned(splits_of(booster.save_raw("json")), 6 if as_fixture else 30)
    X = edge_rows(test, splits, SPECIAL, CODES + HUGE, np.float32)
    rows = matrix(X, test)
    margin = booster.predict(rows, output_margin=True)
    leaf, ranges = None, {}
    if not is_linear:
        leaf = booster.predict(rows, pred_leaf=True)
        for start, end in ((0, 2), (1, rounds - 1)):
            ranges[(start, end)] = booster.predict(rows, output_margin=True, iteration_range=(start, end))
    shown = {"label": "multiclass", "hinge": "binary"}.get(kind, kind)
    write_case(
        Case(
            f"xgboost_{name}" if as_fixture else name if IS_NEWEST else f"{name}_{VERSION[0]}_{VERSION[1]}",
            "xgboost",
            {"xgboost": xgboost.__version__},
            name.replace("_", " "),
            f"model.{suffix}",
            text,
            features_of(X, train.names, "float32"),
            answers(objective, kind, booster, rows),
            TOLERANCE,
            extra={"objective": objective, "about": f"{settings.get('booster', 'gbtree')} {objective}"},
            views=views(shown, "float32", margin, leaf, ranges, contributed(shown, train.names, booster, rows)),
        ),
        "xgboost",
        as_fixture,
    )


def infinite_case():
    """Rows with infinite values, which XGBoost refuses to read."""
    train, test = make(1200, 50), make(60, 51)
    booster = xgboost.train({"max_depth": 4, "nthread": 1}, matrix(train.X, train, train.signal), 8)
    X = test.X.astype(np.float32)
    failures = [None] * len(X)
    for row, (feature, value) in enumerate([(0, np.inf), (0, -np.inf), (1, np.inf), (3, -np.inf)]):
        X[row * 7, feature] = value
        failures[row * 7] = "not_finite"
        try:
            matrix(X[row * 7 : row * 7 + 1], test)
            raise AssertionError("XGBoost took an infinite value")
        except xgboost.core.XGBoostError:
            pass
    scored = np.array([failure is None for failure in failures])
    P = np.zeros(len(X), np.float32)
    P[scored] = booster.predict(matrix(X[scored], test))
    write_case(
        Case(
            "infinite",
            "xgboost",
            {"xgboost": xgboost.__version__},
            "infinite values are refused",
            "model.ubj",
            bytes(booster.save_raw("ubj")),
            features_of(X, train.names, "float32"),
            predictions("scores", P, "float32"),
            TOLERANCE,
            failures=failures,
            extra={"about": "gbtree reg:squarederror"},
        ),
        "xgboost",
        False,
    )


def estimator_case():
    """A file of scikit-learn's interface after early stopping: its predictions end with the best round."""
    train, valid, test = make(1200, 50, missing=0.05), make(400, 53, missing=0.05), make(120, 51, missing=0.05)
    model = xgboost.XGBClassifier(
        n_estimators=60, learning_rate=0.9, max_depth=5, n_jobs=1, random_state=SEED, early_stopping_rounds=5
    )
    model.fit(train.X, train.three, eval_set=[(valid.X, valid.three)], verbose=False)
    X = test.X.astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.ubj")
        model.save_model(path)
        with open(path, "rb") as file:
            data = file.read()
    probabilities = model.predict_proba(X)
    booster = model.get_booster()
    last = booster.num_boosted_rounds()
    assert model.best_iteration + 1 < last
    rows = xgboost.DMatrix(X)
    write_case(
        Case(
            "estimator_early_stopping",
            "xgboost",
            {"xgboost": xgboost.__version__},
            "written by XGBClassifier after early stopping",
            "model.ubj",
            data,
            features_of(X, [f"f{k}" for k in range(X.shape[1])], "float32"),
            predictions("multiclass", probabilities, "float32", model.predict(X)),
            TOLERANCE,
            extra={"about": "gbtree multi:softprob"},
            views=[
                View("margin", margins("multiclass", model.predict(X, output_margin=True), "float32")),
                View("margin", margins("multiclass", booster.predict(rows, output_margin=True), "float32", "all_"), (0, last)),
            ],
        ),
        "xgboost",
        False,
    )


def frame_case(name, suffix, as_fixture=False):
    """Categories as words and as numbers of a data frame, which the file lists; others are refused.

    ASCII only: XGBoost 3.2 cuts words by characters where it stores bytes, so that other words come out damaged.
    """
    import pandas

    random = np.random.default_rng(SEED)
    train, test = make(800, 60, missing=0.05), make(30 if as_fixture else 120, 61, missing=0.05)
    words, numbers = ["red", "green", "", "blue ", "a longer name than others"], [7, -3, 2_000_000_000, 12]

    def frame(data, words, numbers, known):
        columns = dict(zip(data.names, data.X.astype(np.float32).T))
        word = [words[k] if k >= 0 else None for k in known[0]]
        number = [numbers[k] if k >= 0 else None for k in known[1]]
        return (
            pandas.DataFrame(
                {
                    **columns,
                    "word": pandas.Categorical(word, categories=words),
                    "number": pandas.Categorical(number, categories=numbers),
                }
            ),
            word,
            number,
        )

    def codes(count):
        return random.integers(-1, len(words), count), random.integers(-1, len(numbers), count)

    known = codes(len(train.X))
    table, _, _ = frame(train, words, numbers, known)
    y = train.signal + np.array([0, 2, -1, 1, 3, 0])[known[0]] + np.array([1, -2, 0, 2, 0])[known[1]]
    booster = xgboost.train(
        {"max_depth": 4, "nthread": 1, "tree_method": "hist", "max_cat_to_onehot": 2},
        xgboost.DMatrix(table, y, enable_categorical=True),
        3 if as_fixture else 8,
    )
    # The same words in another order.
    known = codes(len(test.X))
    table, word, number = frame(test, words[::-1], numbers[::-1], known)
    P = booster.predict(xgboost.DMatrix(table, enable_categorical=True))
    features = features_of(test.X.astype(np.float32), test.names, "float32")
    failures = [None] * len(P)
    for row, stranger in ((3, "purple"), (11, "Red")):
        word[row], failures[row] = stranger, "unseen_category"
    number[17], failures[17] = 8, "unseen_category"
    features += [Feature("word", "string", word, "allowed"), Feature("number", "int64", number, "allowed")]
    write_case(
        Case(
            f"xgboost_{name}" if as_fixture else name,
            "xgboost",
            {"xgboost": xgboost.__version__},
            "categories of a data frame",
            f"model.{suffix}",
            bytes(booster.save_raw(suffix)),
            features,
            predictions("scores", P, "float32"),
            TOLERANCE,
            failures=failures,
            extra={"about": "gbtree reg:squarederror"},
        ),
        "xgboost",
        as_fixture,
    )


def fixtures():
    for number, row in enumerate(CASES):
        if row[0] in FIXTURES:
            case(*row, as_fixture=True, number=number)
    frame_case("frame_ubj", "ubj", as_fixture=True)


def older(releases):
    for release in releases:
        folder = ZOO.parent / f"xgboost-{release}"
        if not folder.exists():
            pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder, f"xgboost=={release}"]
            subprocess.run(pip, check=True)
        subprocess.run([sys.executable, __file__], env={**os.environ, "PYTHONPATH": str(folder)}, check=True)


def main():
    if sys.argv[1:2] == ["--releases"]:
        return older(sys.argv[2:])
    wanted = sys.argv[1:]
    for number, row in enumerate(CASES):
        if not (IS_NEWEST or row[0] in OLDER) or wanted and row[0] not in wanted:
            continue
        try:
            case(*row, number=number)
        except (xgboost.core.XGBoostError, ValueError, TypeError) as error:
            if IS_NEWEST:
                raise
            print(f"{row[0]}: not in XGBoost {xgboost.__version__} ({str(error).splitlines()[0][:80]})")
    if IS_NEWEST and not wanted:
        infinite_case()
        estimator_case()
        frame_case("frame_json", "json")
        frame_case("frame_ubj", "ubj")


if __name__ == "__main__":
    main()
