# RUN: %python %s %qanat %t
# REQUIRES: numpy
"""Images for inputs of 8 bits, with the input's own scale or as they are; and images in BMP, in every form that is read, whole and cut off."""
import os
import shutil
import struct
import subprocess
import sys

import numpy as np

QANAT, OUT = sys.argv[1:]
PIXELS = np.array([[[0, 1, 2], [127, 128, 129], [254, 255, 9]], [[90, 60, 30], [5, 250, 100], [200, 16, 77]]], np.uint8)


def bmp(bits, upward=True, compression=0, masks=(0xFF0000, 0xFF00, 0xFF), pixels=PIXELS):
    height, width = pixels.shape[:2]
    palette = b""
    if bits == 8:
        colours = [tuple(pixel) for row in pixels for pixel in row]
        palette = b"".join(bytes([b, g, r, 0]) for r, g, b in colours)
        rows = [bytes(range(y * width, (y + 1) * width)) for y in range(height)]
    else:
        rows = [b"".join(bytes([b, g, r]) + b"\x07" * (bits // 8 - 3) for r, g, b in row) for row in pixels.tolist()]
    rows = [row + b"\x55" * (-len(row) % 4) for row in (rows[::-1] if upward else rows)]
    extra = struct.pack("<III", *masks) if compression == 3 else palette
    header = struct.pack("<IiiHHIIiiII", 40, width, height if upward else -height, 1, bits, compression, 0, 0, 0, len(palette) // 4, 0)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 54 + len(extra)) + header + extra + b"".join(rows)


def written(data, name="a.bmp"):
    path = os.path.join(OUT, name)
    with open(path, "wb") as file:
        file.write(data)
    return path


def run(elem, image, *options):
    """What a network that gives back its input of that type gives of the image: its bytes, or the message."""
    model, path = os.path.join(OUT, "same.qir"), os.path.join(OUT, "y.npz")
    with open(model, "w") as file:
        file.write(f"func @main(%x: tensor<1x2x3x3x{elem}>) -> tensor<1x2x3x3x{elem}> {{\n  return %x\n}}\n")
    done = subprocess.run([QANAT, "run", model, "--input", image, "-o", path, *options], capture_output=True, text=True)
    if done.returncode:
        assert done.returncode == 1, done
        return done.stderr
    with np.load(path) as file:
        return file[file.files[0]][0]


def check_bmp():
    for data in (bmp(24), bmp(24, upward=False), bmp(32), bmp(32, compression=3), bmp(8), bmp(8, upward=False)):
        assert np.array_equal(run("u8", written(data)), PIXELS)
        for size in range(len(data) - 1, 0, -7):
            message = run("u8", written(data[:size]))
            assert isinstance(message, str) and "a.bmp: error: " in message, (size, message)
    for data, message in ((bmp(24, compression=1), "a BMP of 24 bits and compression 1 is not supported; convert it to PNG"),
                          (bmp(32, compression=3, masks=(255, 0xFF00, 0xFF0000)), "compression 3 is not supported"),
                          (bmp(16), "a BMP of 16 bits"), (bmp(24)[:18] + struct.pack("<i", -3) + bmp(24)[22:], "an image of -3 x 2 pixels"),
                          (bmp(24)[:22] + struct.pack("<i", -2**31) + bmp(24)[26:], "is not supported"),
                          (bmp(24)[:18] + struct.pack("<ii", 65500, 4000) + bmp(24)[26:], "the file ends before the pixels do")):
        assert message in run("u8", written(data)), message


def check_scales():
    image = written(bmp(24))
    nhwc = ("--preprocess", "layout=nhwc")
    assert np.array_equal(run("u8", image, *nhwc), PIXELS)
    assert np.array_equal(run("!quant.uniform<u8:f32, 0.0078125:128>", image), PIXELS)
    assert np.array_equal(run("!quant.uniform<i8:f32, 0.0078125:-1>", image), PIXELS.astype(int) - 128)
    real = ((PIXELS - 127.5) / 127.5).astype(np.float32)
    expected = np.clip(np.rint(real / np.float32(0.0078125)) + 128, 0, 255)
    assert np.array_equal(run("!quant.uniform<u8:f32, 0.0078125:128>", image, "--preprocess", "mean=127.5,std=127.5"), expected)
    for zero in (-1, 100):
        expected = np.clip(np.rint(real / np.float32(0.0078125)) + zero, -128, 127)
        got = run(f"!quant.uniform<i8:f32, 0.0078125:{zero}>", image, "--preprocess", "mean=127.5,std=127.5")
        assert np.array_equal(got, expected), got
    assert "images need --preprocess" in run("f32", image)
    big = written(bmp(24, pixels=np.zeros((2, 4, 3), np.uint8)))
    assert "the image has 4 x 2 pixels, the input takes 3 x 2; add resize=3x2 to --preprocess" in run("u8", big)


shutil.rmtree(OUT, ignore_errors=True)
os.makedirs(OUT)
check_bmp()
check_scales()
