# REQUIRES: numpy
# RUN: rm -rf %t && mkdir %t && %python %s %qanat %S/Inputs %t %root
"""States of a network from run to run: by every route, in two instances of a compiled model, in streams of samples, and tied by
--state. The answers are literal."""
import os
import subprocess
import sys

import numpy as np

qanat, inputs, work, root = sys.argv[1:5]
os.chdir(work)
MODEL = os.path.join(inputs, "running.qir")
STREAM = np.float32([[2, 4], [2, 4], [4, 0], [100, -100]])
MEAN = [[2, 4], [1, 2], [2, 2], [26.5, -24]]
TOTAL = [[-1, 7.5], [1, 11.5], [5, 11.5], [37, -20.5]]  # 100 in steps of 1/4 is 31.75 at most, -100 is -32
np.save("stream.npy", STREAM.reshape(8))
np.save("one.npy", STREAM[0])
np.save("second.npy", STREAM[:2].reshape(4))


def run(*arguments, status=0):
    done = subprocess.run([qanat, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == status, (arguments, done.returncode, done.stderr)
    return done.stderr if status else done.stdout


def outputs(*arguments):
    run("run", *arguments, "-o", "out.npz")
    with np.load("out.npz") as file:
        return dict(file)


for via in "interp", "process", "llvm", "c":
    out = outputs(MODEL, "-i", "stream.npy", "--keep-state", "--via", via)
    assert out["mean"].reshape(-1, 2).tolist() == MEAN and out["total"].reshape(-1, 2).tolist() == TOTAL, (via, out)
    assert list(out) == ["mean", "total"]
    out = outputs(MODEL, "-i", "one.npy", "--via", via)
    assert out["mean"].tolist() == MEAN[0] and out["total"].tolist() == TOTAL[0]
assert outputs(MODEL, "-i", "stream.npy", "--keep-state", "-n", "2")["mean"].tolist() == [2, 4, 1, 2]
assert "--dump-all" in run("run", MODEL, "-i", "one.npy", "--keep-state", "--dump-all", "-o", "x.npz", status=2)
out = outputs(MODEL, "-i", "one.npy", "--dump-all")
assert out["next"].tolist() == [-6, 11] and out["two"].tolist() == [2, 4]

# The C interface, for stored bytes of either sign.
for target in "x86-64", "x86-64-v4-vnni":
    for route in "c", "obj":
        source = "running.c" if route == "c" else "running.o"
        run("compile", MODEL, "--target", target, "-o", source)
        subprocess.run(["cc", "-I.", os.path.join(inputs, "running.c"), source, "-o", "running"], check=True)
        assert target != "x86-64" or subprocess.run(["./running"], check=False).returncode == 0
header = open("running.h", encoding="utf-8").read()
assert "It is: last, before, sum" in header and "before;" not in header

# Ties: the same network, its states as inputs and outputs.
text = open(MODEL, encoding="utf-8").read()
begin, end = text.index(" attributes {"), text.index("}", text.index("i8:f32")) + 1
with open("loose.qir", "w", encoding="utf-8") as file:
    file.write(text[:begin] + text[end:])
tied = ["--state", "sum=next", "--state", "last=x_out", "--state", "before=last_out"]
with open("loose.qir", encoding="utf-8") as file:
    loose = file.read().replace("return %mean, %total, %x, %last, %next", "%x_out = nn.reshape %x {shape = [2]}\n"
                                "    %last_out = nn.reshape %last {shape = [2]}\n    return %mean, %total, %x_out, %last_out, %next")
with open("loose.qir", "w", encoding="utf-8") as file:
    file.write(loose)
for via in "interp", "process", "c":
    out = outputs("loose.qir", *tied, "-i", "stream.npy", "--keep-state", "--via", via)
    assert out["total"].reshape(-1, 2).tolist() == [[2, 4], [4, 8], [8, 8], [40, -24]], out
    assert out["mean"].reshape(-1, 2).tolist() == [[0.5, 1], [1, 2], [2, 2], [26.5, -24]], out
run("import", "loose.qir", *tied, "-o", "tied.qir")
assert run("info", "tied.qir").count("state ") == 3 and run("info", "tied.qir").count("input ") == 1
assert "expected INPUT=OUTPUT of this network" in run("info", "loose.qir", "--state", "last=y", status=1)
assert "they must be the same" in run("info", "loose.qir", "--state", "last=next", status=1)

# Ranges of a stream: a state's is that of what it begins with, too. Without --keep-state no run goes on from another.
run("import", os.path.join(inputs, "leaky.qir"), "-o", "leaky.qir")
np.save("ones.npy", np.full([8, 4], 1, np.float32))


def ranges(*arguments):
    lines = run("calibrate", "leaky.qir", "--data", "ones.npy", "--method", "minmax", "-o", "-", *arguments).splitlines()
    return {line.split()[0]: [float(x) for x in line.split()[1:]] for line in lines if not line.startswith("#")}


assert 0 <= ranges()["h"][2] < 1e-3, ranges()["h"]
assert ranges()["next"][2] == 1 and ranges("--keep-state")["next"][2] == 1.9921875 and ranges("--keep-state")["h"][2] == 1.984375
out = outputs("leaky.qir", "-i", "ones.npy", "--keep-state", "-q", "i8", "--calibrate-on", "ones.npy", "--method", "minmax")["y"].ravel()
expected = np.repeat(2 - 2.0 ** -np.arange(8), 4)
assert np.abs(out - expected).max() <= 0.03, out
for command in (["compare", "leaky.qir", "--data", "ones.npy", "--calibrate-on", "ones.npy", "--keep-state"],
                ["profile", "leaky.qir", "--iterations", "3"], ["bench", "leaky.qir", "--iterations", "3"]):
    run(*command)
