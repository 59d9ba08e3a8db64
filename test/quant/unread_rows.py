# Calibration runs some layers together over rows, but sees all of each tensor: also a row that nothing reads.
# REQUIRES: numpy
# RUN: rm -rf %t && mkdir %t && %python %s %qanat %t
import os
import subprocess
import sys

import numpy as np

qanat, work = sys.argv[1:3]
os.chdir(work)
CHANNELS, WIDE, SIZE = 32, 192, 64
rng = np.random.default_rng(1)


def constant(*shape):
    return f"constant dense<{rng.normal(0, 0.1, shape).round(3).tolist()}> : tensor<{'x'.join(map(str, shape))}xf32>"


# Windows of 3 rows, 2 apart, without padding: the last of 64 rows is in none.
with open("net.qir", "w", encoding="ascii") as file:
    file.write(f"""func @main(%x: tensor<1x{SIZE}x{SIZE}x{CHANNELS}xf32>) -> tensor<1x31x31x{CHANNELS}xf32> {{
  %we = constant dense<0.5> : tensor<{WIDE}x1x1x{CHANNELS}xf32>
  %wd = {constant(WIDE, 3, 3, 1)}
  %wp = {constant(CHANNELS, 1, 1, WIDE)}
  %wide = nn.conv2d %x, %we {{activation = "relu"}} : tensor<1x{SIZE}x{SIZE}x{WIDE}xf32>
  %deep = nn.conv2d %wide, %wd {{strides = [2, 2], group = {WIDE}, activation = "relu"}} : tensor<1x31x31x{WIDE}xf32>
  %y = nn.conv2d %deep, %wp : tensor<1x31x31x{CHANNELS}xf32>
  return %y
}}
""")
image = rng.uniform(0, 1, (1, SIZE, SIZE, CHANNELS)).astype(np.float32).round(2)
image[0, -1, 5] = 100
np.save("image.npy", image)
run = lambda *words: subprocess.run([qanat, *words], capture_output=True, text=True, check=True)
assert "run together" in run("compile", "net.qir", "--target", "x86-64-v3", "--explain", "-o", "net.o").stderr
run("calibrate", "net.qir", "--data", "image.npy", "--equalize", "none", "--bias-correction", "off", "-o", "table")
with open("table", encoding="ascii") as file:
    most = {words[0]: float(words[3]) for words in map(str.split, file) if words[0] in ("x", "wide", "deep", "y")}
assert most["x"] == 100 and abs(most["wide"] - 100 * CHANNELS / 2) < 0.01, most
assert 0 < most["deep"] < 100, most
