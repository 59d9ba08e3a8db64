# REQUIRES: onnx, numpy
# RUN: %python %s %qanat %t
"""Scales, zero points and axes that are none: a message that names the node, or what ONNX says of them; never a crash."""
import os
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper, numpy_helper

qanat, folder = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
X = np.zeros((2, 3), np.float32)
faults = []


def run(name, nodes, constants, wanted, inputs=(("x", T.FLOAT, (2, 3)),), output="y"):
    """`wanted`: what the message says, or None where the model is compiled."""
    inits = [value if isinstance(value, onnx.TensorProto) else numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info(*i) for i in inputs], [helper.make_empty_tensor_value_info(output)], inits)
    path = os.path.join(folder, name + ".onnx")
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    with open(path, "wb") as file:
        file.write(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())
    done = subprocess.run([qanat, "compile", path, "-o", path + ".o"], capture_output=True, text=True)
    said = done.stderr.strip()
    if done.returncode != (0 if wanted is None else 1) or (wanted or "") not in said:
        faults.append(f"{name}: status {done.returncode}, {said or 'no message'}; expected {wanted}")


def node(op, inputs, output="y", **attrs):
    return helper.make_node(op, inputs, [output], name=f"{output}_node", **attrs)


def quantize(name, scale, zero, wanted, **attrs):
    run(name, [node("QuantizeLinear", ["x", "s", "z"], **attrs)], {"s": np.asarray(scale, np.float32), "z": zero}, wanted)


def dequantize(name, scale, zero, wanted, data=np.zeros((2, 3), np.int8), **attrs):
    constants = {"q": data, "s": np.asarray(scale, np.float32), "z": zero}
    nodes = [node("DequantizeLinear", ["q", "s", "z"], "w", **attrs), node("Add", ["x", "w"])]
    run(name, nodes, constants, wanted)


I8, U8, I32 = np.int8, np.uint8, np.int32
for text, value in (("nan", np.nan), ("inf", np.inf), ("negative", -0.5), ("zero", 0.0), ("denormal", 1e-40)):
    given = {"nan": "nan", "inf": "inf", "negative": "-0.5", "zero": "0", "denormal": "9.99995e-41"}[text]
    quantize(f"quantize_{text}", value, I8(0), f"node 'y_node' (QuantizeLinear): element 0 of its scale is {given}, expected a positive normal number")
    bad = text in ("nan", "inf", "negative")
    dequantize(f"dequantize_{text}", value, I8(0), f"node 'w_node' (DequantizeLinear): element 0 of its scale is {given}, expected a positive number" if bad else None)
quantize("huge_scale", 3e38, I8(0), None)
quantize("tiny_scale", 1.2e-38, I8(0), None)
quantize("axis", [1.0, 2.0, 3.0], np.zeros(3, I8), "axis 2 is out of range for 2 dimensions", axis=2)
quantize("axis_low", [1.0, 2.0, 3.0], np.zeros(3, I8), "axis -3 is out of range for 2 dimensions", axis=-3)
quantize("length", [1.0, 2.0], np.zeros(2, I8), "it has 2 scales for 3 elements along axis 1", axis=1)
quantize("zeros", [1.0, 2.0, 3.0], np.zeros(2, I8), "its zero points differ in shape from its scales", axis=1)
quantize("empty", np.zeros(0), np.zeros(0, I8), "it has 0 scales for 3 elements along axis 1", axis=1)
quantize("matrix", np.ones((2, 3)), np.zeros((2, 3), I8), "the shape of its scales does not fit its input and block_size 0", axis=1)
quantize("block", np.ones((2, 3)), np.zeros((2, 3), I8), "block_size is -1", axis=1, block_size=-1)
quantize("wide", 1.0, I32(0), "quantized elements of type i32 are not supported; i8, u8, i16 and u16 are")
quantize("real", 1.0, np.float32(0), "quantized elements of type f32 are not supported")
dequantize("other_type", 1.0, U8(0), "its zero point has elements of type u8, its input of type i8")
dequantize("bias_zero", 1.0, I32(5), None, data=np.zeros((2, 3), I32))
dequantize("of_floats", 1.0, I8(0), "its input has elements of type f32, expected integers", data=X)
dequantize("far_axis", [1.0, 2.0], np.zeros(2, I8), "axis 7 is out of range for 2 dimensions", axis=7)
dequantize("odd", 1.0, helper.make_tensor("z", T.INT4, (), [0]), None, data=helper.make_tensor("q", T.INT4, (1, 3), [1, -8, 7]))
short = helper.make_tensor("q", T.INT4, (2, 3), [1, -8, 7, 1, 2, 3])
short.raw_data, short.int32_data[:] = b"\x81", []
dequantize("short", 1.0, helper.make_tensor("z", T.INT4, (), [0]), "initializer 'q'", data=short)

# Of a type that has no zero point the zero point is left out; pairs of pairs, and names that go in a circle.
run("no_zero", [node("QuantizeLinear", ["x", "s"])], {"s": np.float32(0.5)}, None)
run("no_scale", [node("QuantizeLinear", ["x"])], {}, "node 'y_node' (QuantizeLinear)")
run("twice", [node("QuantizeLinear", ["x", "s", "z"], "q"), node("DequantizeLinear", ["q", "s", "z"], "d"), node("DequantizeLinear", ["d", "s", "z"])],
    {"s": np.float32(0.5), "z": I8(1)}, "node 'y_node' (DequantizeLinear): its input has elements of type f32, expected integers")
run("circle", [node("QuantizeLinear", ["y", "s", "z"], "q"), node("DequantizeLinear", ["q", "s", "z"])], {"s": np.float32(0.5), "z": I8(1)},
    "node 'q_node' (QuantizeLinear): its input 'y' is not computed before it")
run("own_scale", [node("QuantizeLinear", ["x", "q", "z"], "q")], {"z": I8(1)}, "its input 'q' is not computed before it", output="q")
run("run_time_scale", [node("QuantizeLinear", ["x", "s", "z"], "q"), node("DequantizeLinear", ["q", "s", "z"])], {"z": I8(1)}, None,
    inputs=(("x", T.FLOAT, (2, 3)), ("s", T.FLOAT, ())))

# Operators of integers.
PLAIN = {"a": np.zeros((2, 3), U8), "s": np.float32(0.5), "z": U8(3)}
micro = {"domain": "com.microsoft"}
Q = [node("QuantizeLinear", ["x", "s", "z"], "q")]
run("add", Q + [node("QLinearAdd", ["q", "s", "z", "q", "s", "z", "s", "z"], **micro)], PLAIN, None)
run("add_short", Q + [node("QLinearAdd", ["q", "s", "z", "q"], **micro)], PLAIN, "node 'y_node' (QLinearAdd): input 4 is missing")
run("add_no_zeros", Q + [node("QLinearAdd", ["q", "s", "", "q", "s", "", "s"], **micro)], PLAIN, None)
run("add_floats", [node("QLinearAdd", ["x", "s", "z", "x", "s", "z", "s", "z"], **micro)], PLAIN, "its input has elements of type f32, expected integers")
run("concat", Q + [node("QLinearConcat", ["s", "z", "q", "s"], axis=0, **micro)], PLAIN, "it has 4 inputs, expected 2 and 3 for each tensor")
run("concat_axis", Q + [node("QLinearConcat", ["s", "z", "q", "s", "z", "q", "s", "z"], axis=5, **micro)], PLAIN, "node 'y_node' (QLinearConcat)")
run("average_last", Q + [node("QLinearGlobalAveragePool", ["q", "s", "z", "s", "z"], channels_last=1, **micro)], PLAIN, "channels_last is not supported")
run("conv_scales", [node("QuantizeLinear", ["x", "s", "z"], "q"), node("QLinearConv", ["q", "s", "z", "w", "ws", "wz", "s", "z"])],
    PLAIN | {"w": np.zeros((4, 3, 1, 1), I8), "ws": np.ones(3, np.float32), "wz": np.zeros(3, I8)}, "it has 3 scales for 4 elements along axis 0",
    inputs=(("x", T.FLOAT, (1, 3, 2, 2)),))
run("conv_bias", [node("QuantizeLinear", ["x", "s", "z"], "q"), node("QLinearConv", ["q", "s", "z", "w", "ws", "wz", "s", "z", "b"])],
    PLAIN | {"w": np.zeros((4, 3, 1, 1), I8), "ws": np.ones(4, np.float32), "wz": np.zeros(4, I8), "b": np.zeros(3, I32)},
    "it has 4 scales of its weight, and a bias of 3 elements", inputs=(("x", T.FLOAT, (1, 3, 2, 2)),))
run("gemm_run_time", Q + [node("QGemm", ["q", "t", "z", "w", "s", "wz", "", "s", "z"], **micro)], PLAIN | {"w": np.zeros((3, 4), I8), "wz": I8(0)},
    "its scales and zero points must be constant", inputs=(("x", T.FLOAT, (2, 3)), ("t", T.FLOAT, ())))
sys.exit("\n".join(faults) or 0)
