# REQUIRES: onnx, numpy
# RUN: %python %s %qanat %t
"""--requantize drops the scales of a quantized model, and a quantization table alone takes operators out of its integers."""
import os
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper, numpy_helper

qanat, folder = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
os.chdir(folder)


def node(op, inputs, output):
    return helper.make_node(op, inputs, [output], name=output)


def save(path, quantized):
    """y = x w, where x is in [-1.27, 1.28] and y in [0, 2.55], at steps of 0.01; w = [[1, -1], [2, 0.5]] by steps of 0.5."""
    constants = {"s": np.float32(0.01), "z": np.int8(-1), "zy": np.int8(-128), "ws": np.float32(0.5), "wz": np.int8(0),
                 "w": np.array([[2, -2], [4, 1]], np.int8)}
    nodes = [node("DequantizeLinear", ["w", "ws", "wz"], "wr")]
    if quantized:
        nodes += [node("QuantizeLinear", ["x", "s", "z"], "xq"), node("DequantizeLinear", ["xq", "s", "z"], "xr"), node("MatMul", ["xr", "wr"], "m"),
                  node("QuantizeLinear", ["m", "s", "zy"], "mq"), node("DequantizeLinear", ["mq", "s", "zy"], "mr"),
                  node("Add", ["mr", "mr"], "a"), node("QuantizeLinear", ["a", "s", "z"], "aq"), node("DequantizeLinear", ["aq", "s", "z"], "y")]
    else:
        nodes += [node("MatMul", ["x", "wr"], "y")]
    values = [helper.make_tensor_value_info(name, T.FLOAT, (1, 2)) for name in "xy"]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def run(status, *arguments):
    done = subprocess.run([qanat, *arguments], capture_output=True, text=True)
    assert done.returncode == status, (arguments, done.returncode, done.stderr)
    return done.stderr


def y(*options):
    run(0, "run", "q.onnx", "-i", "x.npy", "-o", "out.npz", *options)
    return np.load("out.npz")["y"][0].tolist()


save("q.onnx", True)
save("f.onnx", False)
np.save("x.npy", np.array([[3, 0.125]], np.float32)) # beyond the range of x: 1.28
np.save("calibrate.npy", np.array([[3, 0.125], [-1, 1]], np.float32))
with open("keep.qtable", "w", encoding="utf-8") as file:
    file.write("m f32\n")
with open("strange.qtable", "w", encoding="utf-8") as file:
    file.write("n f32\n")

assert np.allclose(y(), [1.28, 0], atol=1e-6), y() # 1.28 + 2 * 0.12 = 1.52, twice, in [-1.27, 1.28]
assert y("--requantize") == [6.5, 0], y("--requantize") # 3 + 0.25, twice; relu, which the range of m stood for, makes 0
again = y("--requantize", "--calibrate-on", "calibrate.npy")
assert abs(again[0] - 6.5) < 0.05 and again[1] == 0, again
assert np.allclose(y("--qtable", "keep.qtable"), [1.28, 0], atol=1e-6)
assert ": f32 1x2 linear" in run(0, "compile", "q.onnx", "--qtable", "keep.qtable", "--explain", "-o", "q.o")
assert "strange.qtable:1:1: error: no tensor 'n' in the model" in run(1, "compile", "q.onnx", "--qtable", "strange.qtable", "-o", "q.o")
for model, option in (("f.onnx", ()), ("q.onnx", ("--requantize",))):
    said = run(1, "compile", model, "--qtable", "keep.qtable", *option, "-o", "q.o")
    assert "keep.qtable: error: needs ranges" in said, said
