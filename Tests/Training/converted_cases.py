"""Boosted models as ONNX, by way of onnxmltools: the truth is still the library that trained them."""

import lightgbm
import numpy as np
import onnxmltools
import onnxruntime
import xgboost
from onnxmltools.convert.common.data_types import FloatTensorType

from boosting_rows import holes
from data import BINARY, SIGNAL, TEST, THREE, TRAIN, WIDTH
from fixture import SEED, Feature
from onnx_case import finish, label, per_class, scale_of, score

# The converter rounds LightGBM's thresholds to 32 bits, so rows on a threshold may fall to the other side: none are here.
TYPES = [("X", FloatTensorType([None, WIDTH]))]


def converted():
    rows = holes(TEST[:150], 0.1, 50)
    rows[0] = np.nan
    train = holes(TRAIN, 0.08, 51)
    common = {"n_estimators": 10, "learning_rate": 0.2, "random_state": SEED, "n_jobs": 1}
    releases = {"lightgbm": lightgbm.__version__, "xgboost": xgboost.__version__}
    versions = {"onnxmltools": onnxmltools.__version__, "onnxruntime": onnxruntime.__version__}
    for name, model, y in (
        ("onnx_lightgbm_binary", lightgbm.LGBMClassifier(num_leaves=12, verbose=-1, **common), BINARY),
        ("onnx_lightgbm_multiclass", lightgbm.LGBMClassifier(num_leaves=8, verbose=-1, **common), THREE),
        ("onnx_lightgbm_regressor", lightgbm.LGBMRegressor(num_leaves=12, verbose=-1, **common), SIGNAL),
        ("onnx_xgboost_binary", xgboost.XGBClassifier(max_depth=3, **common), BINARY),
        ("onnx_xgboost_multiclass", xgboost.XGBClassifier(max_depth=3, **common), THREE),
        ("onnx_xgboost_regressor", xgboost.XGBRegressor(max_depth=3, **common), SIGNAL),
    ):
        library = name.split("_")[1]
        is_xgboost = library == "xgboost"
        X = rows.astype(np.float32) if is_xgboost else rows
        model.fit(train.astype(np.float32) if is_xgboost else train, y)
        convert = onnxmltools.convert_xgboost if is_xgboost else onnxmltools.convert_lightgbm
        options = {} if is_xgboost or "regressor" in name else {"zipmap": False}
        exported = convert(model, initial_types=TYPES, target_opset=15, **options)
        if "regressor" in name:
            Y = np.asarray(model.predict(X), np.float64)
            outputs = score(Y, scale_of(Y))
        else:
            P = np.asarray(model.predict_proba(X), np.float64)
            outputs = [label(np.asarray(model.predict(X), np.int64))]
            outputs += per_class("probability", "probability", model.classes_, P)
        features = [
            Feature(f"X_{j}", "float32", list(rows[:, j].astype(np.float32)), "allowed") for j in range(WIDTH)
        ]
        finish(
            name,
            exported,
            {"X": rows.astype(np.float32)},
            features,
            [None] * len(rows),
            outputs,
            "converted by onnxmltools, missing values",
            library=library,
            versions=versions | {library: releases[library]},
        )
