# Thresholds against the same definitions in numpy, on all values instead of a histogram.
# REQUIRES: onnx, numpy
# RUN: rm -rf %t && mkdir %t && %python %s %qanat %t
import os
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper

qanat, work = sys.argv[1:3]
os.chdir(work)
random = np.random.default_rng(11)
SHAPE = (1, 50, 100)
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
                          [helper.make_tensor_value_info("y", TensorProto.FLOAT, SHAPE)])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), "net.onnx")


def percentile(x):
    return np.percentile(np.abs(x), 99.99)


def octav(x):
    u = 1 if x.min() < 0 else 4
    a = np.abs(x)
    s = a[a > 0].mean()
    for _ in range(200):
        s = a[a > s].sum() / ((a <= s).sum() / (3 * 4 ** 8 * u) + (a > s).sum())
    return s


def aciq(x):
    if x.min() < 0:
        return abs(x.mean()) + 9.89675982 * np.abs(x - x.mean()).mean()
    return 11.16268502 * x.mean()


def found(method):
    subprocess.run([qanat, "calibrate", "net.onnx", "--data", "data.npz", "--method", method, "-o", "table"], check=True)
    with open("table", encoding="utf-8") as file:
        lines = [line.split() for line in file if line[0] != "#"]
    return {line[0]: float(line[1]) for line in lines}


clipped = 0
for name, data in (("normal", random.standard_normal((20, *SHAPE[1:]))), ("laplace", random.laplace(0.3, 2, (20, *SHAPE[1:]))),
                   ("uniform", random.uniform(-3, 5, (20, *SHAPE[1:]))), ("heavy", random.standard_t(3, (20, *SHAPE[1:])))):
    x = data.astype(np.float32)
    np.savez("data.npz", x=x)
    for method in (percentile, octav, aciq):
        table = found(method.__name__)
        for tensor, values in (("x", x.astype(np.float64)), ("y", np.maximum(x, 0).astype(np.float64))):
            largest = np.abs(values).max()
            expected = min(method(values), largest)
            width = 2.0 ** np.ceil(np.log2(largest)) / 8192
            clipped += expected < largest
            # Percentiles within a bin; sums over bins round each value by half a bin.
            assert abs(table[tensor] - expected) <= (1.01 if method is percentile else 3) * width, (name, method, tensor, table[tensor], expected)
assert clipped >= 16, clipped
