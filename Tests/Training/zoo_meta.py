"""Estimators made of estimators."""

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    RandomForestClassifier,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor, RegressorChain
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline, make_union
from sklearn.preprocessing import MinMaxScaler, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from skl2onnx.sklapi import CastRegressor, CastTransformer, ReplaceTransformer

from fixture import SEED
from zoo_rows import Spec, two_sided

SEEDED = {"random_state": SEED}
TREE = DecisionTreeClassifier(max_depth=3, **SEEDED)
STUMP = DecisionTreeRegressor(max_depth=3, **SEEDED)
THREE = [("logistic", LogisticRegression()), ("tree", TREE), ("bayes", GaussianNB())]
REGRESSIONS = [("linear", LinearRegression()), ("tree", STUMP), ("ridge", Ridge(3))]


def raw(model, X):
    return [model.predict(X), two_sided(model.decision_function(X))]


def plain(model, X):
    return [model.predict(X)]


def voted(model, X):
    """The class, and the share of the votes that each class has."""
    votes = np.asarray([estimator.predict(X) for estimator in model.estimators_])
    return [model.predict(X), np.stack([np.mean(votes == c, axis=0) for c in range(len(model.classes_))], axis=1)]


def specs():
    for y in ("two", "three", "strings"):
        for method in ("sigmoid", "isotonic"):
            yield Spec(f"CalibratedClassifierCV_{method}_{y}", CalibratedClassifierCV(LogisticRegression(), method=method, cv=3), y, "scaled")
        yield Spec(f"CalibratedClassifierCV_machine_{y}", CalibratedClassifierCV(LinearSVC(**SEEDED), cv=3), y, "scaled")
        yield Spec(f"CalibratedClassifierCV_forest_{y}", CalibratedClassifierCV(RandomForestClassifier(5, max_depth=3, **SEEDED), cv=2), y)
        yield Spec(f"BaggingClassifier_{y}", BaggingClassifier(TREE, n_estimators=4, **SEEDED), y)
        yield Spec(f"BaggingClassifier_features_{y}", BaggingClassifier(LogisticRegression(), n_estimators=4, max_features=3, **SEEDED), y)
        yield Spec(f"StackingClassifier_{y}", StackingClassifier(THREE, LogisticRegression(), cv=3), y, "scaled")
        yield Spec(f"VotingClassifier_soft_{y}", VotingClassifier(THREE, voting="soft", flatten_transform=False), y, "scaled")
        yield Spec(f"VotingClassifier_weights_{y}", VotingClassifier(THREE, voting="soft", weights=np.array([1, 2, 0.5]), flatten_transform=False), y, "scaled")
        yield Spec(f"OneVsRestClassifier_{y}", OneVsRestClassifier(LogisticRegression()), y)
        yield Spec(f"OneVsRestClassifier_tree_{y}", OneVsRestClassifier(TREE), y)
        yield Spec(f"OneVsRestClassifier_machine_{y}", OneVsRestClassifier(LinearSVC(**SEEDED)), y, "scaled")
        if y != "strings":  # skl2onnx writes a graph that declares numbers for these labels.
            yield Spec(f"OneVsOneClassifier_{y}", OneVsOneClassifier(LogisticRegression()), y, answers=raw)
        yield Spec(f"GridSearchCV_{y}", GridSearchCV(LogisticRegression(), {"C": [0.1, 1]}, cv=3), y)
    yield Spec("StackingClassifier_passthrough", StackingClassifier(THREE, LogisticRegression(), cv=3, passthrough=True), "three", "scaled")
    yield Spec("VotingClassifier_hard", VotingClassifier(THREE, voting="hard", flatten_transform=False), "three", "scaled", answers=voted)
    yield Spec("OneVsRestClassifier_labels", OneVsRestClassifier(LogisticRegression()), "bits")
    yield Spec("OneVsRestClassifier_mlp", OneVsRestClassifier(MLPClassifier((8,), max_iter=60, **SEEDED)), "three", "scaled")
    yield Spec("BaggingRegressor", BaggingRegressor(STUMP, n_estimators=4, **SEEDED), "real")
    yield Spec("BaggingRegressor_features", BaggingRegressor(Ridge(), n_estimators=4, max_features=3, **SEEDED), "real")
    yield Spec("StackingRegressor", StackingRegressor(REGRESSIONS, Ridge(), cv=3), "real")
    yield Spec("StackingRegressor_passthrough", StackingRegressor(REGRESSIONS, Ridge(), cv=3, passthrough=True), "real")
    yield Spec("VotingRegressor", VotingRegressor(REGRESSIONS), "real")
    yield Spec("VotingRegressor_weights", VotingRegressor(REGRESSIONS, weights=np.array([1, 2, 3])), "real")
    yield Spec("GridSearchCV_regressor", GridSearchCV(Ridge(), {"alpha": [0.1, 1]}, cv=3), "real")
    yield Spec("GridSearchCV_pipeline", GridSearchCV(Pipeline([("s", StandardScaler()), ("c", LogisticRegression())]), {"c__C": [0.1, 1]}, cv=3), "three")
    yield Spec("GridSearchCV_scaler", GridSearchCV(Pipeline([("s", StandardScaler()), ("c", Ridge())]), {"c__alpha": [0.1, 1]}, cv=3), "real")
    yield Spec("RandomizedSearchCV", RandomizedSearchCV(Ridge(), {"alpha": [0.1, 1]}, n_iter=2, cv=3, **SEEDED), "real")
    yield Spec("TunedThresholdClassifierCV", TunedThresholdClassifierCV(LogisticRegression(), cv=3), "two")
    yield Spec("TunedThresholdClassifierCV_tree", TunedThresholdClassifierCV(TREE, cv=3), "two")
    yield Spec("OutputCodeClassifier", OutputCodeClassifier(LogisticRegression(), **SEEDED), "three", answers=plain)
    yield Spec("ClassifierChain", ClassifierChain(LogisticRegression()), "bits")
    yield Spec("RegressorChain", RegressorChain(LinearRegression()), "reals")
    yield Spec("MultiOutputClassifier", MultiOutputClassifier(LogisticRegression()), "labels")
    yield Spec("MultiOutputClassifier_bits", MultiOutputClassifier(LogisticRegression()), "bits")
    yield Spec("MultiOutputClassifier_forest", MultiOutputClassifier(RandomForestClassifier(5, max_depth=3, **SEEDED)), "labels")
    yield Spec("MultiOutputClassifier_neighbors", MultiOutputClassifier(KNeighborsClassifier()), "labels", "scaled")
    yield Spec("MultiOutputRegressor", MultiOutputRegressor(LinearRegression()), "reals")
    yield Spec("MultiOutputRegressor_tree", MultiOutputRegressor(STUMP), "reals")
    yield Spec("FeatureUnion", make_union(StandardScaler(), PCA(2, svd_solver="full"), PolynomialFeatures(2)), data="scaled")
    yield Spec("FeatureUnion_weights", FeatureUnion([("s", StandardScaler()), ("m", MinMaxScaler())], transformer_weights={"s": 2, "m": 0.5}), data="tame")
    parts = [("s", StandardScaler(), [0, 3]), ("m", MinMaxScaler(), slice(1, 3))]
    yield Spec("ColumnTransformer", ColumnTransformer(parts), data="tame")
    yield Spec("ColumnTransformer_remainder", ColumnTransformer(parts, remainder="passthrough"), data="tame")
    yield Spec("ColumnTransformer_weights", ColumnTransformer(parts, transformer_weights={"s": 0.5, "m": 3}), data="tame")
    yield Spec("CastTransformer", make_pipeline(CastTransformer(), StandardScaler()), data="tame", about="CastTransformer")
    yield Spec("CastTransformer_double", make_pipeline(CastTransformer(dtype=np.float64), StandardScaler()), data="tame", about="CastTransformer")
    yield Spec("CastRegressor", CastRegressor(STUMP), "real")
    yield Spec("ReplaceTransformer", make_pipeline(ReplaceTransformer(from_value=0.0, to_value=7.0), StandardScaler()), data="counts", about="ReplaceTransformer")
    yield Spec("Pipeline", make_pipeline(StandardScaler(), PCA(3, svd_solver="full"), LogisticRegression()), "three")
    yield Spec("Pipeline_nested", make_pipeline(make_pipeline(MinMaxScaler(), PolynomialFeatures()), StandardScaler(), Ridge()), "real")
    yield Spec("Pipeline_transformer", make_pipeline(StandardScaler(), PCA(3, svd_solver="full")), data="tame")
    yield Spec("Pipeline_counts", make_pipeline(MinMaxScaler(clip=True), MultinomialNB()), "three", "tame")
