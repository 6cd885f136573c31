#!/usr/bin/env python3
"""Trains the demo's anomaly detectors, one for each of 3 devices x 5 sensors, and measures them on simulated faults.

    python make_demo_models.py

Writes deploy/demo/models/*.onnx, deploy/demo/manifest.json, deploy/demo/expected.csv and deploy/demo/README.md.
Each model is a StandardScaler and a one-class SVM (rbf), fitted to healthy readings only; its threshold is then moved so
that at most one healthy reading in 2,000 of a second sample is flagged. (Isolation forests were tried: on a single column
they give every reading beyond the training range the score of its edge, so no threshold tells spikes from the tail.)
"""

import json
import pathlib

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from fixture import SEED, float_text
from onnx_case import VERSIONS, columns_of, export, run_onnxruntime, settle
from simulator import ANOMALOUS_FROM, healthy, simulate

DEMO = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "demo"
DEVICES = ["press", "mill", "furnace"]
ALARM_RATE = 1 / 2000
SPIKE = {"probability": 0.002, "from": 7.0, "to": 14.0}
DRIFT = {"probability": 0.0001, "length": 150, "to": 12.0}


def sensors(device):
    """The five sensors of a device; devices differ in their normal levels."""
    k = device - 1
    stuck = lambda value, sigma: {"probability": 0.0001, "length": 40, "value": value, "sigma": sigma}
    return [
        {
            "name": "temperature",
            "unit": "°C",
            "decimals": 2,
            "dwell": 1.0,
            "modes": [{"weight": 1.0, "mean": 61.0 + 14 * k, "sigma": 1.1 + 0.3 * k}],
            "faults": {"spike": SPIKE, "drift": DRIFT},
        },
        {
            "name": "current",
            "unit": "A",
            "decimals": 2,
            "dwell": 0.98,
            "modes": [
                {"weight": 0.35, "mean": 2.4 + 0.5 * k, "sigma": 0.15},
                {"weight": 0.65, "mean": 11.8 + 2 * k, "sigma": 0.45},
            ],
            "faults": {"spike": SPIKE, "drift": DRIFT, "stuck": stuck(6.8 + k, 0.1)},
        },
        {
            "name": "vibration",
            "unit": "mm/s",
            "decimals": 3,
            "dwell": 1.0,
            "modes": [{"weight": 1.0, "mean": 2.8 + 0.6 * k, "sigma": 0.22 + 0.05 * k}],
            "faults": {"spike": SPIKE, "drift": DRIFT},
        },
        {
            "name": "pressure",
            "unit": "bar",
            "decimals": 3,
            "dwell": 0.99,
            "modes": [
                {"weight": 0.5, "mean": 1.0, "sigma": 0.02},
                {"weight": 0.5, "mean": 5.5 + 0.7 * k, "sigma": 0.12},
            ],
            "faults": {"spike": SPIKE, "drift": DRIFT, "stuck": stuck(3.2 + 0.3 * k, 0.02)},
        },
        {
            "name": "humidity",
            "unit": "%",
            "decimals": 1,
            "dwell": 1.0,
            "modes": [{"weight": 1.0, "mean": 44.0 - 5 * k, "sigma": 1.8}],
            "faults": {"spike": SPIKE, "drift": DRIFT},
        },
    ]


def wide(values):
    return np.asarray(values, np.float64).reshape(-1, 1)


def fit(sensor, random):
    """A pipeline fitted to healthy readings, its threshold set on others."""
    train, second = healthy(sensor, 3000, random), healthy(sensor, 20000, random)
    gamma = 3.0 if len(sensor["modes"]) == 1 else 40.0
    detector = OneClassSVM(kernel="rbf", nu=0.01, gamma=gamma)
    model = make_pipeline(StandardScaler(), detector).fit(wide(train))
    detector.offset_ = detector.offset_ + float(np.quantile(model.decision_function(wide(second)), ALARM_RATE))
    # Divided by the sum of its coefficients, a decision is a mean of kernels less a threshold: the same labels, and
    # 32-bit parameters are exact enough for six digits after the point.
    total = detector.dual_coef_.sum()
    detector.dual_coef_ = detector._dual_coef_ = detector.dual_coef_ / total
    detector.offset_ = detector.offset_ / total
    detector.intercept_ = detector._intercept_ = np.array(-detector.offset_).reshape(-1)
    return model


def quality(model, sensor, random):
    """What the model finds of the simulated faults, and how often it cries wolf."""
    values, kinds, distances = simulate(sensor, 60000, random)
    flagged = model.predict(wide(values)) == -1
    anomalous = (kinds == "spike") | (kinds == "stuck") | ((kinds == "drift") & (distances >= ANOMALOUS_FROM))
    rate = lambda rows: round(float(flagged[rows].mean()), 4) if rows.any() else None
    return {
        "readings": len(values),
        "anomalous": int(anomalous.sum()),
        "precision": round(
            float((flagged & anomalous).sum() / max(1, (flagged & (anomalous | (kinds == ""))).sum())), 4
        ),
        "recall": rate(anomalous),
        "recall_spike": rate(kinds == "spike"),
        "recall_drift": rate((kinds == "drift") & anomalous),
        "recall_stuck": rate(kinds == "stuck"),
        "flagged_early_drift": rate((kinds == "drift") & ~anomalous),
        "false_alarms": rate(kinds == ""),
    }


def golden(model, sensor, random):
    """Rows that show both answers, none so near the threshold that rounding decides it."""
    values = np.concatenate([healthy(sensor, 10, random), simulate(sensor, 30000, random)[0]])
    D = model.decision_function(wide(values))
    clear = np.abs(D) > 1e-4 * np.abs(D).max()
    normal, odd = np.flatnonzero(clear & (D > 0))[:12], np.flatnonzero(clear & (D < 0))[:8]
    chosen = values[np.concatenate([normal, odd])]
    return chosen, model.predict(wide(chosen)), model.decision_function(wide(chosen))


def main():
    (DEMO / "models").mkdir(parents=True, exist_ok=True)
    for old in (DEMO / "models").glob("*.onnx"):
        old.unlink()
    records, expected = [], ["device,sensor,value,label,decision"]
    for device in (1, 2, 3):
        for number, sensor in enumerate(sensors(device), 1):
            random = np.random.default_rng([SEED, device, number])
            model = fit(sensor, random)
            name = f"anomaly_{device}_{number}"
            exported = export(model, [("value", "float32", 1)], opset={"": 18, "ai.onnx.ml": 3})
            settle(exported, name)
            data = exported.SerializeToString()
            (DEMO / "models" / f"{name}.onnx").write_bytes(data)
            values, labels, decisions = golden(model, sensor, random)
            got = columns_of(run_onnxruntime(exported, {"value": values.reshape(-1, 1)}))
            assert (got[0] == labels).all(), name
            expected += [
                f"{device},{number},{float_text(v, True)},{l},{d!r}"
                for v, l, d in zip(values, labels.tolist(), decisions.tolist())
            ]
            measured = quality(model, sensor, random)
            scaler = model.steps[0][1]
            records.append(
                {
                    "name": name,
                    "file": f"models/{name}.onnx",
                    "device": device,
                    "device_name": DEVICES[device - 1],
                    "sensor": number,
                    "sensor_name": sensor["name"],
                    "unit": sensor["unit"],
                    "mean": float(scaler.mean_[0]),
                    "scale": float(scaler.scale_[0]),
                    "simulator": {k: sensor[k] for k in ("decimals", "dwell", "modes", "faults")},
                    "quality": measured,
                }
            )
            worst = float(np.max(np.abs(got[1] - decisions)))
            print(f"{name} {len(data):6} bytes, onnxruntime differs by {worst:.1e}", measured, flush=True)
    (DEMO / "expected.csv").write_text("\n".join(expected) + "\n")
    manifest = {"seed": SEED, "versions": VERSIONS, "anomalous_from_sigmas": ANOMALOUS_FROM, "models": records}
    (DEMO / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    write_readme(records)


def write_readme(records):
    percent = lambda v: "" if v is None else f"{100 * v:.2f}"
    rows = [
        f"| {r['name']} | {r['device_name']}, {r['sensor_name']} | {percent(q['precision'])} | {percent(q['recall'])} "
        f"| {percent(q['recall_spike'])} | {percent(q['recall_drift'])} | {percent(q['recall_stuck'])} | {percent(q['false_alarms'])} |"
        for r in records
        for q in [r["quality"]]
    ]
    text = (pathlib.Path(__file__).with_name("demo_readme.md")).read_text()
    (DEMO / "README.md").write_text(text.replace("{{TABLE}}", "\n".join(rows)))


if __name__ == "__main__":
    main()
