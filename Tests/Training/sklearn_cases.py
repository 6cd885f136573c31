"""Linear models, trees, boosting, networks and the rest of scikit-learn, a function a family."""

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from data import BINARY, SIGNAL, TEST, THREE, TRAIN, WIDTH, wide
from estimators import NO_ZIPMAP, classifier, hist_thresholds, outlier, regressor, tree_thresholds
from fixture import SEED, Output
from onnx_case import (
    edge_rows,
    label,
    matrix_case,
    per_class,
    scale_of,
    score,
    without_ties,
)

LEVELS = np.array(["low", "not sure", "high"], object)


def rows_of_length(X):
    """Without the subnormal row: scikit-learn takes norms below 2e-15 for zero and ONNX does not."""
    return X[(np.abs(X).max(axis=1) > 1e-30) | (X == 0).all(axis=1)]


def linear():
    named = [f"f{j}" for j in range(WIDTH)]
    classifier(
        "logistic_binary", LogisticRegression(), BINARY, "logistic regression, two classes", feature_names=named
    )
    classifier(
        "logistic_binary_zipmap", LogisticRegression(C=0.3), BINARY, "two classes through a ZipMap", zipmap=True
    )
    classifier("logistic_multinomial", LogisticRegression(), THREE, "logistic regression, three classes")
    classifier(
        "logistic_strings_zipmap",
        LogisticRegression(C=0.5),
        LEVELS[THREE],
        "class labels are strings, through a ZipMap",
        zipmap=True,
    )
    classifier(
        "logistic_opset12",
        make_pipeline(StandardScaler(), LogisticRegression()),
        BINARY,
        "exported for older opsets",
        opset={"": 12, "ai.onnx.ml": 1},
    )
    regressor("linear_regression", LinearRegression(), "ordinary least squares", feature_names=named)
    regressor("ridge", Ridge(alpha=2.0), "ridge regression")
    both = LinearRegression().fit(wide(TRAIN), np.stack([SIGNAL, -2 * SIGNAL + TRAIN[:, 0]], axis=1))
    X = edge_rows(TEST)
    Y = both.predict(wide(X))
    matrix_case(
        "linear_regression_two_targets",
        both,
        X,
        [Output(f"variable_{k}", "value", "float32", Y[:, k], floor=scale_of(Y[:, k])) for k in (0, 1)],
        "two targets at once",
    )
    # The norm "max" cannot be compared: scikit-learn divides by the largest magnitude, ONNX by the largest value.
    classifier(
        "normalizer_l1_logistic",
        make_pipeline(Normalizer("l1"), LogisticRegression(C=10)),
        BINARY,
        "rows scaled to absolute sum 1, then logistic regression",
        rows=rows_of_length(edge_rows(TEST)),
    )
    classifier(
        "normalizer_minmax_logistic",
        make_pipeline(Normalizer(), MinMaxScaler(), LogisticRegression(C=10)),
        BINARY,
        "rows of unit length, scaled to 0...1, then logistic regression",
        rows=rows_of_length(edge_rows(TEST)),
    )


def trees():
    forest = lambda m: tree_thresholds(m.estimators_)
    flat = lambda m: tree_thresholds(np.ravel(m.estimators_))
    keep = {"refusals": False, "extreme": 1e30}
    seed = {"random_state": SEED}
    small = {"max_depth": 4, **seed}
    classifier(
        "decision_tree_classifier",
        DecisionTreeClassifier(**small),
        THREE,
        "one tree",
        thresholds=lambda m: tree_thresholds([m]),
        **keep,
    )
    regressor(
        "decision_tree_regressor",
        DecisionTreeRegressor(**small),
        "one tree",
        thresholds=lambda m: tree_thresholds([m]),
        **keep,
    )
    classifier(
        "random_forest_classifier",
        RandomForestClassifier(12, **small),
        THREE,
        "12 trees, three classes",
        thresholds=forest,
        **keep,
    )
    classifier(
        "random_forest_binary_zipmap",
        RandomForestClassifier(15, **small),
        LEVELS[[0, 2]][BINARY],
        "15 trees, two string classes through a ZipMap",
        thresholds=forest,
        zipmap=True,
        **keep,
    )
    regressor("random_forest_regressor", RandomForestRegressor(12, **small), "12 trees", thresholds=forest, **keep)
    classifier(
        "extra_trees_classifier",
        ExtraTreesClassifier(12, **small),
        BINARY,
        "12 extremely random trees",
        thresholds=forest,
        **keep,
    )
    regressor(
        "extra_trees_regressor",
        ExtraTreesRegressor(10, **small),
        "10 extremely random trees",
        thresholds=forest,
        **keep,
    )
    classifier(
        "gradient_boosting_binary",
        GradientBoostingClassifier(n_estimators=30, **seed),
        BINARY,
        "30 trees",
        thresholds=flat,
        **keep,
    )
    classifier(
        "gradient_boosting_multiclass",
        GradientBoostingClassifier(n_estimators=12, **seed),
        THREE,
        "3 x 12 trees",
        thresholds=flat,
        **keep,
    )
    regressor(
        "gradient_boosting_regressor",
        GradientBoostingRegressor(n_estimators=30, **seed),
        "30 trees",
        thresholds=flat,
        **keep,
    )


def histogram_boosting():
    random = np.random.default_rng(SEED + 7)
    train = wide(TRAIN)
    train[random.random(train.shape) < 0.1] = np.nan
    common = {"max_iter": 15, "max_leaf_nodes": 12, "random_state": SEED, "early_stopping": False}
    for name, model, y in (
        ("hist_gradient_boosting_binary", HistGradientBoostingClassifier(**common), BINARY),
        ("hist_gradient_boosting_multiclass", HistGradientBoostingClassifier(**{**common, "max_iter": 8}), THREE),
        ("hist_gradient_boosting_regressor", HistGradientBoostingRegressor(**common), SIGNAL),
    ):
        model.fit(train, y)
        X = edge_rows(TEST, hist_thresholds(model), extreme=1e30)
        holes = random.random(X.shape) < 0.08
        holes[-40:] = False
        X[holes] = np.nan
        X[0] = np.nan
        if hasattr(model, "predict_proba"):
            X = without_ties(X, model.predict_proba(wide(X)))
            outputs = [label(model.predict(wide(X)))] + per_class(
                "probability", "probability", model.classes_, model.predict_proba(wide(X))
            )
            options = {id(model): NO_ZIPMAP}
        else:
            outputs, options = score(model.predict(wide(X))), None
        matrix_case(
            name,
            model,
            X,
            outputs,
            "histogram gradient boosting with missing values",
            options=options,
            refusals=False,
            missing="allowed",
        )


def neural_and_others():
    quick = {"max_iter": 60, "random_state": SEED}
    scaled = lambda model: make_pipeline(StandardScaler(), model)
    classifier(
        "mlp_classifier", scaled(MLPClassifier(hidden_layer_sizes=(16, 8), **quick)), THREE, "two hidden layers, ReLU"
    )
    classifier(
        "mlp_binary_tanh",
        scaled(MLPClassifier(hidden_layer_sizes=(12,), activation="tanh", **quick)),
        BINARY,
        "tanh, sigmoid output",
    )
    classifier(
        "mlp_logistic",
        scaled(MLPClassifier(hidden_layer_sizes=(10,), activation="logistic", **quick)),
        THREE,
        "logistic activation",
    )
    regressor(
        "mlp_regressor",
        scaled(MLPRegressor(hidden_layer_sizes=(16, 8), **quick)),
        "two hidden layers, ReLU",
        extreme=20,
    )
    outlier(
        "isolation_forest",
        IsolationForest(n_estimators=10, max_samples=32, random_state=SEED),
        "10 trees",
        refusals=False,
        opset={"": 18, "ai.onnx.ml": 3},
    )
    classifier(
        "pca_logistic",
        make_pipeline(StandardScaler(), PCA(3, svd_solver="full"), LogisticRegression()),
        THREE,
        "principal components, then logistic regression",
    )
    classifier("gaussian_nb", GaussianNB(), THREE, "naive Bayes with normal likelihoods", extreme=5)
    model = KMeans(4, n_init=3, random_state=SEED).fit(wide(TRAIN))
    X = edge_rows(TEST, extreme=10)
    D = model.transform(wide(X))
    X = without_ties(X, -D)
    D = model.transform(wide(X))
    # The graph expands the square: |x|² - 2xc + |c|². Rounding is relative to those terms, and halved by the root.
    squares = np.square(wide(X)).sum(axis=1)[:, None] + np.square(model.cluster_centers_).sum(axis=1)
    floor = float(np.median(squares / (2 * D)))
    matrix_case(
        "kmeans",
        model,
        X,
        [label(model.predict(wide(X)))]
        + [Output(f"scores_{k}", "value", "float32", D[:, k], floor=floor) for k in range(4)],
        "nearest of four centres, and the distance to each",
    )
