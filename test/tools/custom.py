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
for via in ("interp", "process", "llvm", "c"):
    run("run", model, *custom, *inputs, "--via", via, status=1,
        error="no function 'my_mix' for this custom operator: give --library FILE.so that defines it")
run("run", model, *custom, "--library", model, *inputs, status=1, error="cannot be loaded as a shared library")
run("run", model, "--custom", "Mix=my_mix", *inputs, status=2, error="--custom: expected DOMAIN.OP=SYMBOL, found 'Mix=my_mix'")
run("run", model, "--custom", "my.ops.Mix=2x", *inputs, status=2, error="'2x' can't be the name of a C function")
run("compile", model, *custom, "--name", "my", "-o", objects[0], status=1, error="'my_mix' is named like those of the model 'my'")
make_model(stated=False)
run("compile", model, *custom, "-o", objects[0], status=1, error="the model does not state the type and shape of its output 'y0'")


def value(name, elem, shape):
    return helper.make_tensor_value_info(name, elem, shape)


def make_copy(inputs, outputs, values=(), before=(), after=()):
    """A model of one node Copy of inputs and outputs of these names; what stands before and after it are other nodes."""
    names = [[tensor.name for tensor in tensors] for tensors in (inputs, outputs)]
    copy = helper.make_node("Copy", before[-1].output if before else names[0], after[0].input if after else names[1], domain="my.ops")
    graph = helper.make_graph([*before, copy, *after], "g", inputs, outputs, value_info=values)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("my.ops", 1)]), model)


# Each output: the bytes of the input of the same index.
with open(os.path.join(scratch, "lib.c"), "w", encoding="ascii") as file:
    file.write('#include <string.h>\n#include "runtime/qanat.h"\n'
               "void my_copy(const struct qn_custom *op, const void *const *in, void *const *out) {\n"
               "    for (int i = 0; i < op->output_count; i++)\n"
               "        if (op->inputs[i].bytes == op->outputs[i].bytes) memcpy(out[i], in[i], op->inputs[i].bytes);\n"
               "        else memset(out[i], 0, op->outputs[i].bytes);\n}\n")
subprocess.run([gcc, "-shared", "-fPIC", "-I" + root, file.name, "-o", library], check=True)
custom = ["--custom", "my.ops.Copy=my_copy"]
ROUTES = (["interp"], ["process"], ["llvm"], ["c", "--cc", gcc])


def check_copy(feed, *options):
    np.savez(inputs[1], **feed)
    for route in ROUTES:
        run("run", model, *custom, *options, "--library", library, *inputs, "--via", *route)
        with np.load(inputs[-1]) as out:
            for name, array in zip(out.files, feed.values()):
                assert out[name].dtype == array.dtype and (out[name] == array).all(), (route, name, out[name])


HALF, FLOAT = TensorProto.FLOAT16, TensorProto.FLOAT
# A first result without elements is no reason not to call the function.
make_copy([value("x", FLOAT, [0, 2]), value("s", FLOAT, [])], [value("y", FLOAT, [0, 2]), value("z", FLOAT, [])])
check_copy({"x": np.ones((0, 2), np.float32), "s": np.float32(3)})
# Between nodes that compute in f32 it gets the f16 that the model states.
relu = [helper.make_node("Relu", ["x"], ["c"])], [helper.make_node("Relu", ["d"], ["y"])]
make_copy([value("x", HALF, [2])], [value("y", HALF, [2])], [value("c", HALF, [2]), value("d", HALF, [2])], *relu)
check_copy({"x": np.array([1, 2], np.float16)})
# Dimensions by the names that inputs have for them; they can't vary from run to run.
make_copy([value("x", FLOAT, ["n", 2])], [value("y", FLOAT, ["n", 2])], [value("d", FLOAT, ["n", 2])], *relu)
check_copy({"x": np.ones((3, 2), np.float32)}, "--shape", "x:3,2")
run("compile", model, *custom, "--shape", "x:1..4,2", "-o", objects[0], status=1, error="the custom operator 'd' takes one size")
# Nodes of one name, and functions named like what the C text has around their calls.
twice = [helper.make_node("Copy", ["x"], ["c"], name="a", domain="my.ops")], [helper.make_node("Copy", ["d"], ["y"], name="a", domain="my.ops")]
make_copy([value("x", FLOAT, [2])], [value("y", FLOAT, [2])], [value("c", FLOAT, [2]), value("d", FLOAT, [2])], *twice)
check_copy({"x": np.ones(2, np.float32)})
for word in ("c", "worker", "tensors"):
    run("compile", model, "--custom", "my.ops.Copy=" + word, "--emit", "c", "-o", os.path.join(scratch, "m.c"))
    subprocess.run([gcc, "-w", "-c", os.path.join(scratch, "m.c"), "-o", objects[0]], check=True)
# Attributes: as text, if they are short.
twice[0][0].attribute.extend([helper.make_attribute("f", [0.5, 2.0]), helper.make_attribute("s", b"\0%s")])
make_copy([value("x", FLOAT, [2])], [value("y", FLOAT, [2])], [value("c", FLOAT, [2]), value("d", FLOAT, [2])], *twice)
run("import", model, *custom, "-o", qir)
with open(qir, "rb") as binary:
    assert rb'"f = [0.5, 2.0], s = \"\\00%s\""' in binary.read()
twice[0][0].attribute.extend(helper.make_attribute(f"a{i}", [2**62] * 4000) for i in range(20))
make_copy([value("x", FLOAT, [2])], [value("y", FLOAT, [2])], [value("c", FLOAT, [2]), value("d", FLOAT, [2])], *twice)
run("import", model, *custom, "-o", qir, status=1, error="attribute 'a0' is no number, text or short list of numbers")
# A function named like the model that `run` compiles.
with open(os.path.join(scratch, "lib.c"), "a", encoding="ascii") as file:
    file.write("void model_run(const struct qn_custom *op, const void *const *in, void *const *out) { my_copy(op, in, out); }\n")
subprocess.run([gcc, "-shared", "-fPIC", "-I" + root, file.name, "-o", library], check=True)
make_copy([value("x", FLOAT, [2])], [value("y", FLOAT, [2])])
run("run", model, "--custom", "my.ops.Copy=model_run", "--library", library, "-i", "random", "--via", "llvm")
# Sizes can't depend on data.
nonzero = [helper.make_node("NonZero", ["x"], ["c"])]
make_copy([value("x", FLOAT, [2])], [value("y", TensorProto.INT64, [1, 2])], before=nonzero)
run("compile", model, *custom, "-o", objects[0], status=1, error="has a size that depends on data")
make_copy([value("x", FLOAT, [2])], [value("y", FLOAT, [2])], after=[helper.make_node("Relu", [""], ["y"])])
run("compile", model, *custom, "-o", objects[0], status=1, error="its output 0 has no name")
for word in ("int", "memcpy", "qn_mine"):
    run("compile", model, "--custom", "my.ops.Copy=" + word, "-o", objects[0], status=2, error="'" + word + "' can't be the name")
