# REQUIRES: numpy
# RUN: %python %s %qanat %t
"""The same bytes for any number of threads, in process and compiled, as the interpreter gives: a convolution of 7 rows and a
product of one, which threads share by output channels, and a convolution that they share by rows. Each output channel has
a bias of its own. usage: threads.py QANAT SCRATCH"""
import os
import subprocess
import sys

import numpy as np

NETWORK = """func @main(%x: tensor<1x7x7x8xf32>) -> tensor<1x40xf32> {{
  %w1 = constant dense<0.125> : tensor<12x3x3x8xf32>
  %b1 = constant dense<[{0}]> : tensor<12xf32>
  %w2 = constant dense<0.0625> : tensor<104x3x3x12xf32>
  %b2 = constant dense<[{1}]> : tensor<104xf32>
  %w3 = constant dense<0.03125> : tensor<40x5096xf32>
  %b3 = constant dense<[{2}]> : tensor<40xf32>
  %rows = nn.conv2d %x, %w1, %b1 {{pads = [1, 1, 1, 1]}}
  %channels = nn.conv2d %rows, %w2, %b2 {{pads = [1, 1, 1, 1]}}
  %flat = nn.reshape %channels {{shape = [1, 5096]}}
  %y = nn.linear %flat, %w3, %b3
  return %y
}}
"""

qanat, scratch = sys.argv[1:]
os.makedirs(scratch, exist_ok=True)
network = os.path.join(scratch, "network.qir")
random = np.random.default_rng(0)
with open(network, "w", encoding="ascii") as file:
    file.write(NETWORK.format(*(", ".join(f"{b:.3f}" for b in random.uniform(-size, size, count))
                                for count, size in ((12, 2), (104, 9), (40, 300)))))


def outputs(*options):
    """Every tensor of the network, by name."""
    path = os.path.join(scratch, "out.npz")
    subprocess.run([qanat, "run", network, "--input", "random", "--quantize", "i8", "--calibrate-on", "random", "--dump-all",
                    "-o", path, *options], check=True, capture_output=True)
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays}


wanted = outputs("--via", "interp")
assert len(np.unique(wanted["y"])) > 20, wanted["y"]
for via in "process", "llvm":
    for threads in 1, 2, 3, 5:
        actual = outputs("--via", via, "--threads", str(threads))
        for name in "rows", "channels", "y":
            assert np.array_equal(actual[name], wanted[name]), (via, threads, name)
