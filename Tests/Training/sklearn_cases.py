"""The scikit-learn cases: one function a family, each seeded."""
import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesClassifier, ExtraTreesRegressor, GradientBoostingClassifier, GradientBoostingRegressor,
    HistGradientBoostingClassifier, HistGradientBoostingRegressor, IsolationForest, RandomForestClassifier,
    RandomForestRegressor)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from data import BINARY, SIGNAL, TEST, THREE, TRAIN, WIDTH, wide
from fixture import SEED, Feature, Output
from onnx_case import (
    TOLERANCE, edge_rows, export, finish, float_features, label, matrix_case, per_class, scale_of, score, without_ties)

NO_ZIPMAP = {"zipmap": False}
LEVELS = np.array(["low", "not sure", "high"], object)
def tree_thresholds(trees, limit=12):
    """Up to `limit` splits (feature, threshold), spread over the trees."""
    splits = [(int(f), float(t)) for tree in trees
              for f, t in zip(tree.tree_.feature[:3], tree.tree_.threshold[:3]) if f >= 0]
    return splits[:: max(1, len(splits) // limit)][:limit]


def hist_thresholds(model, limit=12):
    splits = [(int(n["feature_idx"]), float(n["num_threshold"])) for group in model._predictors for predictor in group
              for n in predictor.nodes[:2] if not n["is_leaf"]]
    return splits[:: max(1, len(splits) // limit)][:limit]


def classifier(name, model, y, description, *, thresholds=None, zipmap=False, extreme=1e4, count=110, rows=None,
               options=None, **rest):
    model.fit(wide(TRAIN), y)
    X = edge_rows(TEST, thresholds(model) if thresholds else (), count, extreme) if rows is None else rows
    X = without_ties(X, model.predict_proba(wide(X)))
    outputs = [label(model.predict(wide(X)))] + per_class(
        "probability", "probability", model.classes_, model.predict_proba(wide(X)),
        by_class=any(" " in str(c) for c in model.classes_))
    options = {} if zipmap else {id(model): {**NO_ZIPMAP, **(options or {})}}
    matrix_case(name, model, X, outputs, description, options=options, **rest)


def regressor(name, model, description, *, thresholds=None, floor=None, extreme=1e4, count=110, **rest):
    model.fit(wide(TRAIN), SIGNAL)
    X = edge_rows(TEST, thresholds(model) if thresholds else (), count, extreme)
    Y = model.predict(wide(X))
    matrix_case(name, model, X, score(Y, floor(model, X) if floor else scale_of(Y)), description, **rest)


def linear():
    named = [f"f{j}" for j in range(WIDTH)]
    classifier("logistic_binary", LogisticRegression(), BINARY, "logistic regression, two classes", feature_names=named)
    classifier("logistic_binary_zipmap", LogisticRegression(C=0.3), BINARY, "two classes through a ZipMap", zipmap=True)
    classifier("logistic_multinomial", LogisticRegression(), THREE, "logistic regression, three classes")
    classifier("logistic_strings_zipmap", LogisticRegression(C=0.5), LEVELS[THREE],
               "class labels are strings, through a ZipMap", zipmap=True)
    classifier("logistic_opset12", make_pipeline(StandardScaler(), LogisticRegression()), BINARY,
               "exported for older opsets", opset={"": 12, "ai.onnx.ml": 1})
    regressor("linear_regression", LinearRegression(), "ordinary least squares", feature_names=named)
    regressor("ridge", Ridge(alpha=2.0), "ridge regression")
    both = LinearRegression().fit(wide(TRAIN), np.stack([SIGNAL, -2 * SIGNAL + TRAIN[:, 0]], axis=1))
    X = edge_rows(TEST)
    Y = both.predict(wide(X))
    matrix_case("linear_regression_two_targets", both, X,
                [Output(f"variable_{k}", "value", "float32", Y[:, k], floor=scale_of(Y[:, k])) for k in (0, 1)],
                "two targets at once")
    classifier("normalizer_minmax_logistic", make_pipeline(Normalizer(), MinMaxScaler(), LogisticRegression(C=10)),
               BINARY, "rows of unit length, scaled to 0...1, then logistic regression")


def kernel_terms(pipeline, X):
    """Median over the rows of the sum of |coefficient * kernel|, its terms taken without their signs.

    What a support vector machine adds up is much larger than what is left of it, so this is the magnitude that
    rounding is relative to: the coefficients in the file are 32-bit already.
    """
    *steps, model = [step for _, step in pipeline.steps]
    Z = wide(X)
    for step in steps:
        Z = step.transform(Z)
    S = model.support_vectors_
    if model.kernel == "rbf":
        K = np.exp(-model._gamma * ((Z[:, None, :] - S[None]) ** 2).sum(axis=2))
    else:
        inner = np.abs(Z) @ np.abs(S).T
        K = {"linear": lambda: inner, "sigmoid": lambda: np.ones_like(inner),
             "poly": lambda: (model._gamma * inner + abs(model.coef0)) ** model.degree}[model.kernel]()
    return float(np.median((np.abs(model.dual_coef_)[:, None, :] * K[None]).sum(axis=2)))


def svm():
    scaled = lambda model: make_pipeline(StandardScaler(), model)
    for name, kernel, extreme in (("svc_rbf_probability", {}, 50),
                                  ("svc_poly_probability", {"kernel": "poly", "degree": 2, "coef0": 1}, 5)):
        classifier(name, scaled(SVC(probability=True, random_state=SEED, **kernel)), THREE,
                   "support vector classifier with probabilities, three classes", extreme=extreme, count=100)
    classifier("svc_binary_probability", scaled(SVC(probability=True, random_state=SEED)), BINARY,
               "support vector classifier with probabilities, two classes", extreme=50, count=100)
    for name, model, y in (("svc_rbf", SVC(decision_function_shape="ovr"), THREE),
                           ("svc_sigmoid", SVC(kernel="sigmoid", gamma=0.05), THREE),
                           ("svc_linear_binary", SVC(kernel="linear"), BINARY)):
        pipeline = scaled(model).fit(wide(TRAIN), y)
        X = edge_rows(TEST, count=100, extreme=50)
        D, notes = pipeline.decision_function(wide(X)), ""
        if D.ndim == 1:
            notes = ("ONNX Runtime returns these two columns exchanged, so that the predicted class has the lower one; "
                     "here, as in scikit-learn, the predicted class has the higher.")
            X = X[np.abs(D) > 1e-5]
            D = pipeline.decision_function(wide(X))
            D = np.stack([-D, D], axis=1)
        else:
            X = without_ties(X, D)
            D = pipeline.decision_function(wide(X))
        matrix_case(name, pipeline, X,
                    [label(pipeline.predict(wide(X)))] + per_class("decision", "decision", pipeline.classes_, D,
                                                                  floor=scale_of(D)),
                    "support vector classifier without probabilities", options={id(pipeline): NO_ZIPMAP}, notes=notes)
    for name, y in (("linear_svc", THREE), ("linear_svc_binary", BINARY)):
        model = LinearSVC(random_state=SEED).fit(wide(TRAIN), y)
        X = edge_rows(TEST)
        D = model.decision_function(wide(X))
        D = np.stack([-D, D], axis=1) if D.ndim == 1 else D
        X = without_ties(X, D)
        D = model.decision_function(wide(X))
        D = np.stack([-D, D], axis=1) if D.ndim == 1 else D
        matrix_case(name, model, X,
                    [label(model.predict(wide(X)))] + per_class("decision", "decision", model.classes_, D, floor=scale_of(D)),
                    "linear support vector classifier", options={id(model): {"raw_scores": True}})
    regressor("svr_rbf", scaled(SVR(C=2)), "support vector regression", extreme=50, count=100,
              floor=kernel_terms)
    regressor("svr_poly", scaled(SVR(kernel="poly", degree=2, coef0=1)), "support vector regression, polynomial kernel",
              extreme=10, count=100, floor=kernel_terms)
    for name, model in (("one_class_svm", OneClassSVM(nu=0.1)), ("one_class_svm_poly", OneClassSVM(kernel="poly", degree=2, coef0=1.0, nu=0.1))):
        outlier(name, scaled(model), "one-class support vector machine", extreme=50)


def outlier(name, model, description, extreme=1e4, **rest):
    model.fit(wide(TRAIN))
    X = edge_rows(TEST, extreme=extreme)
    D = model.decision_function(wide(X))
    floor = kernel_terms(model, X) if hasattr(model, "steps") else scale_of(model.score_samples(wide(X)))
    X = X[np.abs(D) > 10 * TOLERANCE * floor]
    matrix_case(name, model, X, [label(model.predict(wide(X))),
                                 Output("decision", "decision", "float32", model.decision_function(wide(X)), floor=floor)],
                description, **rest)


def trees():
    forest = lambda m: tree_thresholds(m.estimators_)
    flat = lambda m: tree_thresholds(np.ravel(m.estimators_))
    keep = {"refusals": False, "extreme": 1e30}
    seed = {"random_state": SEED}
    small = {"max_depth": 4, **seed}
    classifier("decision_tree_classifier", DecisionTreeClassifier(**small), THREE, "one tree",
               thresholds=lambda m: tree_thresholds([m]), **keep)
    regressor("decision_tree_regressor", DecisionTreeRegressor(**small), "one tree",
              thresholds=lambda m: tree_thresholds([m]), **keep)
    classifier("random_forest_classifier", RandomForestClassifier(12, **small), THREE, "12 trees, three classes",
               thresholds=forest, **keep)
    classifier("random_forest_binary_zipmap", RandomForestClassifier(15, **small), LEVELS[[0, 2]][BINARY],
               "15 trees, two string classes through a ZipMap", thresholds=forest, zipmap=True, **keep)
    regressor("random_forest_regressor", RandomForestRegressor(12, **small), "12 trees", thresholds=forest, **keep)
    classifier("extra_trees_classifier", ExtraTreesClassifier(12, **small), BINARY, "12 extremely random trees",
               thresholds=forest, **keep)
    regressor("extra_trees_regressor", ExtraTreesRegressor(10, **small), "10 extremely random trees", thresholds=forest, **keep)
    classifier("gradient_boosting_binary", GradientBoostingClassifier(n_estimators=30, **seed), BINARY, "30 trees",
               thresholds=flat, **keep)
    classifier("gradient_boosting_multiclass", GradientBoostingClassifier(n_estimators=12, **seed), THREE, "3 x 12 trees",
               thresholds=flat, **keep)
    regressor("gradient_boosting_regressor", GradientBoostingRegressor(n_estimators=30, **seed), "30 trees",
              thresholds=flat, **keep)


def histogram_boosting():
    random = np.random.default_rng(SEED + 7)
    train = wide(TRAIN)
    train[random.random(train.shape) < 0.1] = np.nan
    common = {"max_iter": 15, "max_leaf_nodes": 12, "random_state": SEED, "early_stopping": False}
    for name, model, y in (("hist_gradient_boosting_binary", HistGradientBoostingClassifier(**common), BINARY),
                           ("hist_gradient_boosting_multiclass", HistGradientBoostingClassifier(**{**common, "max_iter": 8}), THREE),
                           ("hist_gradient_boosting_regressor", HistGradientBoostingRegressor(**common), SIGNAL)):
        model.fit(train, y)
        X = edge_rows(TEST, hist_thresholds(model), extreme=1e30)
        holes = random.random(X.shape) < 0.08
        holes[-40:] = False
        X[holes] = np.nan
        X[0] = np.nan
        if hasattr(model, "predict_proba"):
            X = without_ties(X, model.predict_proba(wide(X)))
            outputs = [label(model.predict(wide(X)))] + per_class("probability", "probability", model.classes_,
                                                                  model.predict_proba(wide(X)))
            options = {id(model): NO_ZIPMAP}
        else:
            outputs, options = score(model.predict(wide(X))), None
        matrix_case(name, model, X, outputs, "histogram gradient boosting with missing values", options=options,
                    refusals=False, missing="allowed")


def neural_and_others():
    quick = {"max_iter": 60, "random_state": SEED}
    scaled = lambda model: make_pipeline(StandardScaler(), model)
    classifier("mlp_classifier", scaled(MLPClassifier(hidden_layer_sizes=(16, 8), **quick)), THREE, "two hidden layers, ReLU")
    classifier("mlp_binary_tanh", scaled(MLPClassifier(hidden_layer_sizes=(12,), activation="tanh", **quick)), BINARY, "tanh, sigmoid output")
    classifier("mlp_logistic", scaled(MLPClassifier(hidden_layer_sizes=(10,), activation="logistic", **quick)), THREE, "logistic activation")
    regressor("mlp_regressor", scaled(MLPRegressor(hidden_layer_sizes=(16, 8), **quick)), "two hidden layers, ReLU", extreme=20)
    outlier("isolation_forest", IsolationForest(n_estimators=10, max_samples=32, random_state=SEED), "10 trees",
            refusals=False, opset={"": 18, "ai.onnx.ml": 3})
    classifier("pca_logistic", make_pipeline(StandardScaler(), PCA(3, svd_solver="full"), LogisticRegression()), THREE,
               "principal components, then logistic regression")
    classifier("gaussian_nb", GaussianNB(), THREE, "naive Bayes with normal likelihoods", extreme=5)
    model = KMeans(4, n_init=3, random_state=SEED).fit(wide(TRAIN))
    X = edge_rows(TEST, extreme=10)
    D = model.transform(wide(X))
    X = without_ties(X, -D)
    D = model.transform(wide(X))
    # The graph expands the square: |x|² - 2xc + |c|². Rounding is relative to those terms, and halved by the root.
    squares = np.square(wide(X)).sum(axis=1)[:, None] + np.square(model.cluster_centers_).sum(axis=1)
    floor = float(np.median(squares / (2 * D)))
    matrix_case("kmeans", model, X, [label(model.predict(wide(X)))] +
                [Output(f"scores_{k}", "value", "float32", D[:, k], floor=floor) for k in range(4)],
                "nearest of four centres, and the distance to each")


def column_table(count, stream):
    random = np.random.default_rng(SEED + 40 + stream)
    frame = pd.DataFrame({
        "age": np.round(random.uniform(18, 90, count), 0).astype(np.float32),
        "income": np.round(np.exp(random.normal(10, 0.6, count)), 2).astype(np.float32),
        "visits": random.integers(0, 30, count).astype(np.int64),
        "plan": random.choice(np.array(["basic", "plus", "pro"], object), count),
        "city": random.choice(np.array(["Zürich", "Köln", "São Paulo", "New York, NY", ""], object), count)})
    z = ((frame.age - 50) / 20 + (np.log(frame.income.astype(float)) - 10) - frame.visits / 15
         + (frame.plan == "pro") * 1.2 - (frame.city == "Köln") * 0.8 + random.normal(0, 0.4, count))
    frame.loc[random.random(count) < 0.08, "age"] = np.nan
    frame.loc[random.random(count) < 0.08, "income"] = np.nan
    return frame, z


def columns():
    kinds = {"age": "float32", "income": "float32", "visits": "int64", "plan": "string", "city": "string"}
    train, z = column_table(800, 0)
    rows, _ = column_table(180, 1)
    y = np.array(["stays", "leaves"], object)[(z > 0).astype(int)]
    numeric = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    for name, unseen, zipmap in (("columns_pipeline", "ignore", False), ("columns_pipeline_zipmap", "ignore", True),
                                 ("columns_pipeline_strict", "error", False)):
        pipeline = make_pipeline(
            ColumnTransformer([("numeric", numeric, ["age", "income"]), ("count", StandardScaler(), ["visits"]),
                               ("category", OneHotEncoder(handle_unknown=unseen), ["plan", "city"])]),
            LogisticRegression(max_iter=500)).fit(train, y)
        table = rows.copy()
        if unseen == "ignore":
            table.loc[::19, "city"] = "never seen"
            table.loc[5::31, "plan"] = "PRO"
        P = pipeline.predict_proba(table)
        keep = np.abs(P[:, 0] - P[:, 1]) > 1e-5
        table, P = table[keep].reset_index(drop=True), P[keep]
        outputs = [label(pipeline.predict(table))] + per_class("probability", "probability", pipeline.classes_, P)
        model = export(pipeline, [(n, k, 1) for n, k in kinds.items()],
                       options=None if zipmap else {id(pipeline): NO_ZIPMAP})
        feeds = {n: table[[n]].to_numpy(object if k == "string" else k) for n, k in kinds.items()}
        values = {n: [None if k == "float32" and np.isnan(v) and i % 2 else v for i, v in enumerate(table[n])]
                  for n, k in kinds.items()}
        failures = [None] * len(table)
        refused = [("visits", None, "missing")]
        if unseen == "error":
            refused += [("plan", "enterprise", "unseen_category"), ("city", "Oslo", "unseen_category")]
        for column, value, code in refused:
            for n in kinds:
                values[n].append(value if n == column else table[n][1])
            failures.append(code)
        features = [Feature(n, k, values[n], "allowed" if k == "float32" else "refused") for n, k in kinds.items()]
        finish(name, model, feeds, features, failures, outputs,
               f"imputer, scaler and one-hot encoder (handle_unknown={unseen}) on named columns", TOLERANCE, "")


def other_inputs():
    """Matrices of integers and of doubles, and strings that become numbers."""
    random = np.random.default_rng(SEED + 60)
    whole = lambda count: random.integers(-20, 21, (count, 4)).astype(np.int64)
    train, X = whole(500), np.vstack([whole(120), np.zeros((1, 4), np.int64), np.full((1, 4), 1000)])
    y = (train @ np.array([1, -2, 0.5, 0]) + random.normal(0, 4, len(train)) > 0).astype(np.int64)
    for name, model in (("integers_logistic", make_pipeline(StandardScaler(), LogisticRegression())),
                        ("integers_random_forest", RandomForestClassifier(8, max_depth=4, random_state=SEED))):
        model.fit(train, y)
        rows = without_ties(X, model.predict_proba(X))
        P = model.predict_proba(rows)
        exported = export(model, [("counts", "int64", 4)], options={id(model): NO_ZIPMAP})
        features = [Feature(f"counts_{j}", "int64", [*rows[:, j], None if j == 2 else 1], "refused") for j in range(4)]
        finish(name, exported, {"counts": rows}, features, [None] * len(rows) + ["missing"],
               [label(model.predict(rows))] + per_class("probability", "probability", model.classes_, P),
               "a matrix of integers", TOLERANCE, "")
    for name, model in (("doubles_linear_regression", LinearRegression()),
                        ("doubles_mlp", MLPRegressor(hidden_layer_sizes=(8,), max_iter=100, random_state=SEED))):
        scaled = make_pipeline(StandardScaler(), model).fit(wide(TRAIN), SIGNAL)
        rows = wide(edge_rows(TEST)) * (1 + 1e-9)
        exported = export(scaled, [("X", "float64", WIDTH)])
        features = [Feature(f"X_{j}", "float64", list(rows[:, j])) for j in range(WIDTH)]
        Y = scaled.predict(rows)
        finish(name, exported, {"X": rows}, features, [None] * len(rows),
               [Output("score", "score", "float64", Y, floor=scale_of(Y))], "a matrix of doubles", TOLERANCE, "")
    train, z = column_table(800, 2)
    rows, _ = column_table(150, 3)
    names = ["visits", "plan", "city"]
    kinds = {"visits": "float32", "plan": "string", "city": "string"}
    train, rows = (frame[names].astype({"visits": np.float32}) for frame in (train, rows))
    pipeline = make_pipeline(ColumnTransformer([("codes", OrdinalEncoder(), ["plan", "city"])], remainder="passthrough"),
                             GradientBoostingRegressor(n_estimators=15, random_state=SEED)).fit(train, z)
    exported = export(pipeline, [(n, k, 1) for n, k in kinds.items()])
    feeds = {n: rows[[n]].to_numpy(object if k == "string" else k) for n, k in kinds.items()}
    finish("ordinal_pipeline", exported, feeds, [Feature(n, k, list(rows[n])) for n, k in kinds.items()], [None] * len(rows),
           score(pipeline.predict(rows)), "categories as numbers, then gradient boosting", TOLERANCE, "")
    # scikit-learn takes norms below 2e-15 for zero and ONNX does not, so the subnormal row is left out. The norm "max"
    # cannot be compared: scikit-learn divides by the largest magnitude, ONNX by the largest value.
    rows = edge_rows(TEST)
    rows = rows[(np.abs(rows).max(axis=1) > 1e-30) | (rows == 0).all(axis=1)]
    classifier("normalizer_l1_logistic", make_pipeline(Normalizer("l1"), LogisticRegression(C=10)), BINARY,
               "rows scaled to absolute sum 1, then logistic regression", rows=rows)


ALL = [linear, svm, trees, histogram_boosting, neural_and_others, columns, other_inputs]
