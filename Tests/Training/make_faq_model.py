#!/usr/bin/env python3
"""Trains a matcher of questions and FAQ entries, and says what it gives: TF-IDF of both texts, then boosted trees.

    python make_faq_model.py ../../../shared/data/faq_matching_substitute/stackExchange-FAQ.json OUT
    python make_faq_model.py --made-up OUT

OUT gets model.onnx (inputs question and entry, both text), entries.tsv (entry_id, entry), questions.tsv (question_id, question,
entry_id that is right), expected.tsv (question_id, entry_id, probability, by the pipeline in Python) and metrics.json (top-1/2/3
accuracy, mean rank; of equal ones the worst place counts). Of each entry's paraphrases three in ten are held out: they are the questions.

With --made-up the texts are the project's own: a few topics, said in different words. That model is small enough to be committed.
"""

import argparse
import json
import pathlib

import lightgbm
import numpy as np
from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
from skl2onnx import update_registered_converter
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import Pipeline

from fixture import SEED
from onnx_case import export, settle

TOPICS = {
    "How do I reset my password?": "forgot lost new change recover password login account",
    "How do I close my account?": "delete remove close cancel leave account profile membership",
    "Where is my order?": "track find late parcel package order delivery shipping",
    "How do I return an item?": "return send back refund item goods wrong broken",
    "Which cards can I pay with?": "pay card credit debit visa payment checkout",
    "How do I change my address?": "move new change update address street delivery",
    "Is my data safe?": "privacy data safe secure share personal information",
    "How do I contact support?": "talk call phone chat email support human help",
}
PHRASES = ["how do I {}", "{} please", "I want to {}", "can someone help me {}", "my problem is {}", "{}?"]


def made_up():
    random = np.random.default_rng(SEED)
    for entry, words in TOPICS.items():
        words = words.split()
        yield entry, [
            random.choice(PHRASES).format(" ".join(random.choice(words, random.integers(2, 5), replace=False)))
            for _ in range(60)
        ]


def threads(path):
    for thread in json.loads(path.read_text())["root"]["qapair"]:
        said = [text.strip() for text in thread["rephr"] if text and text.strip() not in ("", "*")]
        yield thread["question"].strip(), list(dict.fromkeys(said))


def split(pairs):
    random = np.random.default_rng([SEED, 5])
    entries, learn, ask = [], [], []
    for number, (entry, said) in enumerate(pairs):
        order = random.permutation(len(said))
        held = len(said) * 3 // 10
        entries.append(entry)
        ask += [(said[i], number) for i in order[:held]]
        learn += [(said[i], number) for i in order[held:]] + [(entry, number)]
    return entries, learn, ask


def pipeline(trees, leaves):
    text = lambda: TfidfVectorizer(min_df=2, dtype=np.float32)
    return Pipeline(
        [
            ("texts", ColumnTransformer([("question", text(), 0), ("entry", TfidfVectorizer(dtype=np.float32), 1)])),
            (
                "trees",
                lightgbm.LGBMClassifier(
                    n_estimators=trees,
                    num_leaves=leaves,
                    min_child_samples=3,
                    random_state=SEED,
                    n_jobs=1,
                    deterministic=True,
                    force_col_wise=True,
                    verbose=-1,
                ),
            ),
        ]
    )


def tsv(path, rows):
    path.write_text("".join("\t".join(str(v).replace("\t", " ").replace("\n", " ") for v in row) + "\n" for row in rows))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="?", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--made-up", action="store_true")
    arguments = parser.parse_args()
    small = arguments.made_up
    entries, learn, ask = split(made_up() if small else threads(arguments.data))

    # Each question that is learnt with its own entry and some others.
    random = np.random.default_rng([SEED, 6])
    X, y = [], []
    for text, own in learn:
        for other in [own, *random.choice(len(entries), 3 if small else 24, replace=False)]:
            if other != own or not X or X[-1] != [text, entries[own]]:
                X.append([text, entries[other]])
                y.append(int(other == own))
    model = pipeline(*((60, 12) if small else (300, 31))).fit(np.array(X, object), np.array(y))

    update_registered_converter(
        lightgbm.LGBMClassifier,
        "LightGbmLGBMClassifier",
        calculate_linear_classifier_output_shapes,
        convert_lightgbm,
        options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
    )
    vectorizers = [model["texts"].named_transformers_[name] for name in ("question", "entry")]
    options = {id(model): {"zipmap": False}} | {id(v): {"locale": "C"} for v in vectorizers}
    exported = export(
        model,
        [("question", "string", 1), ("entry", "string", 1)],
        options=options,
        opset={"": 17, "ai.onnx.ml": 3},
    )
    settle(exported, "faq")

    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    (out / "model.onnx").write_bytes(exported.SerializeToString())
    tsv(out / "entries.tsv", enumerate(entries))
    tsv(out / "questions.tsv", ((i, text, own) for i, (text, own) in enumerate(ask)))

    every = np.array([[text, entry] for text, _ in ask for entry in entries], object)
    P = model.predict_proba(every)[:, 1].reshape(len(ask), len(entries))
    tsv(
        out / "expected.tsv",
        ((i, j, repr(float(np.float32(P[i, j])))) for i in range(len(ask)) for j in range(len(entries))),
    )
    # In single precision, as the exported model gives them: then equal probabilities are equal here too.
    P = P.astype(np.float32)
    own = P[np.arange(len(ask)), [number for _, number in ask]]
    rank = (P >= own[:, None]).sum(axis=1)
    metrics = {f"top_{k}": float((rank <= k).mean()) for k in (1, 2, 3)} | {"mean_rank": float(rank.mean())}
    (out / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    print(f"{len(entries)} entries, {len(learn)} learnt, {len(ask)} asked, {len(y)} pairs, model of "
          f"{(out / 'model.onnx').stat().st_size:,} bytes: {metrics}")


if __name__ == "__main__":
    main()
