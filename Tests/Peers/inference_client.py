#!/usr/bin/env python3
"""Speaks to a server as tritonclient does: metadata, readiness, inference in JSON and binary, classes, errors.

    pip install 'tritonclient[http]'
    python inference_client.py --url 127.0.0.1:8080 --model bank [--key rck_...] --rows rows.csv --expected expected.csv

rows.csv has a line of names and the model's features; expected.csv the probabilities that its trainer computed, in columns
probability_*. The model's features are numbers of one type, and its classes three or more.
"""

import argparse
import csv

import numpy as np
import tritonclient.http as http
from tritonclient.utils import InferenceServerException


def read(path, prefix=""):
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name.startswith(prefix)]
    return np.array([[float(row[name] or "nan") for name in names] for row in rows])


def refused(call, words):
    try:
        call()
    except InferenceServerException as error:
        assert words in error.message(), error.message()
    else:
        raise AssertionError(f"not refused: {words}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="127.0.0.1:8080")
    parser.add_argument("--model", required=True)
    parser.add_argument("--key")
    parser.add_argument("--rows", required=True)
    parser.add_argument("--expected", required=True)
    options = parser.parse_args()
    headers = {"Authorization": f"Bearer {options.key}"} if options.key else {}
    rows = read(options.rows)
    expected = read(options.expected, "probability_")
    client = http.InferenceServerClient(options.url)

    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready(options.model, headers=headers)
    assert not client.is_model_ready("no such model", headers=headers)
    assert client.get_server_metadata(headers=headers)["name"] == "rowcast"
    metadata = client.get_model_metadata(options.model, headers=headers)
    (given,) = metadata["inputs"]
    assert given["shape"] == [-1, rows.shape[1]], metadata
    output = next(o for o in metadata["outputs"] if o["name"] == "probability")
    assert output["shape"] == [-1, expected.shape[1]], metadata
    print("metadata and readiness")

    types = {"FP64": np.float64, "FP32": np.float32, "FP16": np.float16}
    for binary in (False, True):
        for datatype, kind in types.items():
            if datatype == "FP16" and not binary:
                continue  # The client itself has no JSON of it.
            values = rows.astype(kind)
            tensor = http.InferInput(given["name"], values.shape, datatype)
            tensor.set_data_from_numpy(values, binary_data=binary)
            for answered in (False, True):
                wanted = [
                    http.InferRequestedOutput("probability", binary_data=answered),
                    http.InferRequestedOutput("label", binary_data=answered),
                ]
                result = client.infer(
                    options.model, [tensor], outputs=wanted, request_id="42", headers=headers,
                    model_version=metadata["versions"][-1])
                assert result.get_response()["id"] == "42"
                found = result.as_numpy("probability")
                assert found.shape == expected.shape and len(result.as_numpy("label")) == len(rows)
                if datatype == "FP64":
                    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
            # Without outputs: all of them, in binary.
            assert client.infer(options.model, [tensor], headers=headers).as_numpy("probability").shape == expected.shape
    print("inference, JSON and binary")

    tensor = http.InferInput(given["name"], rows.shape, "FP64")
    tensor.set_data_from_numpy(rows)
    for binary in (False, True):
        wanted = http.InferRequestedOutput("probability", class_count=2, binary_data=binary)
        ranked = client.infer(options.model, [tensor], outputs=[wanted], headers=headers).as_numpy("probability")
        assert ranked.shape == (len(rows), 2)
        for row, line in zip(ranked, expected):
            text = row[0].decode() if isinstance(row[0], bytes) else row[0]
            value, index = text.split(":")[:2]
            assert int(index) == int(line.argmax()) and abs(float(value) - line.max()) < 1e-6
    print("classification")

    refused(lambda: client.get_model_metadata("no such model", headers=headers), "no such model")
    refused(lambda: client.infer("no such model", [tensor], headers=headers), "no such model")
    refused(lambda: client.infer(options.model, [tensor], model_version="999", headers=headers), "no version 999")
    wrong = http.InferInput("no such input", [1], "FP64")
    wrong.set_data_from_numpy(np.zeros(1))
    refused(lambda: client.infer(options.model, [wrong], headers=headers), "no such input")
    narrow = http.InferInput(given["name"], [1, 1], "FP64")
    narrow.set_data_from_numpy(np.zeros((1, 1)))
    refused(lambda: client.infer(options.model, [narrow], headers=headers), "features")
    refused(
        lambda: client.infer(
            options.model, [tensor], outputs=[http.InferRequestedOutput("no such output")], headers=headers),
        "no such output")
    if options.key:
        refused(lambda: client.get_model_metadata(options.model), "no key")
    print("errors")


if __name__ == "__main__":
    main()
