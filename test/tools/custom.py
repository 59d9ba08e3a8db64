# REQUIRES: onnx, numpy, gcc, clang
# RUN: %python %s %qanat %root %gcc %clang %t
"""Operators of the user: --custom names a C function, --library brings it; every route calls it with the node's tensors,
shapes and attributes, and a compiled object asks for its symbol and nothing else.
usage: custom.py QANAT ROOT GCC CLANG SCRATCH"""
import os
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper

qanat, root, gcc, clang, scratch = sys.argv[1:]
os.makedirs(scratch, exist_ok=True)
model, library = os.path.join(scratch, "m.onnx"), os.path.join(scratch, "lib.so")

SOURCE = r"""
#include <string.h>
#include "runtime/qanat.h"
/* y = x * alpha + i as far as the shapes and attributes are what the node said; z: the indices of y's signs */
void my_mix(const struct qn_custom *op, const void *const *inputs, void *const *outputs) {
    const float *x = inputs[0]; const int64_t *add = inputs[1];
    float *y = outputs[0]; int8_t *z = outputs[1];
    int good = !strcmp(op->name, "mix") && !strcmp(op->attributes, "alpha = -2.5, mode = \"a\\\"b\", sizes = [1, -2]") &&
               op->input_count == 2 && op->output_count == 2 && op->inputs[0].rank == 4 && op->inputs[0].shape[1] == 3 &&
               op->inputs[1].type == QN_I64 && op->outputs[1].type == QN_I8 && op->outputs[0].bytes == 4 * 3 * 4 * 5;
    for (int i = 0; i < 3 * 4 * 5; i++) {
        y[i] = good ? x[i] * -2.5f + (float)add[i % 5] : -1000;
        z[i] = y[i] < 0;
    }
}
"""


def make_model(stated=True):
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"]),
             helper.make_node("Mix", ["c", "i"], ["y0", "z"], name="mix", domain="my.ops", alpha=-2.5, mode=b'a"b', sizes=[1, -2]),
             helper.make_node("Relu", ["y0"], ["y"])]
    values = [helper.make_tensor_value_info("y0", TensorProto.FLOAT, [1, 3, 4, 5])] if stated else []
    random = np.random.RandomState(0)
    weight = onnx.numpy_helper.from_array(random.randn(3, 2, 1, 1).astype(np.float32), "w")
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 4, 5]),
                                           helper.make_tensor_value_info("i", TensorProto.INT64, [5])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 4, 5]),
                               helper.make_tensor_value_info("z", TensorProto.INT8, [1, 3, 4, 5])], [weight], value_info=values)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("my.ops", 1)]), model)
    return onnx.numpy_helper.to_array(weight)[:, :, 0, 0]


def run(*arguments, status=0, error=""):
    done = subprocess.run([qanat, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == status, (arguments, done.returncode, done.stderr)
    assert error in done.stderr, (error, done.stderr)
    return done


weight = make_model()
with open(os.path.join(scratch, "lib.c"), "w", encoding="ascii") as file:
    file.write(SOURCE)
subprocess.run([gcc, "-shared", "-fPIC", "-ffp-contract=off", "-I" + root, file.name, "-o", library], check=True)
x, add = np.random.RandomState(1).randn(1, 2, 4, 5).astype(np.float32), np.arange(5)
np.savez(os.path.join(scratch, "in.npz"), x=x, i=add)
custom = ["--custom", "my.ops.Mix=my_mix"]
inputs = ["-i", os.path.join(scratch, "in.npz"), "-o", os.path.join(scratch, "out.npz")]

c = np.einsum("oi,nihw->nohw", weight, x)
want = c * np.float32(-2.5) + add.astype(np.float32)
for route in (["interp"], ["process"], ["llvm"], ["llvm", "--target", "x86-64"], ["c", "--cc", gcc], ["c", "--cc", clang]):
    run("run", model, *custom, "--library", library, *inputs, "--via", *route)
    with np.load(inputs[-1]) as out:
        assert np.abs(out["y"] - np.maximum(want, 0)).max() < 1e-5, route
        assert out["z"].dtype == np.int8 and (out["z"] == (want < -1e-6)).mean() > 0.98, route

# int8: what is around it is quantized, it is not.
run("run", model, *custom, "--library", library, *inputs, "--calibrate-on", inputs[1], "--via", "llvm")
with np.load(inputs[-1]) as out:
    assert 0 < np.abs(out["y"] - np.maximum(want, 0)).max() < 0.3

# The textual form gives the same object; the object asks for the function alone.
qir, objects = os.path.join(scratch, "m.qir"), []
run("import", model, *custom, "-o", qir)
for source, extra in ((model, custom), (qir, [])):
    objects.append(os.path.join(scratch, f"m{len(objects)}.o"))
    run("compile", source, *extra, "--name", "m", "-o", objects[-1])
with open(objects[0], "rb") as first, open(objects[1], "rb") as second:
    assert first.read() == second.read()
undefined = subprocess.run(["nm", "-u", objects[0]], capture_output=True, text=True, check=True).stdout.split()
assert undefined == ["U", "my_mix"], undefined

run("run", model, *inputs, status=1, error="op Mix of domain my.ops is not supported; a C function may compute it: --custom my.ops.Mix=SYMBOL")
run("run", model, *custom, *inputs, status=1, error="no function 'my_mix' for this custom operator: give --library FILE.so that defines it")
run("run", model, *custom, "--library", model, *inputs, status=1, error="cannot be loaded as a shared library")
run("run", model, "--custom", "Mix=my_mix", *inputs, status=2, error="--custom: expected DOMAIN.OP=SYMBOL, found 'Mix=my_mix'")
run("run", model, "--custom", "my.ops.Mix=2x", *inputs, status=2, error="'2x' can't be the name of a C function")
run("compile", model, *custom, "--name", "my", "-o", objects[0], status=1, error="'my_mix' is named like those of the model 'my'")
make_model(stated=False)
run("compile", model, *custom, "-o", objects[0], status=1, error="the model does not state the type and shape of its output 'y0'")
