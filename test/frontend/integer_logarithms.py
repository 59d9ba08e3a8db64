# REQUIRES: onnx
# RUN: %python %s %qanat %t
"""Logarithms of sums of integers, which are constants, truncate; a constant that goes out under two names has both.
Usage: integer_logarithms.py QANAT PREFIX"""
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def main():
    qanat, prefix = sys.argv[1:3]
    nodes = [helper.make_node("ReduceLogSumExp", ["c"], ["exp"]), helper.make_node("ReduceLogSum", ["c"], ["sum"]),
             helper.make_node("Identity", ["sum"], ["again"]), helper.make_node("Relu", ["x"], ["y"])]
    outputs = [helper.make_tensor_value_info(name, TensorProto.INT64, [1]) for name in ("again", "exp", "sum")]
    graph = helper.make_graph(nodes, "logarithms", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
                              [*outputs, helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
                              [numpy_helper.from_array(np.array([1, 4, 7]), "c")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), prefix + ".onnx")
    np.save(prefix + ".npy", np.array([-1], np.float32))
    subprocess.run([qanat, "run", prefix + ".onnx", "-i", prefix + ".npy", "-o", prefix + ".npz"], check=True)
    with np.load(prefix + ".npz") as found:
        actual = {name: found[name].tolist() for name in found}
    expected = {"again": [2], "exp": [7], "sum": [2], "y": [0.0]} # log(e + e^4 + e^7) = 7.05, log(12) = 2.48
    if actual != expected:
        sys.exit(f"found {actual}, expected {expected}")


if __name__ == "__main__":
    main()
