# REQUIRES: onnx, numpy
# RUN: %python %s %qanat %t
"""Elements as files have them: booleans of any byte, factors and zero points of the types that ONNX has for them, arrays
without elements.
usage: onnx_elements.py QANAT SCRATCH"""
import os
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

qanat, scratch = sys.argv[1:]
os.makedirs(scratch, exist_ok=True)
model, given, taken = (os.path.join(scratch, name) for name in ("m.onnx", "in.npz", "out.npz"))


def save(op, names, constants=(), result=TensorProto.FLOAT, **inputs):
    infos = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape) for name, x in inputs.items()]
    constants = [c if isinstance(c, TensorProto) else numpy_helper.from_array(*c) for c in constants]
    output = helper.make_tensor_value_info("y", result, None)
    graph = helper.make_graph([helper.make_node(op, names, ["y"])], "g", infos, [output], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), model)
    np.savez(given, **inputs)


def run(error=""):
    done = subprocess.run([qanat, "run", model, "-i", given, "-o", taken], capture_output=True, text=True, check=False)
    assert done.returncode == (1 if error else 0) and error in done.stderr, (error, done.returncode, done.stderr)
    if not error:
        with np.load(taken) as arrays:
            return arrays["y"]


bools = helper.make_tensor("b", TensorProto.BOOL, [4], b"\x02\x00\xff\x01", raw=True)
save("And", ["b", "x"], [bools], TensorProto.BOOL, x=np.ones(4, bool))
assert run().tobytes() == b"\1\0\1\1"
ones = np.ones((2, 2), np.uint8)
save("MatMulInteger", ["a", "b"], [], TensorProto.INT32, a=np.zeros((2, 0), np.uint8), b=np.zeros((0, 3), np.uint8))
assert (run() == np.zeros((2, 3))).all()
save("MatMulInteger", ["a", "b"], [], TensorProto.INT32, a=ones.astype(np.int32), b=ones)
run("its input 0 has elements of type i32, expected i8 or u8")
save("MatMulInteger", ["a", "b", "z"], [(np.int8([-9]), "z")], TensorProto.INT32, a=ones, b=ones)
run("its zero point has elements of type i8, its input of type u8")
save("ConvInteger", ["a", "b"], [], TensorProto.INT32, a=np.ones((1, 1, 2, 2), np.float32), b=np.ones((1, 1, 1, 1), np.uint8))
run("its input 0 has elements of type f32, expected i8 or u8")
save("DequantizeLinear", ["a", "s", "z"], [(np.float32(2), "s"), (np.float32(1), "z")], a=ones)
run("its zero point has elements of type f32, its input of type u8")
save("Identity", ["c"], [(np.float32([1, 2]), "c")])
assert run().tolist() == [1, 2]
