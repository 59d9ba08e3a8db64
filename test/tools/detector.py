# RUN: %python %s %qanat %t %root
# REQUIRES: numpy, gcc
"""docs/examples/detector, linked with a network that finds the same two things in every picture: what it draws and what it says."""
import os
import shutil
import subprocess
import sys

import numpy as np

QANAT, OUT, ROOT = sys.argv[1:]
NETWORK = """func @main(%image: tensor<1x30x40x3xu8>) -> (tensor<1x2x4xf32>, tensor<1x2x3xf32>) {
  %b = constant dense<[[[4.0, 6.0, 20.0, 16.0], [30.0, 20.0, 55.0, 99.0]]]> : tensor<1x2x4xf32>
  %s = constant dense<[[[0.1, 0.2, 0.9], [0.8, 0.1, 0.3]]]> : tensor<1x2x3xf32>
  return %b, %s
}
"""


def compiled(name, *options):
    folder = os.path.join(OUT, name)
    os.makedirs(folder)
    model, program = os.path.join(folder, "net.qir"), os.path.join(folder, "detector")
    with open(model, "w") as file:
        file.write(NETWORK)
    subprocess.run([QANAT, "compile", model, "--name", "detector", "-o", os.path.join(folder, "detector.o"), *options], check=True)
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-I" + folder, os.path.join(ROOT, "docs/examples/detector/main.c"),
                    os.path.join(folder, "detector.o"), "-lm", "-o", program], check=True)
    return program


def drawn(program, height, width):
    done = subprocess.run([program], input=b"P6\n%d %d\n255\n" % (width, height) + bytes(height * width * 3), capture_output=True)
    if done.returncode:
        return done.stderr.decode()
    header = b"P6\n%d %d\n255\n" % (width, height)
    assert done.stdout.startswith(header)
    return np.frombuffer(done.stdout[len(header):], np.uint8).reshape(height, width, 3), done.stderr.decode()


shutil.rmtree(OUT, ignore_errors=True)
program = compiled("frames", "--frame", "rgb8:60x80", "--preprocess", "resize=40x30,layout=nhwc", "--postprocess", "boxes=corners,score=0.5")
picture, said = drawn(program, 60, 80)
assert said == "class 2  0.90  8 12 40 32\nclass 0  0.80  60 40 110 198\n", said
expected = np.zeros((60, 80, 3), np.uint8)
expected[12:32, 8:40] = [60, 90, 255]
expected[13:31, 9:39] = 0
expected[40, 60:] = expected[40:, 60] = [255, 40, 40]  # the rest of it lies outside
assert np.array_equal(picture, expected)
assert "the picture has 81 x 60 pixels, the model takes 80 x 60" in drawn(program, 60, 81)
assert "a model with --postprocess boxes=... is needed" in drawn(compiled("plain"), 30, 40)
