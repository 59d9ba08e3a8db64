# RUN: %python %s %qanat %t
# REQUIRES: numpy, gcc
"""Camera frames as OpenCV 5.0 reads and resizes them: what a network that gives back its input gives, to the bytes recorded in Inputs/frames_opencv.npz.

    frames_opencv.py --record     # with OpenCV: writes Inputs/frames_opencv.npz
"""
import os
import shutil
import subprocess
import sys

import numpy as np

RECORDED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs", "frames_opencv.npz")
HEIGHT, WIDTH = 22, 84

# --frame's format: rows and bytes of a frame, what OpenCV's cvtColor calls it
LAYOUTS = {
    "nv12": ((HEIGHT * 3 // 2, WIDTH, 1), "NV12"),
    "nv21": ((HEIGHT * 3 // 2, WIDTH, 1), "NV21"),
    "i420": ((HEIGHT * 3 // 2, WIDTH, 1), "I420"),
    "yv12": ((HEIGHT * 3 // 2, WIDTH, 1), "YV12"),
    "yuyv": ((HEIGHT, WIDTH, 2), "YUY2"),
    "uyvy": ((HEIGHT, WIDTH, 2), "UYVY"),
}


# filter: what OpenCV's resize calls it
FILTERS = {"opencv-nearest": "INTER_NEAREST", "opencv-linear": "INTER_LINEAR", "opencv-exact": "INTER_LINEAR_EXACT"}
SIZES = ((30, 9), (150, 41), (84, 16), (42, 11), (61, 22))  # width and height


def noise(shape, seed):
    """Bytes of all values, from integers only."""
    count = int(np.prod(shape))
    mixed = (np.arange(count, dtype=np.uint64) + np.uint64(seed)) * np.uint64(0x9E3779B97F4A7C15)
    return ((mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9) >> np.uint64(56)).astype(np.uint8).reshape(shape)


def picture():
    """Edges, ramps and noise."""
    y, x, c = np.mgrid[0:HEIGHT, 0:WIDTH, 0:3]
    return np.where((x // 6 + y // 5) % 2 == 0, noise((HEIGHT, WIDTH, 3), 5), (x * 5 + y * 3 + c * 40) % 256).astype(np.uint8)


def record():
    import cv2

    arrays = {"to_i420": cv2.cvtColor(picture(), cv2.COLOR_RGB2YUV_I420)}
    for name, (shape, code) in LAYOUTS.items():
        arrays[name] = cv2.cvtColor(noise(shape, 1), getattr(cv2, "COLOR_YUV2RGB_" + code))
    for name, code in FILTERS.items():
        for size in SIZES:
            arrays[f"{name} {size[0]}x{size[1]}"] = cv2.resize(picture(), size, interpolation=getattr(cv2, code))
        turned = np.ascontiguousarray(np.rot90(picture(), -1))
        arrays[name + " turned"] = cv2.resize(turned, (13, 50), interpolation=getattr(cv2, code))
    np.savez_compressed(RECORDED, **arrays)


def outputs(model, frame, *options):
    path = os.path.join(OUT, "y.npz")
    subprocess.run([QANAT, "run", model, "--input", frame, "-o", path, *options], check=True)
    with np.load(path) as file:
        return file[file.files[0]][0]


def identity(height, width):
    path = os.path.join(OUT, f"same_{height}x{width}.qir")
    with open(path, "w") as file:
        file.write(f"func @main(%x: tensor<1x{height}x{width}x3xu8>) -> tensor<1x{height}x{width}x3xu8> {{\n  return %x\n}}\n")
    return path


def saved(array):
    path = os.path.join(OUT, "frame.npy")
    np.save(path, array[None])
    return path


def check_colours(recorded):
    for name, (shape, _) in LAYOUTS.items():
        told, frame = f"{name}:{HEIGHT}x{WIDTH}", saved(noise(shape, 1))
        for via in ["process", "interp"] + (["llvm", "c"] if name in ("nv12", "i420") else []):
            got = outputs(identity(HEIGHT, WIDTH), frame, "--frame", told, "--preprocess", "layout=nhwc", "--via", via)
            assert np.array_equal(got, recorded[name]), (name, via)
        # What the crop leaves out is not converted, and columns may begin at an odd one.
        got = outputs(identity(9, 70), frame, "--frame", told, "--preprocess", "layout=nhwc,crop=70x9")
        assert np.array_equal(got, recorded[name][6:15, 7:77]), name
        got = outputs(identity(WIDTH, HEIGHT), frame, "--frame", told, "--preprocess", "layout=nhwc,rotate=90")
        assert np.array_equal(got, np.rot90(recorded[name], -1)), name


def check_filters(recorded):
    image = os.path.join(OUT, "picture.png")
    png(image, picture())
    for name in FILTERS:
        for width, height in SIZES:
            spec = ["--preprocess", f"layout=nhwc,resize={width}x{height},filter={name}"]
            model, expected = identity(height, width), recorded[f"{name} {width}x{height}"]
            assert np.array_equal(outputs(model, image, *spec), expected), (name, width, height)  # the host's
            for via in ("process", "interp") if (width, height) == SIZES[0] else ("process",):
                got = outputs(model, saved(picture()), "--frame", f"rgb8:{HEIGHT}x{WIDTH}", *spec, "--via", via)
                assert np.array_equal(got, expected), (name, width, height, via)
        spec = ["--preprocess", f"layout=nhwc,rotate=90,resize=13x50,crop=9x30,filter={name}"]
        for frame in ([], ["--frame", f"rgb8:{HEIGHT}x{WIDTH}"]):
            got = outputs(identity(30, 9), saved(picture()) if frame else image, *frame, *spec)
            assert np.array_equal(got, recorded[name + " turned"][10:40, 2:11]), (name, frame)


def check_strides(recorded):
    """Rows with gaps, whose bytes don't matter."""
    wide = noise((HEIGHT * 3 // 2, 112, 1), 9)
    wide[:, :WIDTH] = noise(LAYOUTS["nv12"][0], 1)
    for spec, expected in (("", recorded["nv12"]), (",crop=16", recorded["nv12"][3:19, 34:50])):
        got = outputs(identity(*expected.shape[:2]), saved(wide), "--frame", f"nv12:{HEIGHT}x{WIDTH},stride=112", "--preprocess", "layout=nhwc" + spec)
        assert np.array_equal(got, expected), spec
    rows = noise((HEIGHT, 90, 3), 9)
    rows[:, :WIDTH] = picture()
    for spec, expected in (("", picture()), (",flip=horizontal", picture()[:, ::-1]), (",crop=16", picture()[3:19, 34:50])):
        got = outputs(identity(*expected.shape[:2]), saved(rows), "--frame", f"rgb8:{HEIGHT}x{WIDTH},stride=270", "--preprocess", "layout=nhwc" + spec)
        assert np.array_equal(got, expected), spec


    wide = noise((2, 20000, 4), 9)  # rows longer than any image's
    got = outputs(identity(2, 2), saved(wide), "--frame", "rgba8:2x2,stride=80000", "--preprocess", "layout=nhwc")
    assert np.array_equal(got, wide[:, :2, :3]), got
    for crop in ("2x2+1", "2x2+1+", "2x2+-1+0", "2x2+1+1x", "+1+1"):
        done = subprocess.run([QANAT, "run", identity(2, 2), "--input", "random", "--preprocess", "crop=" + crop], capture_output=True, text=True)
        assert done.returncode == 2 and "crop: expected a size: N, WIDTHxHEIGHT or WIDTHxHEIGHT+LEFT+TOP" in done.stderr, (crop, done)


def png(path, pixels):
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 2, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def check_images(recorded):
    """An image becomes the frame that a camera would have given: the same results as of OpenCV's frame."""
    path = os.path.join(OUT, "picture.png")
    png(path, picture())
    told = ["--frame", f"i420:{HEIGHT}x{WIDTH}", "--preprocess", "layout=nhwc"]
    expected = outputs(identity(HEIGHT, WIDTH), saved(recorded["to_i420"][..., None]), *told)
    for frame in ("i420", "nv12", "nv21", "yv12"):
        told[1] = f"{frame}:{HEIGHT}x{WIDTH},stride=112"
        assert np.array_equal(outputs(identity(HEIGHT, WIDTH), path, *told), expected), frame
    told[1] = f"rgb8:{HEIGHT}x{WIDTH},stride=270"
    assert np.array_equal(outputs(identity(HEIGHT, WIDTH), path, *told), picture())


def check_ranges():
    """Gray of the full range stays as it is, of the limited one it is stretched; red of each standard."""
    frame = np.full((3, 2, 1), 128, np.uint8)
    frame[:2] = np.array([[16, 235], [126, 0]])[..., None]
    for details, expected in ((",range=full", [16, 235, 126, 0]), (",matrix=bt709", [0, 255, 128, 0]), (",matrix=bt2020,range=full", [16, 235, 126, 0])):
        got = outputs(identity(2, 2), saved(frame), "--frame", "nv12:2x2" + details, "--preprocess", "layout=nhwc")
        assert np.array_equal(got, np.repeat(np.reshape(expected, (2, 2, 1)), 3, axis=2)), (details, got)
    for details, colour in ((",range=full", (254, 0, 0)), (",matrix=bt709,range=full", (254, 0, 0)), (",matrix=bt709", (255, 0, 0)), (",matrix=bt2020", (255, 0, 0))):
        weights = {"": (0.299, 0.587, 0.114), "bt601": (0.299, 0.587, 0.114), "bt709": (0.2126, 0.7152, 0.0722), "bt2020": (0.2627, 0.678, 0.0593)}
        red, _, blue = weights[next((name for name in ("bt709", "bt2020") if name in details), "")]
        full = "full" in details
        luma, v, u = red, 0.5, -0.5 * red / (1 - blue)
        values = [round(luma * 255), round(u * 255) + 128, 255] if full else [round(16 + luma * 219), round(128 + u * 224), 240]
        frame = np.array([[values[0]] * 2, [values[0]] * 2, values[1:]], np.uint8)[..., None]
        got = outputs(identity(2, 2), saved(frame), "--frame", "nv12:2x2" + details, "--preprocess", "layout=nhwc")
        assert abs(got[0, 0].astype(int) - colour).max() <= 1, (details, got[0, 0])


def refused(*arguments):
    done = subprocess.run([QANAT, "run", identity(2, 2), "--input", "random", "--preprocess", "layout=nhwc", *arguments], capture_output=True, text=True)
    assert done.returncode == 2, done
    return done.stderr


if sys.argv[1] == "--record":
    record()
else:
    QANAT, OUT = sys.argv[1:]
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(OUT)
    with np.load(RECORDED) as file:
        arrays = dict(file)
    check_colours(arrays)
    check_filters(arrays)
    check_strides(arrays)
    check_images(arrays)
    check_ranges()
    for wrong, expected in {"nv12:3x2": "an even height and width", "nv12:2x3": "an even height and width", "yuyv:3x5": "an even width",
                            "nv12:2x2,stride=1": "a stride that holds a row, in whole pairs", "nv12:2x2,stride=3": "a stride that holds a row, in whole pairs",
                            "rgb8:2x2,stride=7": "a stride that holds a row, in whole pixels", "gray8:20000x20000": "up to 2^28 pixels",
                            "rgb8:60000x2,stride=30000": "2^30 bytes", "rgb8:2x2,range=full": "FORMAT:HEIGHTxWIDTH[,stride=BYTES]",
                            "nv12:2x2,matrix=bt602": "FORMAT:HEIGHTxWIDTH[,stride=BYTES]"}.items():
        message = refused("--frame", wrong)
        assert "--frame: " in message and expected in message, (wrong, message)
