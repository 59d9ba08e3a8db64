# REQUIRES: numpy
# RUN: %python %s %qanat %t
"""Convolutions that run together over bands of rows: the same bytes on every route and with any number of threads as the
interpreter gives. Windows, strides and dilations that make bands overlap, rows that lie in the halo, halos of odd sizes, images of
few rows, sums, and bands of a few rows. usage: fused.py QANAT SCRATCH"""
import os
import re
import subprocess
import sys

import numpy as np

qanat, scratch = sys.argv[1:]
os.makedirs(scratch, exist_ok=True)

# height, width, input channels, expanded, window, stride, dilation, padding (top, left, bottom, right), with a sum
NETWORKS = [
    (56, 64, 32, 256, 3, 1, 1, (1, 1, 1, 1), True),
    (61, 40, 24, 200, 3, 2, 1, (1, 1, 1, 1), False),
    (40, 37, 16, 144, 5, 1, 1, (2, 2, 2, 2), True),
    (33, 64, 16, 192, 5, 2, 1, (1, 2, 2, 1), False),
    (48, 48, 24, 160, 3, 1, 2, (2, 2, 2, 2), True),
    (30, 64, 32, 224, 7, 3, 1, (0, 3, 3, 3), False),
    (5, 9, 16, 96, 3, 1, 1, (1, 1, 1, 1), True),
    (2, 30, 16, 160, 3, 1, 1, (1, 1, 1, 1), False),
]
TYPE = "!quant.uniform<i8:f32, {}:{}>"
WEIGHT = "!quant.uniform<i8<-127:127>:f32, 0.02>"


def constant(values):
    return "dense<" + str(values.tolist()) + ">"


def network(height, width, channels, wide, window, stride, dilation, pads, residual, random):
    reach = (window - 1) * dilation + 1
    out_h, out_w = ((size + pads[i] + pads[i + 2] - reach) // stride + 1 for i, size in enumerate((height, width)))
    ends = channels if residual else channels + 5
    x, e = TYPE.format(0.05, 3), TYPE.format(0.04, -100)
    lines = [f"func @main(%x: tensor<1x{height}x{width}x{channels}xf32>) -> tensor<1x{out_h}x{out_w}x{ends}xf32> {{"]
    for name, shape in ("we", (wide, 1, 1, channels)), ("wd", (wide, window, window, 1)), ("wp", (ends, 1, 1, wide)):
        values = random.integers(-127, 128, shape)
        lines.append(f"  %{name} = constant {constant(values)} : tensor<{'x'.join(map(str, shape))}x{WEIGHT}>")
    for name, count in ("be", wide), ("bd", wide), ("bp", ends):
        lines.append(f"  %{name} = constant {constant(random.integers(-3000, 3000, count))} : tensor<{count}xi32>")
    lines += [
        f"  %q = nn.quantize %x : tensor<1x{height}x{width}x{channels}x{x}>",
        f'  %e = nn.conv2d %q, %we, %be {{activation = "relu6"}} : tensor<1x{height}x{width}x{wide}x{e}>',
        f"  %d = nn.conv2d %e, %wd, %bd {{strides = [{stride}, {stride}], dilations = [{dilation}, {dilation}], pads = {list(pads)}, "
        f'group = {wide}, activation = "relu6"}} : tensor<1x{out_h}x{out_w}x{wide}x{e}>',
        f"  %p = nn.conv2d %d, %wp, %bp : tensor<1x{out_h}x{out_w}x{ends}x{TYPE.format(0.3, -4)}>",
    ]
    if residual:
        lines.append(f"  %s = nn.add %p, %q : tensor<1x{out_h}x{out_w}x{ends}x{TYPE.format(0.31, 7)}>")
    lines += [f"  %y = nn.dequantize {'%s' if residual else '%p'}", "  return %y", "}", ""]
    return "\n".join(lines)


def output(path, *options):
    out = os.path.join(scratch, "out.npz")
    subprocess.run([qanat, "run", path, "--input", "random", "-o", out, *options], check=True, capture_output=True)
    with np.load(out) as arrays:
        return arrays["y"]


def fused(path, target):
    """The bands and the rows of what runs together."""
    text = subprocess.run([qanat, "opt", path, "--passes=lower", "--elide", "--target", target], check=True, capture_output=True, text=True).stdout
    return [int(band) for band in re.findall(r"kn\.rows \{calls = \d+, band = (\d+)\}", text)]


random = np.random.default_rng(5)
bands = []
for index, shape in enumerate(NETWORKS):
    path = os.path.join(scratch, f"network{index}.qir")
    with open(path, "w", encoding="ascii") as file:
        file.write(network(*shape, random))
    wanted = output(path, "--via", "interp")
    assert len(np.unique(wanted)) > 50, (shape, len(np.unique(wanted)))
    bands.append(fused(path, "x86-64-v4-vnni"))
    for via in "process", "llvm":
        for threads in 1, 2, 3, 5:
            got = output(path, "--via", via, "--threads", str(threads))
            assert np.array_equal(got, wanted), (shape, via, threads)
got = output(os.path.join(scratch, "network0.qir"), "--via", "c", "--threads", "3", "--cc", "cc -O1")
assert np.array_equal(got, output(os.path.join(scratch, "network0.qir"), "--via", "interp")), "c"

# Each thread's own times are shared out, of however many threads.
report = subprocess.run([qanat, "profile", os.path.join(scratch, "network0.qir"), "--threads", "65"], capture_output=True, text=True)
assert report.returncode == 0 and "qn_depthwise_s8s8_s8__" in report.stdout, report.stderr

# All run together where kernels are fast, some in several bands: 31 rows in two of 16.
assert [len(found) for found in bands] == [1] * len(NETWORKS), bands
assert bands[0] == [14] and bands[1] == [16] and bands[7] == [2], bands
