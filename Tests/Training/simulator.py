"""A sensor that is sometimes ill: the same rules that `deploy/demo/manifest.json` gives to the demo's simulator.

A healthy reading is `mode.mean + mode.sigma * gauss`. The sensor stays in its mode with probability `dwell` and else draws
one by weight. While healthy, each reading starts a fault with the probability of its kind:

- `spike`: this one reading is moved by `from`...`to` sigmas, up or down;
- `drift`: for `length` readings an offset grows evenly from 0 to `to` sigmas, in one direction;
- `stuck`: for `length` readings the sensor reports `value`, give or take `sigma`.

Sigma is that of the present mode. A drifting reading is counted as anomalous from `ANOMALOUS_FROM` sigmas on.
"""

import numpy as np

ANOMALOUS_FROM = 6.0


def healthy(sensor, count, random):
    """Readings of a sensor without faults."""
    return simulate({**sensor, "faults": {}}, count, random)[0]


def simulate(sensor, count, random):
    """Values, the kind of fault of each ("" for none), and the fault's distance in sigmas."""
    modes, dwell, faults = sensor["modes"], sensor["dwell"], sensor["faults"]
    weights = [mode["weight"] for mode in modes]
    values, kinds, distances = np.empty(count), np.full(count, "", object), np.zeros(count)
    mode, kind, left, length, direction = modes[random.choice(len(modes), p=weights)], "", 0, 0, 1
    for i in range(count):
        if random.random() > dwell:
            mode = modes[random.choice(len(modes), p=weights)]
        value = mode["mean"] + mode["sigma"] * random.normal()
        if left == 0:
            kind = ""
            for name, fault in faults.items():
                if random.random() < fault["probability"]:
                    kind, left = name, int(fault.get("length", 1))
                    length, direction = left, random.choice([-1, 1])
                    break
        if left:
            fault = faults[kind]
            if kind == "spike":
                distances[i] = random.uniform(fault["from"], fault["to"])
                value += direction * distances[i] * mode["sigma"]
            elif kind == "drift":
                distances[i] = fault["to"] * (length - left + 1) / length
                value += direction * distances[i] * mode["sigma"]
            else:
                value = fault["value"] + fault["sigma"] * random.normal()
                distances[i] = np.inf
            kinds[i] = kind
            left -= 1
        values[i] = value
    return np.round(values, sensor["decimals"]).astype(np.float32), kinds, distances
