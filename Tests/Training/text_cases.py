"""Texts: n-grams of words and characters, Unicode, and models that take them beside other columns."""

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fixture import SEED, Feature
from onnx_case import TOLERANCE, export, finish, label, per_class, score

WORDS = (
    "order invoice refund late broken great terrible value price shipping red green blue a I x1 42 2024 not_found "
    "Case UPPER mixedCase naïve café CAFÉ Straße STRASSE über ÜBER Ærø mañana Ωmega ΟΔΥΣΣΕΥΣ οδός Σ İstanbul ısı "
    "файл ФАЙЛ 東京 東京都 نص עברית हिन्दी ١٢٣ Ⅷ ½ x² e\u0301te ʼn K"
).split()
MARKS = [" ", " ", " ", " ", ", ", ". ", " - ", "! ", "\t", " 😀 ", " 👩‍👩‍👧 ", "'", "/", "\u00a0", " – "]
EDGES = [
    "",
    " ",
    "?!",
    "a",
    "unseen words only",
    "great",
    "GREAT Great great",
    "don't re-do it's",
    "ΑΣ ΑΣΑ Σ",
    "İ I i ı",
    "e\u0301te ete été",
    "🎉🎉 great 🎉",
    "price" * 60,
    "great " * 90,
    "\ufeffgreat",
    "great\u200dgreat",
]


def sentences(count, stream, words=WORDS, marks=MARKS):
    random = np.random.default_rng(SEED + 300 + stream)
    pick = lambda list: list[int(random.integers(len(list)))]
    return ["".join(pick(words) + pick(marks) for _ in range(random.integers(1, 14))) for _ in range(count)]


def judged(texts):
    good = np.array([sum(t.lower().count(w) for w in ("great", "value", "café", "東京")) for t in texts])
    bad = np.array([sum(t.lower().count(w) for w in ("broken", "late", "файл", "naïve")) for t in texts])
    return good - bad


def text_case(name, vectorizer, model, tokenexp, description, train, rows):
    """One text column; its last row is NULL. `tokenexp` is what the file says where it is not the vectoriser's own."""
    y = judged(train)
    is_regression = isinstance(model, Ridge)
    pipeline = make_pipeline(vectorizer, model).fit(train, y if is_regression else np.sign(y) + 1)
    if is_regression:
        outputs = score(pipeline.predict(rows))
    elif hasattr(model, "predict_proba"):
        P = pipeline.predict_proba(rows)
        rows = [row for row, p in zip(rows, np.sort(P)) if p[-1] - p[-2] > 1e-5]
        P = pipeline.predict_proba(rows)
        outputs = [label(pipeline.predict(rows).astype(np.int64))]
        outputs += per_class("probability", "probability", [int(c) for c in pipeline.classes_], P)
    else:
        raise SystemExit(name)
    options = {id(pipeline): {"zipmap": False}} if not is_regression else {}
    options[id(vectorizer)] = {"locale": "C"} | ({"tokenexp": tokenexp} if tokenexp else {})
    exported = export(pipeline, [("text", "string", 1)], options=options)
    finish(
        name,
        exported,
        {"text": np.array(rows, object)[:, None]},
        [Feature("text", "string", [*rows, None], "refused")],
        [None] * len(rows) + ["missing"],
        outputs,
        description,
        TOLERANCE,
        "",
    )


def texts():
    train, rows = sentences(300, 0), sentences(90, 1) + EDGES
    classifier = LogisticRegression(max_iter=500)
    text_case(
        "text_words",
        TfidfVectorizer(ngram_range=(1, 2), token_pattern="[a-zA-Z0-9_]+"),
        classifier,
        None,
        "TF-IDF of words of ASCII and pairs of them",
        train,
        rows,
    )
    text_case(
        "text_unicode_words",
        TfidfVectorizer(token_pattern=r"(?u)\w+", norm="l1"),
        classifier,
        r"[\p{L}\p{N}_]+",
        "weights of words in any script over their sum; lower case as Python has it",
        train,
        rows,
    )
    text_case(
        "text_long_words",
        CountVectorizer(token_pattern=r"\b[a-z]\w\w+\b", binary=True, lowercase=False),
        classifier,
        r"\b[a-z][\p{L}\p{N}_][\p{L}\p{N}_]+\b",
        "whether words are there, cut by an expression that is more than a class",
        sentences(300, 2, [w for w in WORDS if w.isascii()], [" ", ", ", ". "]),
        sentences(90, 3, [w for w in WORDS if w.isascii()], [" ", ", ", ". "]),
    )
    plain = [" ", ", ", ". ", "-", " 😀 "]
    text_case(
        "text_characters",
        CountVectorizer(analyzer="char", ngram_range=(1, 2), max_features=300, min_df=2),
        Ridge(),
        None,
        "counts of one and two characters",
        sentences(120, 4, marks=plain),
        [t for t in sentences(90, 5, marks=plain) + EDGES if "  " not in t],
    )


def texts_beside_columns():
    """Text, category and number in one row; three classes."""

    def table(count, stream):
        random = np.random.default_rng(SEED + 320 + stream)
        frame = pd.DataFrame(
            {
                "note": sentences(count, 10 + stream),
                "plan": random.choice(np.array(["basic", "plus", "pro", "e\u0301te", "été"], object), count),
                "age": np.round(random.uniform(18, 90, count)).astype(np.float32),
            }
        )
        return frame, np.sign(judged(frame.note) + (frame.plan == "pro") - (frame.age > 60)).astype(np.int64) + 1

    train, y = table(400, 0)
    rows, _ = table(110, 1)
    rows.loc[::17, "plan"] = "never seen"
    pipeline = make_pipeline(
        ColumnTransformer(
            [
                ("note", TfidfVectorizer(token_pattern="[a-zA-Z0-9_]+"), "note"),
                ("age", StandardScaler(), ["age"]),
                ("plan", OneHotEncoder(handle_unknown="ignore"), ["plan"]),
            ]
        ),
        LogisticRegression(max_iter=500),
    ).fit(train, y)
    P = pipeline.predict_proba(rows)
    top = np.sort(P, axis=1)
    keep = top[:, -1] - top[:, -2] > 1e-5
    rows, P = rows[keep].reset_index(drop=True), P[keep]
    vectorizer = pipeline[0].named_transformers_["note"]
    kinds = {"note": "string", "plan": "string", "age": "float32"}
    exported = export(
        pipeline,
        [(n, k, 1) for n, k in kinds.items()],
        options={id(pipeline): {"zipmap": False}, id(vectorizer): {"locale": "C"}},
    )
    finish(
        "text_beside_columns",
        exported,
        {n: rows[[n]].to_numpy(object if k == "string" else k) for n, k in kinds.items()},
        [Feature(n, k, [*rows[n], None if n == "plan" else rows[n][0]], "refused") for n, k in kinds.items()],
        [None] * len(rows) + ["missing"],
        [label(pipeline.predict(rows))] + per_class("probability", "probability", pipeline.classes_, P),
        "a text, a category and a number in one row",
        TOLERANCE,
        "",
    )
