# REQUIRES: numpy
# RUN: rm -rf %t && %python %s %qanat %S/models %t
"""Networks in floats other than f32: inputs and outputs keep their type, data moves as it is, arithmetic is f32 and is
rounded once, at the output. Every route; the header; the types that are refused."""
import os
import subprocess
import sys

import numpy as np

qanat, models, work = sys.argv[1:4]
os.makedirs(work)


def run(*arguments):
    return subprocess.run([qanat, *arguments], capture_output=True, text=True, check=False)


def outputs(model, x, via):
    np.save(os.path.join(work, "x.npy"), x)
    done = run("run", os.path.join(models, model + ".onnx"), "--input", os.path.join(work, "x.npy"), "--via", via,
               "--output", os.path.join(work, "y.npz"))
    assert done.returncode == 0, done.stderr
    assert ("'a' (Abs) computes in f64: such nodes compute in f32 here" in done.stderr) == (model == "double"), done.stderr
    return np.load(os.path.join(work, "y.npz"))


def bf16(*values):
    """bf16 in the form that numpy saves it in: bytes without a meaning."""
    bits = np.array(values, np.float32).view(np.uint32) >> 16
    return bits.astype(np.uint16).view("V2").reshape(2, 2)


# y = x * [0.5, 3] - [0.5, 3], i = x to i8. Rounded after each step, 1003 would give 3004 and 171 would give 508.
CASES = {
    "float16": (np.array([[0.5, 1003], [65504, -7.75]], np.float16), np.array([[-0.25, 3006], [32752, -26.25]], np.float16), np.array([[0.5, 1003], [65504, 7.75]], np.float16),
                np.array([[0.5, 65504], [1003, -7.75]], np.float16), [[0, 127], [127, -7]]),
    "bfloat16": (bf16(0.5, 171, -1e30, 3), bf16(-0.25, 510, -5e29, 6), bf16(0.5, 171, 1e30, 3),bf16(0.5, -1e30, 171, 3), [[0, 127], [-128, 3]]),
    "double": (np.array([[0.1, 1 / 3], [1e300, -7.75]]), np.array([[-0.45, -2], [5e299, -26.25]]), np.array([[0.10000000149011612, 0.3333333432674408], [np.inf, 7.75]]),
               np.array([[0.1, 1e300], [1 / 3, -7.75]]), [[0, 0], [127, -7]]),
}
for name, (x, y, a, t, i) in CASES.items():
    for via in ("interp", "process", "llvm", "c"):
        got = outputs(name, x, via)
        for output, want in (("y", y), ("a", a), ("t", t), ("i", np.array(i, np.int8))):
            assert got[output].dtype == want.dtype, (name, via, output, got[output].dtype)
            assert got[output].tobytes() == want.tobytes(), (name, via, output, got[output])

# Numbers of another type are converted on the way in.
assert outputs("float16", np.array([[0.1, 1], [2, 3]], np.float64), "process")["t"][0, 0] == np.float16(0.1)

for name, ctype in (("float16", "uint16_t"), ("bfloat16", "uint16_t"), ("double", "double")):
    done = run("compile", os.path.join(models, name + ".onnx"), "-o", os.path.join(work, name + ".o"))
    with open(os.path.join(work, name + ".h"), encoding="utf-8") as file:
        header = file.read()
    assert done.returncode == 0 and f"const {ctype} *x;" in header and f"    {ctype} *y;" in header, (done.stderr, header)

for name, message in (("float8", "node 'narrow' (Cast): the type FLOAT8E4M3FN (17) is not supported"),
                      ("int4", "node 'narrow' (Cast): elements of type i4 are supported in constants only"),
                      ("int4_input", "input 'x' has elements of type INT4 and 1 dimensions, which is not supported"),
                      ("int4_output", "the graph's output 'y' has elements of type i4, which are supported in constants only")):
    done = run("import", os.path.join(models, name + ".onnx"), "-o", os.path.join(work, name + ".qir"))
    assert done.returncode == 1 and message in done.stderr, done.stderr
