"""Trees, forests, boosting and the outlier detector made of trees."""

import numpy as np
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    RandomTreesEmbedding,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor

from fixture import SEED
from zoo_rows import Spec, default_answers, dense

SEEDED = {"random_state": SEED}
SMALL = {"max_depth": 4, **SEEDED}
MANY = {"n_estimators": 10, **SMALL}


def with_leaves(model, X):
    return default_answers(model, X) + [model.apply(X)]


def with_path(model, X):
    steps = dense(model.decision_path(X)).astype(int)
    return default_answers(model, X) + [np.array(["".join(map(str, row)) for row in steps], object)]


def with_samples(model, X):
    return default_answers(model, X) + [model.score_samples(X)]


def specs():
    for y in ("two", "three", "strings", "labels"):
        yield Spec(f"DecisionTreeClassifier_{y}", DecisionTreeClassifier(**SMALL), y, "wild")
        yield Spec(f"ExtraTreeClassifier_{y}", ExtraTreeClassifier(**SMALL), y, "wild")
        yield Spec(f"RandomForestClassifier_{y}", RandomForestClassifier(**MANY), y, "wild")
        yield Spec(f"ExtraTreesClassifier_{y}", ExtraTreesClassifier(**MANY), y, "wild")
    for y in ("real", "reals"):
        yield Spec(f"DecisionTreeRegressor_{y}", DecisionTreeRegressor(**SMALL), y, "wild")
        yield Spec(f"ExtraTreeRegressor_{y}", ExtraTreeRegressor(**SMALL), y, "wild")
        yield Spec(f"RandomForestRegressor_{y}", RandomForestRegressor(**MANY), y, "wild")
        yield Spec(f"ExtraTreesRegressor_{y}", ExtraTreesRegressor(**MANY), y, "wild")
    for kind, columns in (("double", {"double": True}), ("integers", {"data": "integers"})):
        yield Spec(f"RandomForestClassifier_{kind}", RandomForestClassifier(**MANY), "three", **columns)
        yield Spec(f"RandomForestRegressor_{kind}", RandomForestRegressor(**MANY), "real", **columns)
    yield Spec("RandomForestClassifier_deep", RandomForestClassifier(25, **SEEDED), "three", "wild")
    yield Spec("RandomForestClassifier_zipmap", RandomForestClassifier(**MANY), "strings", "wild", zipmap=True)
    yield Spec("DecisionTreeClassifier_leaves", DecisionTreeClassifier(**SMALL), "three", answers=with_leaves, options={"decision_leaf": True})
    yield Spec("DecisionTreeClassifier_path", DecisionTreeClassifier(**SMALL), "three", answers=with_path, options={"decision_path": True})
    yield Spec("RandomForestRegressor_leaves", RandomForestRegressor(**MANY), "real", answers=with_leaves, options={"decision_leaf": True})
    yield Spec("DecisionTreeRegressor_double", DecisionTreeRegressor(**SMALL), "real", double=True)
    yield Spec("DecisionTreeClassifier_opset9", DecisionTreeClassifier(**SMALL), "three", opset={"": 9, "ai.onnx.ml": 1})

    boosted = {"n_estimators": 20, **SEEDED}
    for y in ("two", "three", "strings"):
        yield Spec(f"GradientBoostingClassifier_{y}", GradientBoostingClassifier(**boosted), y, "wild")
        yield Spec(f"AdaBoostClassifier_{y}", AdaBoostClassifier(DecisionTreeClassifier(max_depth=2), n_estimators=8, **SEEDED), y)
    yield Spec("GradientBoostingClassifier_exponential", GradientBoostingClassifier(loss="exponential", **boosted), "two")
    yield Spec("GradientBoostingClassifier_zero", GradientBoostingClassifier(init="zero", **boosted), "three")
    for loss in ("squared_error", "absolute_error", "huber", "quantile"):
        yield Spec(f"GradientBoostingRegressor_{loss}", GradientBoostingRegressor(loss=loss, **boosted), "real", "wild")
    yield Spec("GradientBoostingRegressor_double", GradientBoostingRegressor(**boosted), "real", double=True)
    yield Spec("AdaBoostRegressor", AdaBoostRegressor(n_estimators=8, **SEEDED), "real")
    yield Spec("AdaBoostRegressor_exponential", AdaBoostRegressor(n_estimators=8, loss="exponential", **SEEDED), "real")

    binned = {"max_iter": 12, "max_leaf_nodes": 10, "early_stopping": False, **SEEDED}
    for y in ("two", "three", "strings"):
        yield Spec(f"HistGradientBoostingClassifier_{y}", HistGradientBoostingClassifier(**binned), y, "wild holes")
    for loss in ("squared_error", "absolute_error"):
        yield Spec(f"HistGradientBoostingRegressor_{loss}", HistGradientBoostingRegressor(loss=loss, **binned), "real", "wild holes")
    yield Spec("HistGradientBoostingRegressor_poisson", HistGradientBoostingRegressor(loss="poisson", **binned), "positive", "wild holes")
    yield Spec("HistGradientBoostingRegressor_double", HistGradientBoostingRegressor(**binned), "real", "holes", double=True)

    ml3 = {"": 18, "ai.onnx.ml": 3}
    yield Spec("IsolationForest", IsolationForest(n_estimators=10, max_samples=32, **SEEDED), opset=ml3)
    yield Spec("IsolationForest_contamination", IsolationForest(n_estimators=12, contamination=0.2, **SEEDED), opset=ml3)
    yield Spec("IsolationForest_samples", IsolationForest(n_estimators=8, **SEEDED), answers=with_samples, options={"score_samples": True}, opset=ml3)
    yield Spec("RandomTreesEmbedding", RandomTreesEmbedding(n_estimators=5, max_depth=3, sparse_output=False, **SEEDED))
