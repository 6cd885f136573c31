#!/usr/bin/env python3
"""Writes the article SupportedModels from what the conformance run found.

    python supported_models.py [--check]

Reads <zoo>/results/<family>.tsv, a line a case: what it is about, its name, verdict, largest difference, reason; and
<zoo>/sklearn/converters.tsv. --check fails where the article that is there says something else.
"""

import collections
import importlib.metadata
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ZOO = pathlib.Path(os.environ.get("ROWCAST_ZOO") or ROOT / ".data" / "zoo")
ARTICLE = ROOT / "Sources" / "Inference" / "Inference.docc" / "SupportedModels.md"

HEAD = """# Supported models

What the engine reads, and how near it comes to the library that trained the model.

## Overview

The conformance run (`make conformance`) writes this page. A case is a model made by its own library, with ordinary rows and rows at the
edges: zeros of both signs, subnormal and huge numbers, values on thresholds, missing values and unknown categories where
the model takes them. The difference is the largest |ours - theirs| / max(|theirs|, 1) over all rows and outputs; labels are equal.

- **yes**: every case agrees with the library that trained the model: within {tolerance}.
- **as ONNX Runtime**: in some cases the exported graph itself computes something else than the library; there we agree with
  ONNX Runtime on the same file, or come nearer to the library than it does.
- **no**: refused when the model is loaded, with the reason that stands here.
"""

SECTIONS = {
    "sklearn": ("scikit-learn, through skl2onnx", "Estimator", ("scikit-learn", "skl2onnx", "onnxruntime"), "1e-5"),
    "lightgbm": ("LightGBM", "Model", ("lightgbm",), "1e-12"),
    "xgboost": ("XGBoost", "Model", ("xgboost",), "1e-6"),
    "catboost": ("CatBoost", "Model", ("catboost",), "1e-6"),
    "operators": ("Operators of ai.onnx.ml against ONNX Runtime", "Operator", ("onnxruntime",), "1e-5"),
    "onnx": ("ONNX's own backend tests", "Operator", ("onnx",), None),
}


def results(family):
    """Cases by what they are about; empty where the family was not run."""
    path = ZOO / "results" / f"{family}.tsv"
    found = collections.defaultdict(list)
    if path.exists():
        for line in path.read_text().splitlines():
            about, name, verdict, difference, reason = line.split("\t")
            found[about].append((name, verdict, difference, reason))
    return found


def plain(text):
    return text.replace("|", "\\|").replace("<", "&lt;")


def row(about, cases):
    verdicts = collections.Counter(verdict for _, verdict, _, _ in cases)
    worst = max((float(d) for _, v, d, _ in cases if v == "agrees" and d != "-"), default=None)
    reasons = sorted({reason for _, verdict, _, reason in cases if verdict in ("refused", "differs")})
    refused = verdicts["refused"] + verdicts["differs"]
    if refused == len(cases):
        verdict = "no"
    elif refused:
        verdict = f"{len(cases) - refused} of {len(cases)}"
    elif verdicts["onnxruntime"] == len(cases):
        verdict = "as ONNX Runtime"
    elif verdicts["onnxruntime"]:
        verdict = f"yes; {verdicts['onnxruntime']} as ONNX Runtime"
    else:
        verdict = "yes"
    difference = "0" if worst == 0 else "-" if worst is None else f"{worst:.0e}".replace("e-0", "e-")
    return f"| {plain(about)} | {len(cases)} | {verdict} | {difference} | {plain('; '.join(reasons))} |"


def table(head, found):
    lines = [f"| {head} | Cases | Supported | Largest difference | Why not |", "| --- | --- | --- | --- | --- |"]
    return lines + [row(about, found[about]) for about in sorted(found, key=str.lower)]


def sums(found):
    # A case of several operators stands once for each of them.
    verdicts = {name: verdict for cases in found.values() for name, verdict, _, _ in cases}
    counts = collections.Counter(verdicts.values())
    parts = [f"{counts['agrees']} agree"]
    if counts["onnxruntime"]:
        parts.append(f"{counts['onnxruntime']} are as near as ONNX Runtime")
    parts.append(f"{counts['refused']} are refused by name")
    parts.append(f"{counts['differs']} differ")
    return f"{sum(counts.values())} cases: {', '.join(parts)}."


def not_converted():
    path = ZOO / "sklearn" / "converters.tsv"
    if not path.exists():
        return []
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    missing = [(name, reason) for name, count, reason in lines if count == "0"]
    if not missing:
        return []
    return ["", "skl2onnx writes no ONNX file of these:", ""] + [f"- {name}: {plain(reason)}" for name, reason in missing]


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "?"


def article():
    tolerances = ", ".join(f"{limit} for {title.split(',')[0]}" for title, _, _, limit in SECTIONS.values() if limit)
    lines = [HEAD.format(tolerance=tolerances).rstrip("\n")]
    for family, (title, head, packages, _) in SECTIONS.items():
        found = results(family)
        if not found:
            continue
        versions = ", ".join(f"{package} {version(package)}" for package in packages)
        lines += ["", f"## {title}", "", f"{versions}. {sums(found)}", ""]
        lines += table(head, found)
        if family == "sklearn":
            lines += not_converted()
    return "\n".join(lines) + "\n"


def main():
    text = article()
    if "--check" in sys.argv[1:]:
        raise SystemExit(0 if ARTICLE.exists() and ARTICLE.read_text() == text else f"{ARTICLE} is not what was found")
    ARTICLE.write_text(text)
    print(f"{ARTICLE.relative_to(ROOT)} is written")


if __name__ == "__main__":
    main()
