# Sizes that vary within bounds: one object for all of them. Floats are held against ONNX Runtime, integers against the
# reference interpreter at each size, by every route; what can't vary is refused by name.
# REQUIRES: onnx, onnxruntime, numpy, gcc
# RUN: rm -rf %t && mkdir %t && cd %t && %python %s %qanat
import ctypes
import os
import subprocess
import sys

import numpy as np
import onnxruntime

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
import bounded_models

qanat = sys.argv[1]
random = np.random.default_rng(3)


def images(batch):
    return {"x": random.standard_normal((batch, 3, 8, 8)).astype(np.float32)}


def words(batch, seq):
    return {"ids": random.integers(0, bounded_models.WORDS, (batch, seq))}


def pairs(n):
    return {name: random.standard_normal((n, 6)).astype(np.float32) for name in "ab"}


def planes(height, width):
    return {"x": random.standard_normal((1, 1, height, width)).astype(np.float32)}


# Network, --shape, sizes in their order, inputs for sizes, sizes to try.
NETS = [("conv", ["x:1..8,3,8,8"], images, [(1,), (2,), (3,), (7,), (8,)]),
        ("transformer", ["ids:1..3,1..48"], words, [(1, 1), (1, 2), (2, 1), (3, 1), (2, 7), (1, 48), (3, 31), (3, 48)]),
        ("causal", ["x:1..2,1..48,8"], lambda *size: {"x": random.standard_normal((*size, 8)).astype(np.float32)},
         [(1, 1), (2, 5), (2, 48), (1, 47)]),
        ("valid", ["x:1,1,5..9,6..20"], planes, [(5, 6), (9, 20), (5, 20), (9, 6), (7, 11)]),
        ("pair", ["a:len=2..40,6", "b:len,6"], pairs, [(2,), (3,), (29,), (40,)])]


def call(*arguments):
    return subprocess.run([qanat, *arguments], capture_output=True, text=True, timeout=300, check=False)


def succeed(*arguments):
    done = call(*arguments)
    assert done.returncode == 0, (arguments, done.returncode, done.stderr)


def shape_options(shapes):
    return [word for shape in shapes for word in ("--shape", shape)]


class Compiled:
    """A shared object, called as a product would."""

    def __init__(self, path, name):
        self.library = ctypes.CDLL(os.path.abspath(path))
        self.run = getattr(self.library, name + "_run")
        arena_bytes = getattr(self.library, name + "_arena_bytes")
        arena_bytes.restype = ctypes.c_size_t
        memory = np.full(arena_bytes(1) + 64, 0xA5, np.uint8)  # whatever was there
        self.memory, self.arena = memory, ctypes.c_void_p(memory.ctypes.data + -memory.ctypes.data % 64)
        assert getattr(self.library, name + "_init")(self.arena, None) == 0

    def __call__(self, feeds, sizes, like):
        results = [np.full(value.shape, 77, value.dtype) for value in like]
        inputs = b"".join(value.ctypes.data.to_bytes(8, "little") for value in feeds.values())
        inputs += b"".join(size.to_bytes(4, "little", signed=True) for size in sizes)
        pointers = (ctypes.c_void_p * len(results))(*[value.ctypes.data for value in results])
        self.status = self.run(self.arena, inputs, pointers, None)
        return results


def close(found, expected, what):
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype, (what, a.shape, b.shape)
        assert np.abs(a - b).max() <= 2e-6 * np.abs(b).max(), (what, np.abs(a - b).max(), np.abs(b).max())


def equal(found, expected, what):
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape and a.tobytes() == b.tobytes(), what


def run(net, shapes, feeds, via, *options):
    np.savez("in.npz", **feeds)
    succeed("run", net + ".onnx", *shape_options(shapes), "--input", "in.npz", "--via", via, "-o", "out.npz", *options)
    return list(np.load("out.npz").values())


def compile_both(net, shapes, *options):
    """Under names of their own: a library is loaded once under one."""
    files = [f"{net}_{len(options)}_{route}.so" for route in ("llvm", "c")]
    succeed("compile", net + ".onnx", *shape_options(shapes), "-o", "llvm.so", *options)
    succeed("compile", net + ".onnx", *shape_options(shapes), "-o", "c.c", "--name", "c", *options)
    subprocess.run(["gcc", "-std=c99", "-O1", "-w", "-shared", "-fPIC", "c.c", "-o", files[1]], check=True)
    os.rename("llvm.so", files[0])
    return Compiled(files[0], "llvm"), Compiled(files[1], "c")


def check_floats(net, shapes, feeds_of, sizes):
    session = onnxruntime.InferenceSession(net + ".onnx")
    programs = compile_both(net, shapes)
    for size in sizes:
        feeds = feeds_of(*size)
        expected = session.run(None, feeds)
        for program in programs:
            found = program(feeds, size, expected)
            assert program.status == 0
            close(found, expected, (net, size))
    close(run(net, shapes, feeds, "process"), expected, (net, size, "process"))


def calibrate(net, shapes, feeds_of, size):
    os.makedirs(net, exist_ok=True)
    for i in range(3):
        np.savez(f"{net}/{i}.npz", **feeds_of(*size))
    succeed("calibrate", net + ".onnx", *shape_options(shapes), "--data", net, "-o", net + ".table")


def check_integers(net, shapes, feeds_of, sizes):
    calibrate(net, shapes, feeds_of, sizes[-1])
    options = ["--calibration", net + ".table"]
    programs = compile_both(net, shapes, *options)
    for size in sizes:
        feeds = feeds_of(*size)
        expected = run(net, shapes, feeds, "interp", *options)
        equal(run(net, shapes, feeds, "process", *options), expected, (net, size, "process"))
        for program in programs:
            equal(program(feeds, size, expected), expected, (net, size))


def check_random_ranges():
    """Numbers that are drawn to measure ranges have the largest sizes, also where those of a run are others."""
    shapes, options, feeds = NETS[-1][1], ["--calibrate-on", "random"], pairs(3)
    expected = run("pair", shapes, feeds, "interp", *options)
    for program in compile_both("pair", shapes, *options):
        equal(program(feeds, (3,), expected), expected, "random ranges")


def check_header():
    text = open("c.h", encoding="utf-8").read()
    assert "const float *a; // a: [len, 6], at most 960 bytes" in text, text
    assert "    int32_t len; // 2 to 40\n" in text and "float *y; // y: [len, 12], at most 1920 bytes" in text, text
    with open("main.c", "w", encoding="utf-8") as file:
        file.write("""#include "c.h"
#include <stdio.h>
static _Alignas(C_ARENA_ALIGN) unsigned char arena[C_ARENA_BYTES];
int main(void) {
    static float a[40 * 6], b[40 * 6], y[40 * 12 + 1];
    struct c_inputs in = {.a = a, .b = b, .len = 2};
    struct c_outputs out = {.y = y};
    int status[4];
    for (int i = 0; i < 12; i++) a[i] = (float)i, b[i] = 2;
    y[24] = 99;
    c_init(arena, NULL);
    status[0] = c_run(arena, &in, &out, NULL);
    printf("%g %g %g %g %g\\n", y[1], y[6], y[12], y[17], y[24]);
    in.len = 1, status[1] = c_run(arena, &in, &out, NULL);
    in.len = 41, status[2] = c_run(arena, &in, &out, NULL);
    in.len = -2147483647, status[3] = c_run(arena, &in, &out, NULL);
    printf("%d %d %d %d, %d %s %d %d\\n", status[0], status[1] == QN_ERR_SIZE, status[2] == QN_ERR_SIZE, status[3] == QN_ERR_SIZE,
           c_info.size_count, c_info.sizes[0].name, c_info.sizes[0].least, c_info.sizes[0].most);
    return 0;
}
""")
    succeed("compile", "pair.onnx", "--shape", "a:len=2..40,6", "--shape", "b:len,6", "-o", "c.o")
    subprocess.run(["gcc", "-Wall", "-Werror", "main.c", "c.o", "-o", "main"], check=True)
    output = subprocess.run(["./main"], capture_output=True, text=True, check=True).stdout
    assert output == "2 2 12 22 99\n0 1 1 1, 1 len 2 40\n", output


def refuse(status, text, *arguments):
    done = call(*arguments)
    assert done.returncode == status and text in done.stderr, (arguments, done.returncode, done.stderr)


def check_refusals():
    def compile_fails(status, text, net, *shapes):
        refuse(status, text, "compile", net + ".onnx", *shape_options(shapes), "-o", "bad.o")
        assert not os.path.exists("bad.o")

    compile_fails(2, "with both bounds", "conv", "x:1..,3,8,8")
    compile_fails(2, "with both bounds", "conv", "x:8..1,3,8,8")
    compile_fails(2, "with both bounds", "conv", "x:0..8,3,8,8")
    compile_fails(2, "expected bounds of the size 'n'", "conv", "x:n,3,8,8")
    compile_fails(1, "gives dimension 'n' two sizes", "pair", "a:1..8,6", "b:1..9,6")
    compile_fails(1, "dimension 'n' is given two bounds, 1..8 and 2..8", "pair", "a:1..8,6", "b:2..8,6")
    compile_fails(1, "'y'", "fixed", "x:1..8,4")
    compile_fails(1, "dimension 'n' can't vary: at n = ", "fixed", "x:1..8,4")
    compile_fails(1, "dimension 'n' can't vary", "mask", "x:1..8,4")
    compile_fails(1, "the constant 'triangle' would have other elements", "mask", "x:1..8,4")
    compile_fails(1, "dimension 'n' can't vary", "odd", "x:1,2,4..100")
    np.save("nine.npy", np.zeros((9, 3, 8, 8), np.float32))
    refuse(1, "dimension 'batch' of input 'x' is 9, beyond the bounds 2..8", "run", "conv.onnx", "--shape", "x:2..8,3,8,8", "--input", "nine.npy")
    succeed("import", "conv.onnx", "-o", "conv.qir")
    refuse(1, "only dimensions of an ONNX model can vary", "compile", "conv.qir", "--shape", "x:1..8,3,8,8", "-o", "bad.o")


def check_tools():
    """eval, bench and profile take the size of their data."""
    np.savez("labelled.npz", x=images(6)["x"], labels=np.arange(6) % 5)
    done = call("eval", "conv.onnx", "--shape", "x:1..8,3,8,8", "--data", "labelled.npz", "--json")
    assert done.returncode == 0 and '"images": 6' in done.stdout, (done.stdout, done.stderr)
    np.save("five.npy", images(5)["x"])
    for tool in ("bench", "profile"):
        succeed(tool, "conv.onnx", "--shape", "x:1..8,3,8,8", "--input", "five.npy", "--iterations", "3")
    every = run("conv", ["x:1..8,3,8,8"], images(5), "process", "--dump-all")
    assert len(every) > 5 and all(value.shape[0] == 5 for value in every), [value.shape for value in every]
    pinned = call("compile", "conv.onnx", "--shape", "x:4..4,3,8,8", "-o", "pinned.c")  # no size at all
    assert pinned.returncode == 0 and "int32_t batch" not in open("pinned.h", encoding="utf-8").read()


bounded_models.all_models()
for each in NETS:
    check_floats(*each)
check_header()
check_random_ranges()
for each in NETS[:2]:
    check_integers(*each)
check_refusals()
check_tools()
