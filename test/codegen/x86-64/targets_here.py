# REQUIRES: numpy, gcc, clang
# RUN: rm -rf %t && mkdir %t && %python %s %qanat %root %t %gcc %clang
"""Objects for several targets on this processor: each target that it runs gives the same bytes, by both code routes, with steps that
run together, states and sizes that vary; weights stand there once; mistakes of the command line.
usage: targets_here.py QANAT ROOT SCRATCH GCC CLANG"""
import ctypes
import os
import re
import subprocess
import sys

import numpy as np

qanat, root, scratch, gcc, clang = sys.argv[1:]
os.chdir(scratch)
DIGITS = os.path.join(root, "docs/examples/digits/digits.onnx")
TARGETS = [line.split()[0] for line in subprocess.check_output([qanat, "targets"], text=True).splitlines()]
HERE = [line.split()[0] for line in subprocess.check_output([qanat, "targets"], text=True).splitlines() if "(not here)" not in line]
ALL = ",".join(reversed(TARGETS))  # the order in which they are named means nothing


class Options(ctypes.Structure):
    _fields_ = [("threads", ctypes.c_int), ("target", ctypes.c_char_p)]


def compile_for(targets, output, *options, model=DIGITS):
    done = subprocess.run([qanat, "compile", model, "--target", targets, "-o", output, *options], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


class Network:
    """A compiled network, loaded."""

    def __init__(self, path, name="net"):
        self.library = ctypes.CDLL(os.path.abspath(path))
        self.call = {verb: getattr(self.library, f"{name}_{verb}") for verb in ("arena_bytes", "init", "run", "reset", "target")}
        self.call["arena_bytes"].restype = ctypes.c_size_t
        self.call["target"].restype = ctypes.c_char_p
        size = self.call["arena_bytes"](1)
        self.memory = ctypes.create_string_buffer(size + 64)
        self.arena = ctypes.c_void_p((ctypes.addressof(self.memory) + 63) // 64 * 64)

    def init(self, target=None):
        return self.call["init"](self.arena, ctypes.byref(Options(1, target.encode() if target else None)))

    def target(self):
        return self.call["target"](self.arena)

    def run(self, array, count, sizes=b""):
        array = np.ascontiguousarray(array, np.float32)
        out = np.full(count, np.nan, np.float32)
        inputs = ctypes.create_string_buffer(array.ctypes.data.to_bytes(8, "little") + sizes)
        outputs = (ctypes.c_void_p * 1)(out.ctypes.data)
        assert self.call["run"](self.arena, inputs, outputs, None) == 0
        return out


def check_all(path, array, count, exact=True, runs=1, sizes=b""):
    """Every target of this machine; the first is the one that init takes by itself. Several runs: of states."""
    net, wanted = Network(path), None
    assert net.target() is None
    assert net.init("x86-64-v0") == 7 and net.target() is None
    for target in [None, *TARGETS]:
        status = net.init(target)
        assert status == (0 if target in (None, *HERE) else 2), (target, status)
        if status:
            continue
        assert net.target().decode() == (target or HERE[0]), (target, net.target())
        actual = np.stack([net.run(array, count, sizes) for _ in range(runs)])
        assert not np.isnan(actual).any()
        wanted = actual if wanted is None else wanted
        assert (np.array_equal if exact else np.allclose)(actual, wanted), (path, target)
    return wanted


rng = np.random.default_rng(1)
image = rng.uniform(0, 1, 64)
int8 = ("--calibrate-on", "random")

# ---- both routes; another number of threads compiles the same bytes
assert compile_for(ALL, "net.so", *int8) == (0, "")
scores = check_all("net.so", image, 10)
assert len(np.unique(scores)) > 3
assert compile_for(ALL, "net.o", *int8, "-j", "1")[0] == 0 and compile_for(",".join(TARGETS), "again.o", *int8, "-j", "3", "--name", "net")[0] == 0
with open("net.o", "rb") as one, open("again.o", "rb") as other:
    assert one.read() == other.read()
subprocess.run(["cc", "-shared", "net.o", "-o", "linked.so"], check=True)
assert np.array_equal(check_all("linked.so", image, 10), scores)
assert compile_for(ALL, "net.c", *int8) == (0, "")
for i, compiler in enumerate((gcc, clang)):
    subprocess.run([compiler, "-std=c11", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O1", "-fPIC", "-shared", "net.c", "-o", f"c{i}.so"], check=True)
    assert np.array_equal(check_all(f"c{i}.so", image, 10), scores)
assert compile_for(ALL, "float.so", "--name", "net") == (0, "")
check_all("float.so", image, 10, exact=False)

# ---- C of families of which neither has all of the other's instructions, and no third one that has what they share
with open("conv.qir", "w", encoding="ascii") as file:
    file.write("""func @main(%x: tensor<1x4x4x32x!quant.uniform<i8:f32, 0.05:3>>) -> tensor<1x4x4x32x!quant.uniform<i8:f32, 0.05:3>> {
  %w = constant dense<2> : tensor<32x1x1x32x!quant.uniform<i8<-127:127>:f32, 0.02>>
  %b = constant dense<100> : tensor<32xi32>
  %y = nn.conv2d %x, %w, %b : tensor<1x4x4x32x!quant.uniform<i8:f32, 0.05:3>>
  return %y
}
""")
for targets in ("x86-64-v4-amx,x86-64-v3-vnni", "x86-64-v4-vnni,x86-64-v3-vnni", "x86-64-v4,x86-64-v3-vnni"):
    assert compile_for(targets, "conv.c", model="conv.qir") == (0, "")
    for compiler in (gcc, clang):
        subprocess.run([compiler, "-std=c99", "-Wall", "-Wextra", "-Werror", "-O1", "-c", "conv.c", "-o", "conv.o"], check=True)

# ---- steps that run together, states, sizes that vary
rows = "!quant.uniform<i8:f32, 0.05:3>"
weight = "!quant.uniform<i8<-127:127>:f32, 0.02>"
constant = lambda *shape: "dense<" + str(rng.integers(-127, 128, shape).tolist()) + "> : tensor<" + "x".join(map(str, shape)) + f"x{weight}>"
with open("fused.qir", "w", encoding="ascii") as file:
    file.write(f"""func @main(%x: tensor<1x56x64x32xf32>) -> tensor<1x56x64x32xf32> {{
  %we = constant {constant(256, 1, 1, 32)}
  %wd = constant {constant(256, 3, 3, 1)}
  %wp = constant {constant(32, 1, 1, 256)}
  %b = constant dense<100> : tensor<256xi32>
  %bp = constant dense<100> : tensor<32xi32>
  %q = nn.quantize %x : tensor<1x56x64x32x{rows}>
  %e = nn.conv2d %q, %we, %b {{activation = "relu6"}} : tensor<1x56x64x256x{rows}>
  %d = nn.conv2d %e, %wd, %b {{pads = [1, 1, 1, 1], group = 256, activation = "relu6"}} : tensor<1x56x64x256x{rows}>
  %p = nn.conv2d %d, %wp, %bp : tensor<1x56x64x32x{rows}>
  %s = nn.add %p, %q : tensor<1x56x64x32x{rows}>
  %y = nn.dequantize %s
  return %y
}}
""")
assert compile_for(ALL, "fused.so", "--name", "net", model="fused.qir") == (0, "")
code = subprocess.check_output(["nm", "fused.so"], text=True)
assert "qn_fused_rows" in code, "nothing runs together"
together = check_all("fused.so", rng.uniform(-6, 6, 56 * 64 * 32), 56 * 64 * 32)
assert len(np.unique(together)) > 200
with open("sum.qir", "w", encoding="ascii") as file:
    file.write("""func @main(%x: tensor<1x16xf32>, %t: tensor<1x16xf32>) -> (tensor<1x16xf32>, tensor<1x16xf32>) {
  %y = nn.add %x, %t
  %z = nn.mul %y, %y
  return %z, %y
}
""")
assert compile_for(ALL, "state.so", "--name", "net", "--state", "t=y", model="sum.qir") == (0, "")
kept = check_all("state.so", np.full(16, 2), 16, runs=3)
assert kept[:, 0].tolist() == [4, 16, 36], kept

# ---- sections: the code of each target, and the weights once
def sections(path):
    lines = subprocess.check_output(["readelf", "-SW", path], text=True).splitlines()
    found = [re.match(r" *\[ *\d+\] (\S+) +\S+ +\S+ +\S+ +([0-9a-f]+) +\S+ +(\S*A\S*) ", line) for line in lines]
    return [(match[1], int(match[2], 16)) for match in found if match]


three, alone, most = "x86-64,x86-64-v4-vnni,x86-64-v3", 0, 0
assert compile_for(three, "three.o", *int8)[0] == 0
for target in three.split(","):
    assert compile_for(target, "one.o", *int8)[0] == 0
    most = max(most, sum(size for name, size in sections("one.o") if name == ".rodata.qanat"))
    alone += sum(size for name, size in sections("one.o") if name != ".rodata.qanat")
weights = [size for name, size in sections("three.o") if name == ".rodata.qanat"]
assert weights == [most] and most > 50000, (weights, most)
assert sum(size for _, size in sections("three.o")) <= alone + most

# ---- mistakes
for targets, kind, message in (
        ("x86-64,x86-64", ".o", "'x86-64' is named twice"), ("x86-64,x86-64-v33", ".o", "unknown target 'x86-64-v33'; did you mean 'x86-64-v3'?"),
        ("x86-64,", ".o", "unknown target ''"), (",", ".o", "unknown target ''"), ("x86-64,x86-64-v3", ".s", "--emit asm is for one target"),
        ("x86-64,x86-64-v3", ".ll", "--emit llvm is for one target")):
    status, words = compile_for(targets, "wrong" + kind)
    assert status == 2 and message in words and not os.path.exists("wrong" + kind), (targets, status, words)
with open("foreign.table", "w", encoding="ascii") as file:
    file.write("x 1 -1 1\n")
status, words = compile_for("x86-64,x86-64-v3", "wrong.o", "--quantize", "i8", "--calibration", "foreign.table")
assert status == 1 and words.count("error:") == 1 and not os.path.exists("wrong.o"), words
assert compile_for("x86-64,x86-64-v3", "wrong.o", "--isa", "avx2")[1].startswith("qanat: error: target 'x86-64' has no kernels of 'avx2'")
assert "--tune measures for one target" in compile_for("x86-64,x86-64-v3", "wrong.o", "--tune", "table")[1]
words = subprocess.run([qanat, "bench", DIGITS, "--target", "x86-64,x86-64-v3"], capture_output=True, text=True, check=False)
assert words.returncode == 2 and "several targets are for `qanat compile`" in words.stderr, words

# ---- two models in one program
assert compile_for(three, "other.o", "--name", "other")[0] == 0
subprocess.run(["cc", "-shared", "net.o", "other.o", "-o", "both.so"], check=True)
assert np.array_equal(check_all("both.so", image, 10), scores)
other = Network("both.so", "other")
assert other.init() == 0 and np.allclose(other.run(image, 10), check_all("float.so", image, 10, exact=False)[0], atol=1e-4)
