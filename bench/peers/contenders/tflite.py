"""Native TFLite (XNNPACK). Reads requests and writes answers as lines of JSON, see protocol.ts."""

import json
import os
import sys
import time
import urllib.parse

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what libraries print is no answer

import numpy as np


def interpreter_class():
    try:
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter
    except ImportError:
        import tensorflow

        return tensorflow.lite.Interpreter


def path_of(url):
    return urllib.parse.unquote(urllib.parse.urlparse(url).path)


net = None
data = None


def timed_run():
    start = time.perf_counter()
    net.set_tensor(net.get_input_details()[0]["index"], data)
    net.invoke()
    output = net.get_tensor(net.get_output_details()[0]["index"])
    return 1000 * (time.perf_counter() - start), output


def answer(request):
    global net, data
    if request["kind"] == "turn":
        end = time.perf_counter() + request["wakeMs"] / 1000
        timed_run()
        while time.perf_counter() < end:
            timed_run()
        return {"kind": "times", "times": [timed_run()[0] for _ in range(request["runs"])]}
    data = np.fromfile(path_of(request["input"]), np.float32).reshape(request["shape"])
    if request["layout"] == "nhwc":
        data = np.ascontiguousarray(data.transpose(0, 2, 3, 1))
    Interpreter = interpreter_class()
    start = time.perf_counter()
    net = Interpreter(path_of(request["model"]), num_threads=request["threads"])
    net.allocate_tensors()
    load_ms = 1000 * (time.perf_counter() - start)
    first_ms, output = timed_run()
    output = output.ravel().tolist()
    end = time.perf_counter() + request["warmupMs"] / 1000
    while time.perf_counter() < end:
        timed_run()
    return {"kind": "loaded", "loadMs": load_ms, "firstMs": first_ms, "output": output}


for line in sys.stdin:
    try:
        reply = answer(json.loads(line))
    except Exception as error:
        reply = {"kind": "failed", "message": repr(error)}
    answers.write(json.dumps(reply) + "\n")
    answers.flush()
