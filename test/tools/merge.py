# Histograms of two runs join to those of one run over all samples, byte for byte, and so do the tables of every method but ema;
# of tables alone, those of minmax.
# REQUIRES: numpy, onnx
# RUN: rm -rf %t && mkdir %t && %python %s %qanat %root/docs/examples/digits %t
import os
import random
import struct
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

qanat, digits, work = sys.argv[1:4]
os.chdir(work)
model = os.path.join(digits, "digits.onnx")
images = np.load(os.path.join(digits, "test.npz"))["image"][:90]
METHODS = "minmax,kl,kl-ncnn,mse,percentile,octav,aciq"


def calibrate(*arguments, status=0):
    run = subprocess.run([qanat, "calibrate", *arguments, *([] if "--merge" in arguments else ["--bias-correction", "off"])], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert run.returncode == status, run
    return run.stderr


def lines(path, header):
    with open(path, encoding="utf-8") as file:
        return [line for line in file if not header or not line.startswith("# data")]


# The second part is much larger in magnitude, and has all that is negative: ranges and bins differ.
images[40:] = 6 * images[40:] - 2
for name, part in (("a", images[:40]), ("b", images[40:60]), ("c", images[60:]), ("all", images)):
    np.savez(f"{name}.npz", image=part)
    calibrate(model, "--data", f"{name}.npz", "--equalize", "none", "--methods", METHODS, "--histograms", f"{name}.hist", "-o", name)
calibrate("--merge", "a.hist", "b.hist", "c.hist", "--methods", METHODS, "--histograms", "joined.hist", "-o", "joined")
for method in METHODS.split(","):
    assert lines(f"joined.{method}.table", True) == lines(f"all.{method}.table", True), method
    assert "# data: 40 samples of a.npz + 20 samples of b.npz + 30 samples of c.npz\n" in lines(f"joined.{method}.table", False)
# In another order, and in two steps: the same.
calibrate("--merge", "c.hist", "a.hist", "--histograms", "ca.hist", "-o", "ca.table")
calibrate("--merge", "b.hist", "ca.hist", "-o", "bca.table", "--percentile", "99")
calibrate(model, "--data", "all.npz", "--equalize", "none", "--percentile", "99", "-o", "all99.table")
assert lines("bca.table", True) == lines("all99.table", True)
calibrate("--merge", "a.minmax.table", "b.minmax.table", "c.minmax.table", "-o", "ranges.table")
assert lines("ranges.table", True) == lines("all.minmax.table", True)

# A tensor that shares another's memory near the end of the file, with few bytes behind it.
nodes = [helper.make_node("Sigmoid", [f"t{i - 1}" if i else "x"], [f"t{i}"]) for i in range(80)]
nodes += [helper.make_node("Flatten", ["t79"], ["flat"]), helper.make_node("Mul", ["flat", "zero"], ["y"])]
graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 4, 4])],
                          [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 32])], [numpy_helper.from_array(np.float32(0), "zero")])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), "moved.onnx")
calibrate("moved.onnx", "--data", "random", "--limit", "2", "--method", "kl", "--histograms", "moved.hist", "-o", "moved.table")
calibrate("--merge", "moved.hist", "--method", "kl", "-o", "again.table")
assert lines("again.table", False) == lines("moved.table", False)

# What can't be joined is said.
assert "only tables of `--method minmax` can be joined by themselves" in calibrate("--merge", "a.kl.table", "b.kl.table", status=1)
assert "tables and histograms can't be merged with one another" in calibrate("--merge", "a.hist", "b.kl.table", status=1)
assert "ema is about the order of samples" in calibrate("--merge", "a.hist", "b.hist", "--method", "ema", status=2)
assert "the output would replace the input 'b.hist'" in calibrate("--merge", "a.hist", "b.hist", "-o", "b.hist", status=2)
# No output replaces another or an input, and of several tables all are written or none.
for output in (["-o", "same"], ["--methods", "kl,mse", "-o", "aa"]):
    name = "same" if output[1] == "same" else "aa.mse.table"
    assert "can't hold both the table and the histograms" in calibrate("--merge", "a.hist", "b.hist", *output, "--histograms", name, status=2)
    assert not os.path.exists(name)
    assert "can't hold both the table and the histograms" in calibrate("--merge", "a.hist", "b.hist", *output, "--histograms", "./" + name, status=2)
    assert not os.path.exists(name)
os.makedirs("part.mse.table")
assert "part.mse.table: error: can't be written" in calibrate("--merge", "a.hist", "--methods", "kl,mse", "-o", "part", status=1)
assert not os.path.exists("part.kl.table")
for given in (["--merge", "a.hist"], [model, "--data", "a.npz", "--equalize", "none"]):
    assert "/dev/full: error: can't be written" in calibrate(*given, "--histograms", "/dev/full", "-o", "full.table", status=1)
    assert not os.path.exists("full.table")

calibrate(model, "--data", "a.npz", "--equalize", "range", "--histograms", "range.hist", "-o", "range.table")
assert "range.hist: error: has other factors of channels" in calibrate("--merge", "a.hist", "range.hist", status=1)
assert "unexpected argument 'b.hist'" in calibrate("a.hist", "b.hist", status=2)

# A file of very many tensors, each of few bytes: memory is that of the file, not of the bins that these would fill.
def number(value):
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + number(value >> 7)


def text(value):
    return number(len(value)) + value


def with_check(data):
    check = 0xCBF29CE484222325
    for byte in data:
        check = (check ^ byte) * 0x100000001B3 % 2 ** 64
    return data + check.to_bytes(8, "little")


def crafted(count, at, bins=(1,)):
    one = struct.pack("<ff", 1, 1) + number(1) + number(0) + number(1 - 13 + 1024) + number(8192 + at) + number(len(bins)) + b"".join(map(number, bins))
    return with_check(b"QNHIST1\n" + text(b"") + text(b"x") + number(0) + number(count) + b"".join(text(b"t%d" % i) + number(1) + one for i in range(count)))


def peak_megabytes(*arguments):
    os.environ["ASAN_OPTIONS"] = "quarantine_size_mb=1" # where memory is watched, what is free is kept back no longer
    code = ("import resource, subprocess, sys; status = subprocess.run(sys.argv[1:], check=False).returncode; "
            "print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)")
    out = subprocess.run([sys.executable, "-c", code, qanat, "calibrate", *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout
    return [int(word) for word in out.split()]


for name, at in (("many1.hist", 4096), ("many2.hist", 4097)):
    with open(name, "wb") as file:
        file.write(crafted(3000, at))
status, peak = peak_megabytes("--merge", "many1.hist", "many2.hist", "--method", "percentile", "-o", "many.table")
assert status == 0 and peak < 100, (status, peak) # 3000 times 128 kB would be 390 MB
with open("many.table", encoding="utf-8") as file:
    assert sum(line.startswith("t") for line in file) == 3000
with open("more.hist", "wb") as file:
    file.write(crafted(65537, 4096))
assert "more.hist: error: the file of histograms is damaged" in calibrate("--merge", "more.hist", "-o", "more.table", status=1)
# Counters whose sum is the count of values in 64 bits, and not in truth.
with open("more.hist", "wb") as file:
    file.write(crafted(1, 4096, (2 ** 63, 2 ** 63 + 1)))
assert "more.hist: error: the file of histograms is damaged" in calibrate("--merge", "more.hist", "-o", "more.table", status=1)

# Damaged files, also with a checksum that fits: a message, never a crash.
dice = random.Random(5)
with open("ca.hist", "rb") as file:
    whole = file.read()
for turn in range(60):
    data = bytearray(whole[:-8])
    for _ in range(dice.randrange(1, 4)):
        data[8 + dice.randrange(min(len(data) - 8, 200 if turn % 2 else len(data)))] = dice.choice((0, 1, 127, 128, 255, dice.randrange(256)))
    if turn % 5 == 0:
        del data[dice.randrange(len(data)):]
    data = with_check(bytes(data)) if turn % 3 else bytes(data) + (1).to_bytes(8, "little")
    with open("bad.hist", "wb") as file:
        file.write(data)
    run = subprocess.run([qanat, "calibrate", "--merge", "bad.hist", "b.hist", "-o", "bad.table"], stderr=subprocess.PIPE, text=True, check=False)
    assert run.returncode in (0, 1) and (run.returncode == 0) == (not run.stderr), run
    assert turn % 3 or run.returncode, turn
