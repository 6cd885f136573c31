#!/usr/bin/env python3
"""Makes the models of the conformance run, a folder a family below $ROWCAST_ZOO or .data/zoo.

    python make_zoo.py [FAMILY ...]        families: sklearn operators lightgbm xgboost catboost networks layers tokenizers onnx; default all

Each family is a script of its own, run as its own process: libraries that train do not always live well together.
"""

import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ZOO = pathlib.Path(os.environ.get("ROWCAST_ZOO") or HERE.parent.parent / ".data" / "zoo")
FAMILIES = {
    "sklearn": ["zoo_sklearn.py"],
    "operators": ["zoo_operators.py"],
    "lightgbm": ["lightgbm_zoo.py"],
    "xgboost": ["xgboost_zoo.py"],
    "catboost": ["catboost_zoo.py"],
    "networks": ["zoo_networks.py"],
    "layers": ["zoo_layers.py"],
    "tokenizers": ["tokenizer_zoo.py", str(ZOO / "tokenizers")],
    "onnx": ["export_onnx_cases.py", "--out", str(ZOO / "onnx")],
}


def main():
    for family in sys.argv[1:] or FAMILIES:
        script, *arguments = FAMILIES[family]
        print(f"{family}: {script}", flush=True)
        subprocess.run([sys.executable, str(HERE / script), *arguments], check=True)


if __name__ == "__main__":
    main()
