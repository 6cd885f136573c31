"""A FastAPI server over ONNX Runtime, as one who knows both would write it.

    MODEL=model.onnx uvicorn http_fastapi:app --workers 4 --no-access-log
"""
import os

import numpy as np
import onnxruntime
import orjson
from fastapi import FastAPI, Request, Response

options = onnxruntime.SessionOptions()
# A process a core: threads of its own would only wait for each other.
options.intra_op_num_threads = 1
options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
# The label is not asked for.
wanted = [session.get_outputs()[-1].name]
app = FastAPI()


@app.post("/predict")
async def predict(request: Request) -> Response:
    rows = np.asarray(orjson.loads(await request.body())["rows"], dtype=np.float32)
    (scores,) = session.run(wanted, {name: rows})
    return Response(orjson.dumps({"scores": scores.ravel()}, option=orjson.OPT_SERIALIZE_NUMPY),
                    media_type="application/json")
