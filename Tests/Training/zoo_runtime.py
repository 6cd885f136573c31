"""Runs a model by ONNX Runtime, on one thread."""

import onnx
import onnxruntime


def run_onnxruntime(model, feeds):
    """The outputs in the graph's order."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    for node in model.graph.node:
        # Its default locale, en_US, is on few servers; this one is on all, and knows the same letters.
        if node.op_type == "StringNormalizer":
            node.attribute.append(onnx.helper.make_attribute("locale", "C.UTF-8"))
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)
