# Samples that are one stream: calibration sees in a network with a state what it sees in the one that is given the state's values, in
# every pass, and its corrections are those of the stream.
# REQUIRES: numpy
# RUN: rm -rf %t && mkdir %t && %python %s %qanat %t
import os
import subprocess
import sys

import numpy as np

qanat, work = sys.argv[1:3]
os.chdir(work)
SAMPLES = 12
# The state is what x was before, times 3/2. The second weight of each row is no multiple of 1/127.
NETWORK = """module @delay%s {
  func @main(%%x: tensor<1x2xf32>, %%before: tensor<1x2xf32>) -> (tensor<1x2xf32>, tensor<1x2xf32>) {
    %%w1 = constant dense<[[1.0, 0.3], [-0.7, 1.0]]> : tensor<2x2xf32>
    %%w2 = constant dense<[[1.0, 0.61], [0.2, 1.0]]> : tensor<2x2xf32>
    %%both = nn.add %%x, %%before : (tensor<1x2xf32>, tensor<1x2xf32>) -> tensor<1x2xf32>
    %%first = nn.linear %%both, %%w1 {activation = "relu"} : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
    %%y = nn.linear %%first, %%w2 : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
    %%more = constant dense<1.5> : tensor<f32>
    %%next = nn.mul %%x, %%more : (tensor<1x2xf32>, tensor<f32>) -> tensor<1x2xf32>
    return %%y, %%next : tensor<1x2xf32>, tensor<1x2xf32>
  }
}
"""
for name, attributes in (("kept", " attributes {qanat.states = 1}"), ("given", "")):
    with open(name + ".qir", "w", encoding="utf-8") as file:
        file.write(NETWORK % attributes)
x = np.random.default_rng(5).normal(1, 4, (SAMPLES, 1, 2)).astype(np.float32)
before = np.concatenate([np.zeros_like(x[:1]), 1.5 * x[:-1]])
np.savez("kept.npz", x=x[:, 0])
np.savez("given.npz", x=x[:, 0], before=before[:, 0])


def table(name, *options):
    done = subprocess.run([qanat, "calibrate", name + ".qir", "--data", name + ".npz", "-o", "-", *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if not line.startswith("#")]


for options in [["--method", method, "--bias-correction", correction, "--equalize", equalize] for method in ("mse", "auto", "ema") for correction in ("on", "auto")
                for equalize in ("none", "cross")]:
    stream = table("kept", "--keep-state", *options)
    assert stream == table("given", *options), (options, stream)
    assert stream == table("kept", "--keep-state", "--threads", "2", *options)
    assert stream != table("kept", *options), options
    assert table("kept", "--keep-state", "--equalize", "auto", *options[:4])

# What rounding takes from the first layer: 0.3 and -0.7 less what stands for them, times the means of what it reads.
lines = {line.split()[1]: np.float64(line.split()[2:]) for line in table("kept", "--keep-state", "--bias-correction", "on", "--equalize", "none") if line.startswith("bias:")}
mean = (x + before).mean(axis=(0, 1), dtype=np.float64)
expected = [(0.3 - 38 / 127) * mean[1], (-0.7 + 89 / 127) * mean[0]]
assert np.allclose(lines["first"], expected, rtol=0.01), (lines, expected)
