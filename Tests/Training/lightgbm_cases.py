"""The LightGBM cases, from the library's own text files."""

import lightgbm
import numpy as np

from boosting_rows import NAMES, STEADY, answers, edge_rows, features_of, holes
from data import BINARY, SIGNAL, TEST, THREE, TRAIN
from fixture import Case, write

TOLERANCE = 1e-12


def lightgbm_case(name, parameters, y, kind, description, trees=10, train=None):
    settings = {
        "num_leaves": 12,
        "learning_rate": 0.15,
        "min_data_in_leaf": 5,
        **STEADY,
        **parameters,
    }
    train = holes(TRAIN, 0.08, 20) if train is None else train
    data = lightgbm.Dataset(train, y, feature_name=NAMES, group=[20] * (len(y) // 20) if "rank" in name else None)
    text = lightgbm.train(settings, data, trees).model_to_string()
    booster = lightgbm.Booster(model_str=text)
    table = booster.trees_to_dataframe()
    splits = [(NAMES.index(f), float(t)) for f, t in zip(table.split_feature, table.threshold) if isinstance(f, str)]
    splits = splits[:: max(1, len(splits) // 12)][:12]
    X = edge_rows(np.round(holes(TEST[:80], 0.1, 21), 3), splits, 1e300)
    if "zero" in name:
        X[:40:3, 1] = 0
        X[1:40:3, 3] = -0.0
        X[2:40:3, 0] = 1e-36
    P = booster.predict(X, num_threads=1)
    write(
        Case(
            name,
            "lightgbm",
            {"lightgbm": lightgbm.__version__},
            description,
            "model.txt",
            text.encode(),
            features_of(X, "float64"),
            answers(kind, P, "float64"),
            TOLERANCE,
            extra={"objective": parameters["objective"]},
        )
    )


def lightgbm_cases():
    positive = np.exp(SIGNAL / 3)
    lightgbm_case("lightgbm_binary", {"objective": "binary"}, BINARY, "binary", "two classes, missing values")
    lightgbm_case(
        "lightgbm_binary_sigmoid",
        {"objective": "binary", "sigmoid": 0.7, "is_unbalance": True},
        BINARY,
        "binary",
        "two classes, a sigmoid of its own slope",
    )
    lightgbm_case(
        "lightgbm_multiclass", {"objective": "multiclass", "num_class": 3}, THREE, "multiclass", "softmax of three", 4
    )
    lightgbm_case(
        "lightgbm_multiclassova",
        {"objective": "multiclassova", "num_class": 3},
        THREE,
        "multiclass",
        "one against the others, three times",
        4,
    )
    lightgbm_case("lightgbm_regression", {"objective": "regression"}, SIGNAL, "regression", "squared error")
    lightgbm_case(
        "lightgbm_regression_sqrt",
        {"objective": "regression", "reg_sqrt": True},
        SIGNAL,
        "regression",
        "squared error on square roots",
    )
    lightgbm_case("lightgbm_l1", {"objective": "regression_l1"}, SIGNAL, "regression", "absolute error")
    lightgbm_case("lightgbm_huber", {"objective": "huber"}, SIGNAL, "regression", "Huber loss")
    lightgbm_case(
        "lightgbm_quantile", {"objective": "quantile", "alpha": 0.9}, SIGNAL, "regression", "the 0.9 quantile"
    )
    lightgbm_case(
        "lightgbm_poisson", {"objective": "poisson"}, np.floor(positive * 2), "regression", "counts, log link"
    )
    lightgbm_case("lightgbm_gamma", {"objective": "gamma"}, positive, "regression", "positive values, log link")
    lightgbm_case("lightgbm_tweedie", {"objective": "tweedie"}, positive, "regression", "Tweedie, log link")
    lightgbm_case(
        "lightgbm_cross_entropy",
        {"objective": "cross_entropy"},
        BINARY * 0.8 + 0.1,
        "regression",
        "probabilities as targets",
    )
    lightgbm_case("lightgbm_lambdarank", {"objective": "lambdarank"}, THREE, "regression", "a ranking score")
    bagging = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6, "feature_fraction": 0.8}
    lightgbm_case(
        "lightgbm_rf_binary", {"objective": "binary", **bagging}, BINARY, "binary", "random forest: averaged outputs"
    )
    lightgbm_case(
        "lightgbm_rf_regression",
        {"objective": "regression", **bagging},
        SIGNAL,
        "regression",
        "random forest: averaged outputs",
    )
    lightgbm_case(
        "lightgbm_dart", {"objective": "regression", "boosting": "dart"}, SIGNAL, "regression", "trees that drop out"
    )
    zeros = holes(TRAIN, 0.05, 22)
    zeros[np.random.default_rng(SEED).random(zeros.shape) < 0.15] = 0
    lightgbm_case(
        "lightgbm_zero_as_missing",
        {"objective": "regression", "zero_as_missing": True},
        SIGNAL,
        "regression",
        "zeros count as missing",
        train=zeros,
    )
    lightgbm_case(
        "lightgbm_zero_split_no_missing",
        {"objective": "binary", "use_missing": False},
        BINARY,
        "binary",
        "missing values count as zeros",
        train=zeros,
    )
    lightgbm_case(
        "lightgbm_stumps",
        {"objective": "regression", "min_data_in_leaf": 700},
        SIGNAL,
        "regression",
        "trees of a single leaf",
        trees=3,
    )
