"""MobileNetV2 on the shared images: accuracy in float and int8 against what is recorded, and the same int8 tensors by
every route. The figures of ONNX Runtime on the same images, resized by Pillow: 79.97 / 93.85 %.

usage: mobilenetv2.py QANAT ASSETS FOLDER
"""
import json
import os
import subprocess
import sys

qanat, assets, folder = sys.argv[1:4]
model = os.path.join(assets, "models/onnx/mobilenetv2.onnx")
norm = "mean=123.675:116.28:103.53,std=58.395:57.12:57.375"
os.makedirs(folder, exist_ok=True)
os.chdir(folder)


def run(*args):
    return subprocess.run([qanat, *args], check=True, stdout=subprocess.PIPE, text=True).stdout


run("calibrate", model, "--data", os.path.join(assets, "images/calib"), "--limit", "100",
    "--preprocess", "resize=256,crop=224," + norm, "-o", "table")
val = os.path.join(assets, "images/val")
result = json.loads(run("eval", model, "--data", val, "--labels", os.path.join(val, "labels.txt"), "--preprocess",
                        "resize=224x224," + norm, "--quantize", "none,i8", "--calibration", "table", "--json"))
f32, i8 = result["results"]
print(result)
IMAGE_POINTS = 100 / 634
assert f32["images"] == i8["images"] == 634
assert abs(f32["top1"] - 79.97) <= 2 * IMAGE_POINTS + 0.01 and abs(f32["top5"] - 93.85) <= 2 * IMAGE_POINTS + 0.01
assert i8["top1"] >= f32["top1"] - 1.5
assert i8["agreement"] >= 90

image = os.path.join(assets, "images/calib/n01514668_cock.JPEG")
routes = {"interp": ["--via", "interp"], "process": [], "avx2": ["--isa", "avx2"], "generic": ["--isa", "generic"],
          "llvm": ["--via", "llvm", "--threads", "2"], "llvm_generic": ["--via", "llvm", "--target", "x86-64"],
          "gcc": ["--via", "c", "--cc", "gcc"], "clang": ["--via", "c", "--cc", "clang-19"]}
for name, route in routes.items():
    run("run", model, "--input", image, "--preprocess", "resize=256,crop=224," + norm, "--quantize", "i8",
        "--calibration", "table", "--dump-all", *route, "-o", name + ".npz")
