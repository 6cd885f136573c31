"""Named columns of several types, and matrices of integers and of doubles."""

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from data import SIGNAL, TEST, TRAIN, WIDTH, wide
from estimators import NO_ZIPMAP
from fixture import SEED, Feature, Output
from onnx_case import (
    TOLERANCE,
    edge_rows,
    export,
    finish,
    label,
    per_class,
    scale_of,
    score,
    without_ties,
)


def column_table(count, stream):
    random = np.random.default_rng(SEED + 40 + stream)
    frame = pd.DataFrame(
        {
            "age": np.round(random.uniform(18, 90, count), 0).astype(np.float32),
            "income": np.round(np.exp(random.normal(10, 0.6, count)), 2).astype(np.float32),
            "visits": random.integers(0, 30, count).astype(np.int64),
            "plan": random.choice(np.array(["basic", "plus", "pro"], object), count),
            "city": random.choice(np.array(["Zürich", "Köln", "São Paulo", "New York, NY", ""], object), count),
        }
    )
    z = (
        (frame.age - 50) / 20
        + (np.log(frame.income.astype(float)) - 10)
        - frame.visits / 15
        + (frame.plan == "pro") * 1.2
        - (frame.city == "Köln") * 0.8
        + random.normal(0, 0.4, count)
    )
    frame.loc[random.random(count) < 0.08, "age"] = np.nan
    frame.loc[random.random(count) < 0.08, "income"] = np.nan
    return frame, z


def columns():
    kinds = {"age": "float32", "income": "float32", "visits": "int64", "plan": "string", "city": "string"}
    train, z = column_table(800, 0)
    rows, _ = column_table(180, 1)
    y = np.array(["stays", "leaves"], object)[(z > 0).astype(int)]
    numeric = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    for name, unseen, zipmap in (
        ("columns_pipeline", "ignore", False),
        ("columns_pipeline_zipmap", "ignore", True),
        ("columns_pipeline_strict", "error", False),
    ):
        pipeline = make_pipeline(
            ColumnTransformer(
                [
                    ("numeric", numeric, ["age", "income"]),
                    ("count", StandardScaler(), ["visits"]),
                    ("category", OneHotEncoder(handle_unknown=unseen), ["plan", "city"]),
                ]
            ),
            LogisticRegression(max_iter=500),
        ).fit(train, y)
        table = rows.copy()
        if unseen == "ignore":
            table.loc[::19, "city"] = "never seen"
            table.loc[5::31, "plan"] = "PRO"
        P = pipeline.predict_proba(table)
        keep = np.abs(P[:, 0] - P[:, 1]) > 1e-5
        table, P = table[keep].reset_index(drop=True), P[keep]
        outputs = [label(pipeline.predict(table))] + per_class("probability", "probability", pipeline.classes_, P)
        model = export(
            pipeline, [(n, k, 1) for n, k in kinds.items()], options=None if zipmap else {id(pipeline): NO_ZIPMAP}
        )
        feeds = {n: table[[n]].to_numpy(object if k == "string" else k) for n, k in kinds.items()}
        values = {
            n: [None if k == "float32" and np.isnan(v) and i % 2 else v for i, v in enumerate(table[n])]
            for n, k in kinds.items()
        }
        failures = [None] * len(table)
        refused = [("visits", None, "missing")]
        if unseen == "error":
            refused += [("plan", "enterprise", "unseen_category"), ("city", "Oslo", "unseen_category")]
        for column, value, code in refused:
            for n in kinds:
                values[n].append(value if n == column else table[n][1])
            failures.append(code)
        features = [Feature(n, k, values[n], "allowed" if k == "float32" else "refused") for n, k in kinds.items()]
        finish(
            name,
            model,
            feeds,
            features,
            failures,
            outputs,
            f"imputer, scaler and one-hot encoder (handle_unknown={unseen}) on named columns",
            TOLERANCE,
            "",
        )


def other_inputs():
    """Matrices of integers and of doubles, and strings that become numbers."""
    random = np.random.default_rng(SEED + 60)
    whole = lambda count: random.integers(-20, 21, (count, 4)).astype(np.int64)
    train, X = whole(500), np.vstack([whole(120), np.zeros((1, 4), np.int64), np.full((1, 4), 1000)])
    y = (train @ np.array([1, -2, 0.5, 0]) + random.normal(0, 4, len(train)) > 0).astype(np.int64)
    for name, model in (
        ("integers_logistic", make_pipeline(StandardScaler(), LogisticRegression())),
        ("integers_random_forest", RandomForestClassifier(8, max_depth=4, random_state=SEED)),
    ):
        model.fit(train, y)
        rows = without_ties(X, model.predict_proba(X))
        P = model.predict_proba(rows)
        exported = export(model, [("counts", "int64", 4)], options={id(model): NO_ZIPMAP})
        features = [
            Feature(f"counts_{j}", "int64", [*rows[:, j], None if j == 2 else 1], "refused") for j in range(4)
        ]
        finish(
            name,
            exported,
            {"counts": rows},
            features,
            [None] * len(rows) + ["missing"],
            [label(model.predict(rows))] + per_class("probability", "probability", model.classes_, P),
            "a matrix of integers",
            TOLERANCE,
            "",
        )
    for name, model in (
        ("doubles_linear_regression", LinearRegression()),
        ("doubles_mlp", MLPRegressor(hidden_layer_sizes=(8,), max_iter=100, random_state=SEED)),
    ):
        scaled = make_pipeline(StandardScaler(), model).fit(wide(TRAIN), SIGNAL)
        rows = wide(edge_rows(TEST)) * (1 + 1e-9)
        exported = export(scaled, [("X", "float64", WIDTH)])
        features = [Feature(f"X_{j}", "float64", list(rows[:, j])) for j in range(WIDTH)]
        Y = scaled.predict(rows)
        finish(
            name,
            exported,
            {"X": rows},
            features,
            [None] * len(rows),
            [Output("score", "score", "float64", Y, floor=scale_of(Y))],
            "a matrix of doubles",
            TOLERANCE,
            "",
        )
    train, z = column_table(800, 2)
    rows, _ = column_table(150, 3)
    names = ["visits", "plan", "city"]
    kinds = {"visits": "float32", "plan": "string", "city": "string"}
    train, rows = (frame[names].astype({"visits": np.float32}) for frame in (train, rows))
    pipeline = make_pipeline(
        ColumnTransformer([("codes", OrdinalEncoder(), ["plan", "city"])], remainder="passthrough"),
        GradientBoostingRegressor(n_estimators=15, random_state=SEED),
    ).fit(train, z)
    exported = export(pipeline, [(n, k, 1) for n, k in kinds.items()])
    feeds = {n: rows[[n]].to_numpy(object if k == "string" else k) for n, k in kinds.items()}
    finish(
        "ordinal_pipeline",
        exported,
        feeds,
        [Feature(n, k, list(rows[n])) for n, k in kinds.items()],
        [None] * len(rows),
        score(pipeline.predict(rows)),
        "categories as numbers, then gradient boosting",
        TOLERANCE,
        "",
    )
