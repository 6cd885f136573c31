"""Forty pipelines over mixed columns and text."""

import numpy as np
import pandas as pd
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectFromModel, SelectKBest, VarianceThreshold, f_classif
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    ElasticNet,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    SGDClassifier,
)
from sklearn.mixture import GaussianMixture
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, SVR, LinearSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier

from column_cases import column_table
from fixture import SEED
from zoo_rows import FrameSpec
from zoo_text import sentences

SEEDED = {"random_state": SEED}
KINDS = {"age": "float32", "income": "float32", "visits": "int64", "plan": "string", "city": "string"}
NUMBERS = ["age", "income"]
CATEGORIES = ["plan", "city"]


def table(count, stream):
    frame, z = column_table(count, stream + 6)
    frame["review"] = sentences(count, stream + 6)
    z = z + frame.review.str.count("great|bright|fast") - frame.review.str.count("broken|late|slow")
    return frame, z.to_numpy()


def filled(*rest):
    return make_pipeline(SimpleImputer(strategy="median"), *rest)


def columns(*rest, numbers=None, categories=None, count=None, text=None, remainder="drop"):
    """Numbers, categories, the count and the text, each with its own transformers."""
    parts = [("numbers", numbers if numbers is not None else filled(StandardScaler()), NUMBERS)]
    parts.append(("categories", categories if categories is not None else OneHotEncoder(handle_unknown="ignore"), CATEGORIES))
    if count is not None:
        parts.append(("count", count, ["visits"]))
    if text is not None:
        parts.append(("text", text, "review"))
    return make_pipeline(ColumnTransformer(parts, remainder=remainder), *rest)


def specs():
    train, z = table(400, 0)
    rows, _ = table(90, 1)
    rows.loc[::17, "city"] = "never seen"
    rows.loc[5::23, "plan"] = "PRO"
    rows.loc[3::29, "review"] = ""
    two = np.array(["stays", "leaves"], object)[(z > 0).astype(int)]
    three = np.digitize(z, np.quantile(z, [0.3, 0.7])).astype(np.int64)
    both = np.stack([z, train.visits - z], axis=1)
    forest = {"max_depth": 5, **SEEDED}
    known = {"handle_unknown": "use_encoded_value", "unknown_value": -1}
    words = lambda **rest: TfidfVectorizer(**rest)
    trees = {"numbers": SimpleImputer(), "categories": OrdinalEncoder(**known)}

    def spec(name, model, y, text=False, **rest):
        used = {**KINDS, **({"review": "string"} if text else {})}
        used = {n: k for n, k in used.items() if n != "visits" or rest.pop("count", False)}
        return FrameSpec(f"pipeline_{name}", model, train[list(used)], y, rows[list(used)], used, **rest)

    yield spec("logistic", columns(LogisticRegression(max_iter=300)), two)
    yield spec("logistic_zipmap", columns(LogisticRegression(max_iter=300)), two, zipmap=True)
    yield spec("logistic_three", columns(LogisticRegression(max_iter=300), count=StandardScaler()), three, count=True)
    yield spec("sgd", columns(SGDClassifier(loss="log_loss", **SEEDED), count=MinMaxScaler()), two, count=True)
    yield spec("linear_machine", columns(LinearSVC(**SEEDED)), three)
    yield spec("machine", columns(SVC(probability=True, **SEEDED)), two)
    yield spec("machine_regression", columns(SVR()), z)
    yield spec("ridge", columns(Ridge(), numbers=filled(RobustScaler())), z)
    yield spec("elastic", columns(ElasticNet(0.01), numbers=filled(PowerTransformer())), z)
    yield spec("poisson", columns(PoissonRegressor(max_iter=300)), np.abs(z))
    yield spec("polynomial", columns(LinearRegression(), numbers=filled(StandardScaler(), PolynomialFeatures(2, include_bias=False))), z)
    yield spec("quantiles", columns(LogisticRegression(max_iter=300), numbers=filled(QuantileTransformer(n_quantiles=20, **SEEDED))), two)
    yield spec("bins", columns(LogisticRegression(max_iter=300), numbers=filled(KBinsDiscretizer(4, encode="onehot-dense"))), two)
    yield spec("principal", columns(PCA(4, svd_solver="full"), LogisticRegression(), categories=OneHotEncoder(handle_unknown="ignore", sparse_output=False)), two)
    yield spec("forest", columns(RandomForestClassifier(12, **forest), **trees), two)
    yield spec("forest_zipmap", columns(RandomForestClassifier(12, **forest), **trees), three, zipmap=True)
    yield spec("forest_regression", columns(RandomForestRegressor(12, **forest), **trees), z)
    yield spec("extra_trees", columns(ExtraTreesRegressor(12, **forest), **trees), both)
    yield spec("boosting", columns(GradientBoostingClassifier(n_estimators=15, **SEEDED), **trees), three)
    yield spec("boosting_regression", columns(GradientBoostingRegressor(n_estimators=15, **SEEDED), **trees), z)
    yield spec("histogram", columns(HistGradientBoostingClassifier(max_iter=15, **SEEDED), numbers="passthrough", categories=OrdinalEncoder(**known)), two)
    yield spec("histogram_regression", columns(HistGradientBoostingRegressor(max_iter=15, **SEEDED), numbers="passthrough", categories=OrdinalEncoder(**known)), z)
    yield spec("adaptive", columns(AdaBoostClassifier(DecisionTreeClassifier(max_depth=2), n_estimators=6, **SEEDED), **trees), two)
    yield spec("bagging", columns(BaggingClassifier(DecisionTreeClassifier(max_depth=4), n_estimators=5, **SEEDED), **trees), three)
    yield spec("neighbors", columns(KNeighborsClassifier()), two)
    yield spec("neighbors_regression", columns(KNeighborsRegressor(weights="distance")), z)
    yield spec("bayes", columns(GaussianNB(), categories=OneHotEncoder(handle_unknown="ignore", sparse_output=False)), three)
    yield spec("network", columns(MLPClassifier((12,), max_iter=80, **SEEDED)), three)
    yield spec("network_regression", columns(MLPRegressor(hidden_layer_sizes=(12,), max_iter=80, **SEEDED)), z)
    yield spec("selection", columns(SelectKBest(f_classif, k=5), LogisticRegression()), two)
    yield spec("selection_by_model", columns(SelectFromModel(LogisticRegression()), GradientBoostingClassifier(n_estimators=10, **SEEDED)), two)
    yield spec("calibrated", columns(CalibratedClassifierCV(LinearSVC(**SEEDED), cv=3)), two)
    yield spec("one_against_rest", columns(OneVsRestClassifier(LogisticRegression())), three)
    parts = [("l", LogisticRegression(max_iter=300)), ("t", DecisionTreeClassifier(max_depth=4, **SEEDED))]
    yield spec("voting", columns(VotingClassifier(parts, voting="soft", flatten_transform=False)), two)
    yield spec("stacking", columns(StackingClassifier(parts, LogisticRegression(), cv=3)), two)
    yield spec("two_targets", columns(MultiOutputRegressor(Ridge())), both)
    yield spec("outliers", columns(OneClassSVM(nu=0.1)), None)
    yield spec("outliers_forest", columns(IsolationForest(n_estimators=10, max_samples=64, **SEEDED)), None, opset={"": 18, "ai.onnx.ml": 3})
    yield spec("passthrough", columns(GradientBoostingRegressor(n_estimators=10, **SEEDED), remainder="passthrough", **trees), z, count=True)
    yield spec("transformer", columns(count=StandardScaler()), None, count=True)
    yield spec("binarized", columns(LogisticRegression(), numbers=filled(Binarizer(threshold=40)), count=MaxAbsScaler()), two, count=True)
    yield spec("normalized", columns(LogisticRegression(), numbers=filled(StandardScaler(), Normalizer())), two)
    union = FeatureUnion([("s", StandardScaler()), ("b", KBinsDiscretizer(3, encode="onehot-dense"))])
    yield spec("union", columns(VarianceThreshold(), LogisticRegression(), numbers=filled(union)), two)

    # Columns and a text beside them.
    yield spec("text_only", make_pipeline(ColumnTransformer([("t", words(), "review")]), LogisticRegression()), two, text=True)
    yield spec("text_logistic", columns(LogisticRegression(max_iter=300), text=words()), two, text=True)
    yield spec("text_zipmap", columns(LogisticRegression(max_iter=300), text=words(ngram_range=(1, 2))), three, text=True, zipmap=True)
    yield spec("text_counts", columns(LogisticRegression(max_iter=300), text=CountVectorizer(binary=True)), two, text=True)
    yield spec("text_ridge", columns(Ridge(), count=StandardScaler(), text=words(sublinear_tf=True)), z, text=True, count=True)
    yield spec("text_sgd", columns(SGDClassifier(**SEEDED), text=words()), three, text=True)
    yield spec("text_svd", columns(LogisticRegression(), text=make_pipeline(words(), TruncatedSVD(5, **SEEDED))), two, text=True)
    yield spec("text_forest", columns(RandomForestClassifier(10, **forest), text=CountVectorizer(max_features=15), **trees), two, text=True)
    yield spec("text_boosting", columns(GradientBoostingRegressor(n_estimators=10, **SEEDED), text=words(max_features=20), **trees), z, text=True)
    yield spec("text_machine", columns(LinearSVC(**SEEDED), text=words()), two, text=True)
    yield spec("text_network", columns(MLPClassifier((8,), max_iter=60, **SEEDED), text=words(max_features=30)), two, text=True)
    yield spec("text_selected", columns(SelectKBest(f_classif, k=10), LogisticRegression(), text=words()), two, text=True)
    yield spec("text_letters", columns(LogisticRegression(), text=words(analyzer="char", ngram_range=(2, 2))), two, text=True)
