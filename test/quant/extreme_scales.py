# Scales at the ends of f32, from a table by hand: multipliers between them exceed f32. Every route gives the same bytes, a sum of 0
# is 0, and all others saturate.
# REQUIRES: numpy
# RUN: rm -rf %t && mkdir %t && %python %s %qanat %t
import os
import subprocess
import sys

import numpy as np

qanat, work = sys.argv[1:3]
os.chdir(work)
with open("net.qir", "w", encoding="utf-8") as file:
    file.write("""func @main(%x: tensor<1x2x2x1xf32>) -> tensor<1x2x2x2xf32> {
%w = constant dense<[[[[0.5]]], [[[-2.0]]]]> : tensor<2x1x1x1xf32>
%y = nn.conv2d %x, %w {activation = "none"} : (tensor<1x2x2x1xf32>, tensor<2x1x1x1xf32>) -> tensor<1x2x2x2xf32>
%z = nn.add %y, %y : (tensor<1x2x2x2xf32>, tensor<1x2x2x2xf32>) -> tensor<1x2x2x2xf32>
return %z : tensor<1x2x2x2xf32>
}
""")


def run(via, x):
    np.savez("x.npz", x=np.float32(x).reshape(1, 2, 2, 1))
    subprocess.run([qanat, "run", "net.qir", "--input", "x.npz", "--quantize", "i8", "--calibration", "table", "--via", via, "-o", "out.npz"], check=True)
    with np.load("out.npz") as out:
        return out["z"].ravel()


for x_range, y_range, z_range in (("3e38", "1e-30", "1e-30"), ("3e38", "1e-30", "3e38"), ("1e-40", "3e38", "1e-40"), ("1e38", "1e38", "1e-40")):
    with open("table", "w", encoding="utf-8") as file:
        for name, limit in (("x", x_range), ("y", y_range), ("z", z_range)):
            file.write(f"{name} {limit} -{limit} {limit}\n")
    for x in ([0, 0, 0, 0], [3e38, -3e38, 0, 1]):
        results = {via: run(via, x) for via in ("interp", "process", "llvm", "c")}
        for via, result in results.items():
            assert result.tobytes() == results["interp"].tobytes(), (x_range, y_range, z_range, via, result, results["interp"])
        if not any(x):
            assert not results["interp"].any(), results["interp"]
        elif (y_range, z_range) == ("1e-30", "1e-30"):
            assert np.array_equal(np.sign(results["interp"]), [1, -1, -1, 1, 0, 0, 0, 0]), results["interp"]
