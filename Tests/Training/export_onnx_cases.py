#!/usr/bin/env python3
"""Writes ONNX's own backend tests as files, for OnnxConformanceTests.

    python export_onnx_cases.py --out .data/zoo/onnx

Each case is a folder OUT/<kind>/<name> with model.onnx, test_data_set_<i>/{input,output}_<j>.pb (TensorProto,
SequenceProto or OptionalProto, as the graph declares) and case.json: operators, tolerances. The node cases are
code in newer releases of the onnx package; older kinds are files there and are copied.
"""

import argparse
import glob
import json
import os
import shutil

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

DATA = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data")


def operators(graph):
    """The operators of a graph and its subgraphs, as "domain.type"."""
    for node in graph.node:
        yield f"{node.domain or 'ai.onnx'}.{node.op_type}"
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from operators(attribute.g)


def describe(folder, model, rtol, atol):
    found = set(operators(model.graph))
    for function in model.functions:
        found |= {f"{node.domain or 'ai.onnx'}.{node.op_type}" for node in function.node}
        found -= {f"{function.domain}.{function.name}"}
    with open(os.path.join(folder, "case.json"), "w") as file:
        json.dump({"operators": sorted(found), "rtol": rtol, "atol": atol}, file)


def write(path, value, info):
    """One input or output, in the form that its declared type asks for."""
    kind = info.type.WhichOneof("value")
    if kind == "sequence_type":
        proto = numpy_helper.from_list(value, info.name)
    elif kind == "optional_type":
        proto = numpy_helper.from_optional(value, info.name)
    elif isinstance(value, TensorProto):
        proto = value
    else:
        proto = numpy_helper.from_array(np.asarray(value), info.name)
    with open(path, "wb") as file:
        file.write(proto.SerializeToString())


def export_nodes(out):
    from onnx.backend.test.loader import load_node_model_tests

    count = 0
    for case in load_node_model_tests():
        folder = os.path.join(out, "node", case.name)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "model.onnx"), "wb") as file:
            file.write(case.model.SerializeToString())
        for index, (inputs, outputs) in enumerate(case.data_sets):
            data = os.path.join(folder, f"test_data_set_{index}")
            os.makedirs(data, exist_ok=True)
            for prefix, values, infos in (
                ("input", inputs, case.model.graph.input),
                ("output", outputs, case.model.graph.output),
            ):
                for number, (value, info) in enumerate(zip(values, infos)):
                    write(os.path.join(data, f"{prefix}_{number}.pb"), value, info)
        describe(folder, case.model, case.rtol, case.atol)
        count += 1
    return count


def copy_files(out, kind):
    count = 0
    for source in sorted(glob.glob(os.path.join(DATA, kind, "*"))):
        if not os.path.exists(os.path.join(source, "model.onnx")):
            continue
        folder = os.path.join(out, kind, os.path.basename(source))
        shutil.copytree(source, folder, dirs_exist_ok=True)
        describe(folder, onnx.load(os.path.join(source, "model.onnx")), 1e-3, 1e-7)
        count += 1
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="folder that gets a folder for each kind")
    arguments = parser.parse_args()
    counts = {"node": export_nodes(arguments.out)}
    for kind in ("simple", "pytorch-operator", "pytorch-converted"):
        counts[kind] = copy_files(arguments.out, kind)
    print("onnx", onnx.__version__, counts)


if __name__ == "__main__":
    main()
