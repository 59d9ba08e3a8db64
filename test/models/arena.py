# REQUIRES: assets
# RUN: %python %s %qanat %assets %t
"""The arena of real networks, float and int8, is at most 1.05 x the largest set of buffers alive at once (halos, alignment
and scratch counted), and bench states both as compile does. Left out are VGG-19 and AlexNet, chains whose weights are
hundreds of megabytes, and two more forms of MobileNetV2. usage: arena.py QANAT ASSETS SCRATCH"""
import json
import os
import re
import subprocess
import sys

BOUND = 1.05
SHAPES = {"chinese_ocr_dbnet": "input0:1,3,320,320"}
MODELS = ["models/onnx/" + name for name in (
    "chinese_ocr_dbnet cifar10_resnet20 cifar10_resnet_2b cifar_wide_kw espcn_bsd300x3_float_model fsanet-1x1 "
    "marabou_cifar10_small mnist-8 mobilenet_v2_0.35_128_tfs_channel_first mobilenetv2 "
    "mobilenetv2_qdq_uint8_static pfld-106-lite squeezenet1.1 ssrnet "
    "st_mobilenet_v2_0.5_128_2class st_ssd_mobilenet_v1_025_256 subpixel-cnn ultraface_version-RFB-320 "
    "yamnet_256_64x96_tl yolox_nano yunet_n_320_320").split()]
MODELS += ["onnx_light/light_" + name for name in
           "densenet121 inception_v1 inception_v2 resnet50 shufflenet squeezenet zfnet512".split()]
PRECISIONS = {"none": [], "i8": ["--calibrate-on", "random", "--calibrate-limit", "1"]}

qanat, assets, scratch = sys.argv[1:]
os.makedirs(scratch, exist_ok=True)
facts = re.compile(r"arena (\d+) bytes \((\d+) live\)")


def options(model, precision):
    name = os.path.basename(model)
    shape = ["--shape", SHAPES[name]] if name in SHAPES else []
    return [os.path.join(assets, model + ".onnx"), *shape, "--quantize", precision, *PRECISIONS[precision]]


def arena(model, precision):
    """Arena and largest live set, in bytes."""
    command = [qanat, "compile", *options(model, precision), "--target", "x86-64-v4-vnni", "--verbose",
               "-o", os.path.join(scratch, "model.o")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return tuple(int(number) for number in facts.search(done.stderr).groups())


worst = 0
for model in MODELS:
    for precision in PRECISIONS:
        whole, live = arena(model, precision)
        worst = max(worst, whole / live)
        print(f"{model:55} {precision:5} {whole:9} bytes {live:9} live {whole / live:.4f}")
assert worst <= BOUND, worst

model = "models/onnx/mnist-8"
command = [qanat, "bench", *options(model, "i8"), "--target", "x86-64", "--input", "random", "--iterations", "1", "--json"]
result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["results"][0]
assert 0 < result["live_bytes"] <= result["arena_bytes"] <= BOUND * result["live_bytes"], result
