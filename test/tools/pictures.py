# REQUIRES: numpy
# RUN: %python %s %qanat %root %t
"""docs/examples/pictures, linked with networks whose pictures are known: what one draws, classes of pixels from integers and from scores, points.
usage: pictures.py QANAT ROOT SCRATCH"""
import os
import subprocess
import sys

import numpy as np

qanat, root, scratch = sys.argv[1:]
os.makedirs(scratch, exist_ok=True)
NETWORKS = {
    # negative of the picture, in u8 of scale 1/128
    "negative": """func @main(%x: tensor<1x2x3x3x!quant.uniform<u8:f32, 0.0078125:128>>) -> tensor<1x2x3x3xf32> {
  %bytes = nn.requantize %x : (tensor<1x2x3x3x!quant.uniform<u8:f32, 0.0078125:128>>) -> tensor<1x2x3x3x!quant.uniform<i8:f32, 0.0078125>>
  %real = nn.dequantize %bytes
  %y = nn.neg %real
  return %y
}""",
    # which of the channels is the largest
    "classes": """func @main(%x: tensor<1x2x3x3xf32>) -> tensor<1x2x3xi64> {
  %y = nn.arg_max %x {axis = 3, keep_dims = false}
  return %y
}""",
    "scores": """func @main(%x: tensor<1x2x3x3xf32>) -> tensor<1x2x3x4xf32> {
  %more = nn.slice %x {starts = [0, 0, 0, 0], ends = [1, 2, 3, 1]}
  %y = nn.concat %x, %more {axis = 3}
  return %y
}""",
    "points": """func @main(%x: tensor<1x4x4x3xf32>) -> tensor<1x1x1x48xf32> {
  %y = nn.reshape %x {shape = [1, 1, 1, 48]}
  return %y
}""",
    "text": """func @main(%x: tensor<1x2x2x3xf32>) -> tensor<1x12xf32> {
  %y = nn.reshape %x {shape = [1, 12]}
  return %y
}""",
}


def build(name):
    folder = os.path.join(scratch, name)
    os.makedirs(folder, exist_ok=True)
    source, program = os.path.join(folder, "net.qir"), os.path.join(folder, "picture")
    with open(source, "w", encoding="utf-8") as file:
        file.write(NETWORKS[name] + "\n")
    subprocess.run([qanat, "compile", source, "--name", "picture", "-o", os.path.join(folder, "picture.o")], check=True, stderr=subprocess.DEVNULL)
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-I" + folder, os.path.join(root, "docs/examples/pictures/main.c"),
                    os.path.join(folder, "picture.o"), "-lm", "-o", program], check=True)
    return program


def ppm(pixels):
    return b"P6\n# a comment\n%d %d\n255\n" % (pixels.shape[1], pixels.shape[0]) + pixels.tobytes()


def shown(name, pixels, *numbers):
    answer = subprocess.run([build(name), *numbers], input=ppm(pixels), capture_output=True, check=True).stdout
    head, size, most, data = answer.split(b"\n", 3)
    width, height = (int(n) for n in size.split())
    assert (head, most, len(data)) == (b"P6", b"255", width * height * 3), answer[:40]
    return np.frombuffer(data, np.uint8).reshape(height, width, 3)


photo = np.array([[[255, 0, 0], [0, 200, 0], [0, 0, 100]], [[10, 9, 8], [1, 2, 3], [50, 60, 50]]], np.uint8)

# -(p - 127.5) / 127.5 by steps of 1/128, and back
expected = 127.5 - (np.clip(np.rint((photo - 127.5) / 127.5 * 128) + 128, 0, 255) - 128) / 128 * 127.5
assert np.abs(shown("negative", photo) - np.rint(expected)).max() <= 1

# red is class 0, which is left as it is; green is 1 (a colour of 128, 0, 0), blue 2 (0, 128, 0)
over = np.array([[[255, 0, 0], [64, 100, 0], [0, 64, 50]], [[10, 9, 8], [0, 65, 1], [89, 30, 25]]], np.uint8)
assert (shown("classes", photo, "0", "1") == over).all()
assert (shown("scores", photo, "0", "1") == over).all()

# 16 points, all at x = 1, y = 2 of a network that sees 4 x 4: in the middle of the fourth row of a picture 8 high, the third column of 12
small = np.tile(np.array([1, 2, 3], np.uint8), (8, 12, 1))
points = shown("points", small, "0", "1")
green = (points == [0, 255, 96]).all(axis=2)
assert green[3:6, 2:5].all() and green.sum() == 9 and (points[~green] == [1, 2, 3]).all()

# Mistakes.
for name, data, numbers, text in [
        ("text", ppm(photo), [], b"the first output is no picture"), ("negative", b"P5\n1 1\n255\n0", [], b"is no PPM picture"),
        ("negative", ppm(photo)[:-1], [], b"the picture is cut off"), ("negative", ppm(photo), ["0", "0"], b"STD must be larger"),
        ("negative", b"P6 99999 99999 255\n", [], b"at most 16384 pixels"), ("negative", ppm(photo), ["1"], b"usage: ")]:
    answer = subprocess.run([build(name), *numbers], input=data, capture_output=True, check=False)
    assert answer.returncode == 1 and text in answer.stderr and not answer.stdout, (name, answer.stderr)
