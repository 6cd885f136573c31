"""Scalers, encoders, imputers, decompositions and selections."""

import numpy as np
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import PCA, IncrementalPCA, KernelPCA, TruncatedSVD
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import (
    RFE,
    RFECV,
    GenericUnivariateSelect,
    SelectFdr,
    SelectFpr,
    SelectFromModel,
    SelectFwe,
    SelectKBest,
    SelectPercentile,
    VarianceThreshold,
    chi2,
    f_classif,
    f_regression,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    KernelCenterer,
    LabelBinarizer,
    LabelEncoder,
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
    TargetEncoder,
)
from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection

from fixture import SEED
from zoo_rows import DATA, TARGETS, Spec, dense

SEEDED = {"random_state": SEED}


class LabelSpec(Spec):
    """Estimators that are fitted to labels and transform those."""

    def prepare(self):
        y = TARGETS[self.target]
        self.model.fit(y)
        kind = "string" if y.dtype == object else "int64"
        return [("X", kind, y[:80, None])], [dense(self.model.transform(y[:80]))]


class KernelSpec(Spec):
    """KernelCenterer: reads the kernel of a row and the rows of training."""

    def prepare(self):
        train, rows = (X.astype(np.float64) for X in DATA["scaled"]())
        train = train[:20]
        self.model.fit(train @ train.T)
        seen = (rows @ train.T).astype(np.float32)
        return [("X", "float32", seen)], [self.model.transform(seen.astype(np.float64))]


def scalers():
    for cls, rest in (
        (StandardScaler, {}),
        (MinMaxScaler, {}),
        (MaxAbsScaler, {}),
        (RobustScaler, {}),
        (Normalizer, {}),
        (Binarizer, {"threshold": 0.5}),
        (PolynomialFeatures, {}),
    ):
        # Subnormal rows have no length for scikit-learn, and have one for ONNX.
        data = "scaled" if cls is Normalizer else "tame"
        yield Spec(cls.__name__, cls(**rest), data=data)
        if cls is not PolynomialFeatures:  # skl2onnx puts floats and doubles into one Concat.
            yield Spec(f"{cls.__name__}_double", cls(**rest), data=data, double=True)
        if cls not in (Normalizer, Binarizer):
            yield Spec(f"{cls.__name__}_integers", cls(**rest), data="integers")
    yield Spec("StandardScaler_mean", StandardScaler(with_std=False))
    yield Spec("StandardScaler_deviation", StandardScaler(with_mean=False))
    yield Spec("MinMaxScaler_clip", MinMaxScaler((-1, 2), clip=True))
    yield Spec("RobustScaler_center", RobustScaler(with_scaling=False))
    yield Spec("RobustScaler_quantiles", RobustScaler(quantile_range=(10, 90), unit_variance=True))
    yield Spec("Normalizer_l1", Normalizer("l1"), data="scaled")
    yield Spec("Normalizer_max", Normalizer("max"), data="above zero")
    yield Spec("PolynomialFeatures_3", PolynomialFeatures(3, include_bias=False), data="scaled")
    yield Spec("PolynomialFeatures_interaction", PolynomialFeatures(3, interaction_only=True), data="scaled")
    yield Spec("PowerTransformer", PowerTransformer(), data="tame")
    yield Spec("PowerTransformer_plain", PowerTransformer(standardize=False), data="tame")
    yield Spec("PowerTransformer_box_cox", PowerTransformer("box-cox"), data="above zero")
    yield Spec("QuantileTransformer", QuantileTransformer(n_quantiles=20, **SEEDED), data="tame")
    for encode in ("ordinal", "onehot-dense"):
        for strategy in ("uniform", "quantile", "kmeans"):
            settings = {"n_bins": 4, "encode": encode, "strategy": strategy, **SEEDED}
            yield Spec(f"KBinsDiscretizer_{strategy}_{encode}".replace("-", "_"), KBinsDiscretizer(**settings), data="tame")
    yield Spec("FunctionTransformer", FunctionTransformer())
    yield KernelSpec("KernelCenterer", KernelCenterer())


def encoders():
    for data in ("words", "steps"):
        yield Spec(f"OneHotEncoder_{data}", OneHotEncoder(handle_unknown="ignore"), data=data)
        yield Spec(f"OneHotEncoder_{data}_dense", OneHotEncoder(sparse_output=False), data=data)
        yield Spec(f"OneHotEncoder_{data}_first", OneHotEncoder(drop="first"), data=data)
        yield Spec(f"OneHotEncoder_{data}_binary", OneHotEncoder(drop="if_binary"), data=data)
        yield Spec(f"OrdinalEncoder_{data}", OrdinalEncoder(), data=data)
        yield Spec(f"OrdinalEncoder_{data}_unknown", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), data=data)
        yield Spec(f"OrdinalEncoder_{data}_rare", OrdinalEncoder(min_frequency=40), data=data)
        yield Spec(f"TargetEncoder_{data}", TargetEncoder(**SEEDED), "two", data)
        yield Spec(f"TargetEncoder_{data}_real", TargetEncoder(target_type="continuous", **SEEDED), "real", data)
    yield Spec("OneHotEncoder_floats", OneHotEncoder(handle_unknown="ignore"), data="counts")
    yield Spec("OrdinalEncoder_floats", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), data="counts")
    for y in ("two", "three", "strings"):
        yield LabelSpec(f"LabelEncoder_{y}", LabelEncoder(), y)
        yield LabelSpec(f"LabelBinarizer_{y}", LabelBinarizer(), y)
    yield LabelSpec("LabelBinarizer_signs", LabelBinarizer(neg_label=-1, pos_label=2), "three")


def imputers():
    for strategy in ("mean", "median", "most_frequent", "constant"):
        yield Spec(f"SimpleImputer_{strategy}", SimpleImputer(strategy=strategy), data="holes")
        yield Spec(f"SimpleImputer_{strategy}_double", SimpleImputer(strategy=strategy), data="holes", double=True)
    yield Spec("SimpleImputer_zeros", SimpleImputer(missing_values=0.0), data="counts")
    yield Spec("SimpleImputer_words", SimpleImputer(missing_values="", strategy="most_frequent"), data="words")
    yield Spec("SimpleImputer_words_constant", SimpleImputer(missing_values="", strategy="constant", fill_value="none"), data="words")


def decompositions():
    yield Spec("PCA", PCA(3, svd_solver="full"), data="tame")
    yield Spec("PCA_whiten", PCA(3, whiten=True, svd_solver="full"), data="tame")
    yield Spec("PCA_double", PCA(3, svd_solver="full"), data="tame", double=True)
    yield Spec("IncrementalPCA", IncrementalPCA(3), data="tame")
    yield Spec("IncrementalPCA_whiten", IncrementalPCA(3, whiten=True), data="tame")
    yield Spec("TruncatedSVD", TruncatedSVD(3, **SEEDED), data="tame")
    yield Spec("TruncatedSVD_double", TruncatedSVD(3, **SEEDED), data="tame", double=True)
    for kernel in ("linear", "poly", "rbf", "sigmoid", "cosine"):
        yield Spec(f"KernelPCA_{kernel}", KernelPCA(3, kernel=kernel, gamma=0.1, eigen_solver="dense"), data="scaled", double=True)
    yield Spec("KernelPCA_float", KernelPCA(3, kernel="rbf", gamma=0.1, eigen_solver="dense"), data="scaled")
    yield Spec("GaussianRandomProjection", GaussianRandomProjection(3, **SEEDED), data="tame")
    yield Spec("GaussianRandomProjection_double", GaussianRandomProjection(3, **SEEDED), data="tame", double=True)
    yield Spec("SparseRandomProjection", SparseRandomProjection(3, dense_output=True, **SEEDED), data="tame")
    yield Spec("PLSRegression", PLSRegression(2), "real", "tame")
    yield Spec("PLSRegression_two_targets", PLSRegression(2, scale=False), "reals", "tame")


def selections():
    yield Spec("SelectKBest", SelectKBest(f_classif, k=3), "three")
    yield Spec("SelectKBest_chi2", SelectKBest(chi2, k=2), "three", "counts")
    yield Spec("SelectKBest_words", make_pipeline(OneHotEncoder(), SelectKBest(chi2, k=4)), "three", "words", about="SelectKBest")
    yield Spec("SelectKBest_integers", SelectKBest(f_classif, k=2), "three", "integers")
    yield Spec("SelectPercentile", SelectPercentile(f_regression, percentile=50), "real")
    yield Spec("SelectFpr", SelectFpr(f_regression), "real")
    yield Spec("SelectFdr", SelectFdr(f_regression), "real")
    yield Spec("SelectFwe", SelectFwe(f_regression), "real")
    yield Spec("GenericUnivariateSelect", GenericUnivariateSelect(f_regression, mode="k_best", param=2), "real")
    yield Spec("VarianceThreshold", VarianceThreshold(1.5))
    yield Spec("RFE", RFE(LinearRegression(), n_features_to_select=3), "real", answers=lambda m, X: [m.transform(X)])
    yield Spec("RFECV", RFECV(LinearRegression(), cv=3), "real", answers=lambda m, X: [m.transform(X)])
    yield Spec("SelectFromModel", SelectFromModel(LogisticRegression(), threshold="mean"), "two")
    yield Spec("SelectFromModel_trees", SelectFromModel(RandomForestClassifier(8, **SEEDED), max_features=2), "three", double=True)


def specs():
    yield from scalers()
    yield from encoders()
    yield from imputers()
    yield from decompositions()
    yield from selections()
