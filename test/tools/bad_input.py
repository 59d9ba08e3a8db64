# Each wrong command line and each wrong input gives one clear message, the right exit status, and no file.
# RUN: rm -rf %t && %python %s %qanat %root/docs/examples/digits %t
import os
import re
import subprocess
import sys

qanat, digits, work = sys.argv[1:4]
os.makedirs(work)
os.chdir(work)
model = os.path.join(digits, "digits.onnx")
images = os.path.join(digits, "images")
calibration = os.path.join(digits, "calibration")
spec = "color=gray,mean=0,std=255"
content = open(model, "rb").read()
photo = open(os.path.join(images, "0000.png"), "rb").read()
NOTES = re.compile(r"^(qanat: note: |.*: note: )")


def file(name, data):
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    with open(name, "wb") as out:
        out.write(data if isinstance(data, bytes) else data.encode())
    return name


file("empty.onnx", b"")
file("truncated.onnx", content[: len(content) // 2])
file("text.onnx", "this is not a model\n" * 20)
file("broken/0000.png", photo)
file("broken/0001.png", photo[: len(photo) // 2])
file("empty_image/a.png", b"")
file("not_image/a.jpg", "hello")
file("no_images/readme.txt", "nothing here")
file("list.txt", "missing.png 1\n")
file("bad_table", "# a table\nimage 1 0\n")
file("control_table", "image \033[31m1 0\n")
file("unknown_table", "imagee 1 0 1\n")
file("good_table", "image 1 0 1\n")
file("bad_qtable", "head.relu i9\n")
file("unknown_qtable", "head.rely i8\n")
file("labels.txt", "0000.png 4\n")
file("bad_labels.txt", "0000.png four\n")
file("a_file", "")
file("bad.npy", b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f4'}")
file("bad.npz", b"PK\x03\x04 and no more of it")

run = [model, "--preprocess", spec]
i8 = ["--quantize", "i8"]
on = ["--calibrate-on", calibration]
INPUT, USAGE = 1, 2

CASES = [
    # models
    (INPUT, r"no\.onnx: error: .*(No such file|can't be read|cannot open)", "info", "no.onnx"),
    (INPUT, r"empty\.onnx: error: .*empty", "info", "empty.onnx"),
    (INPUT, r"truncated\.onnx: error: ", "info", "truncated.onnx"),
    (INPUT, r"text\.onnx: error: ", "info", "text.onnx"),
    (INPUT, r": error: ", "info", "."),
    (INPUT, r"digits\.onnx: error: .*image", "info", model, "--shape", "image:1,3,8,8"),
    (INPUT, r"error: .*'imag'", "info", model, "--shape", "imag:1,1,8,8"),
    (USAGE, r"--shape: expected", "info", model, "--shape", "image:1,one,8,8"),
    (USAGE, r"--shape: expected", "info", model, "--shape", "image:-1,1,8,8"),
    # data
    (INPUT, r"nowhere: error: can't be read: No such file", "calibrate", *run, "--data", "nowhere", "-o", "out"),
    (INPUT, r"no_images: error: the folder holds no ", "calibrate", *run, "--data", "no_images", "-o", "out"),
    (INPUT, r"broken/0001\.png: error: broken PNG", "calibrate", *run, "--data", "broken", "-o", "out"),
    (INPUT, r"empty_image/a\.png: error: the file is empty", "calibrate", *run, "--data", "empty_image", "-o", "out"),
    (INPUT, r"not_image/a\.jpg: error: neither a JPEG nor a PNG nor a BMP image", "calibrate", *run, "--data", "not_image", "-o", "out"),
    (INPUT, r"missing\.png: error: can't be read", "calibrate", *run, "--data", "list.txt", "-o", "out"),
    (INPUT, r"broken/0001\.png: error: ", "compile", *run, *i8, "--calibrate-on", "broken", "-o", "out.o"),
    (INPUT, r"images need --preprocess", "calibrate", model, "--data", images, "-o", "out"),
    (INPUT, r"8 x 8 pixels, the input takes|the image has", "run", model, "--preprocess", "resize=9x9", "-i",
     os.path.join(images, "0000.png")),
    (INPUT, r"color=", "run", model, "--preprocess", "color=rgb", "-i", os.path.join(images, "0000.png")),
    (INPUT, r"bad\.npy: error: broken array", "run", model, "--input", "bad.npy"),
    (INPUT, r"bad\.npz: error: broken \.npz", "run", model, "--input", "bad.npz"),
    (USAGE, r"unknown key 'resise'", "calibrate", model, "--data", images, "--preprocess", "resise=8"),
    (USAGE, r"std: expected one number or three", "calibrate", model, "--data", images, "--preprocess", "std=1:2"),
    (USAGE, r"resize: expected a size", "calibrate", model, "--data", images, "--preprocess", "resize=big"),
    (INPUT, r"labels\.txt: error: has no label for '0002.png'", "eval", *run, "--data", images, "--labels", "labels.txt"),
    (INPUT, r"bad_labels\.txt:1(:1)?: error: expected `filename index`", "eval", *run, "--data", images, "--labels",
     "bad_labels.txt"),
    (INPUT, r"has no label; give --labels", "eval", *run, "--data", images),
    # tables
    (INPUT, r"bad_table:2(:\d+)?: error: ", "compile", model, *i8, "--calibration", "bad_table", "-o", "out.o"),
    (INPUT, r"control_table:1(:\d+)?: error: ", "compile", model, *i8, "--calibration", "control_table", "-o", "out.o"),
    (INPUT, r"unknown_table:1(:\d+)?: error: .*did you mean 'image'", "compile", model, *i8, "--calibration",
     "unknown_table", "-o", "out.o"),
    (INPUT, r"good_table: error: .*has no entry for this tensor", "compile", model, *i8, "--calibration", "good_table", "-o", "out.o"),
    (INPUT, r"no_table: error: ", "compile", model, *i8, "--calibration", "no_table", "-o", "out.o"),
    (INPUT, r"bad_qtable:1(:\d+)?: error: ", "compile", *run, *on, "--qtable", "bad_qtable", "-o", "out.o"),
    (INPUT, r"unknown_qtable:1(:\d+)?: error: .*did you mean 'head.relu'", "compile", *run, *on, "--qtable",
     "unknown_qtable", "-o", "out.o"),
    # outputs
    (INPUT, r"nowhere/out\.o: error: ", "compile", model, "-o", "nowhere/out.o"),
    (INPUT, r"a_file/out\.o: error: ", "compile", model, "-o", "a_file/out.o"),
    (INPUT, r"nowhere/out: error: can't be written", "calibrate", *run, "--data", images, "-o", "nowhere/out"),
    (INPUT, r"nowhere/out\.npz: error: can't be written", "run", model, "-i", "random", "-o", "nowhere/out.npz"),
    (INPUT, r"nowhere/out\.qir: error: can't be written", "import", model, "-o", "nowhere/out.qir"),
    # the command line
    (USAGE, r"unknown subcommand 'complie'; did you mean 'compile'", "complie"),
    (USAGE, r"unknown option '--taget'; did you mean '--target'", "compile", model, "--taget", "x"),
    (USAGE, r"unknown option '-z'", "compile", model, "-z"),
    (USAGE, r"MODEL is missing", "compile"),
    (USAGE, r"unexpected argument 'other'", "compile", model, "other"),
    (USAGE, r"-o needs a value", "compile", model, "-o"),
    (USAGE, r"unknown target 'x86-64-v5'; did you mean", "compile", model, "--target", "x86-64-v5", "-o", "out.o"),
    (USAGE, r"unknown target 'sparc'; `qanat targets` lists them", "compile", model, "--target", "sparc", "-o", "out.o"),
    (USAGE, r"has no kernels of 'neon'", "compile", model, "--isa", "neon", "-o", "out.o"),
    (USAGE, r"--emit: expected one of obj\|asm", "compile", model, "--emit", "elf", "-o", "out.o"),
    (USAGE, r"unknown precision 'i3'", "compile", model, "--quantize", "i3", "-o", "out.o"),
    (USAGE, r"takes one precision", "compile", *run, *on, "--quantize", "none,i8", "-o", "out.o"),
    (USAGE, r"needs ranges", "compile", model, *i8, "-o", "out.o"),
    (USAGE, r"exclude each other", "compile", *run, *i8, *on, "--calibration", "good_table", "-o", "out.o"),
    (USAGE, r"exclude each other", "compile", *run, *i8, "--method", "kl", "--calibration", "good_table", "-o", "out.o"),
    (USAGE, r"has no effect without --quantize i8", "compile", *run, *on, "--quantize", "none", "-o", "out.o"),
    (USAGE, r"--qtable has no effect without --quantize i8", "compile", *run, *on, "--quantize", "none",
     "--qtable", "good_table", "-o", "out.o"),
    (USAGE, r"need --quantize i8", "compile", model, "--input-type", "i8", "-o", "out.o"),
    (USAGE, r"can't be written to standard output", "compile", model, "--emit", "obj", "-o", "-"),
    (USAGE, r"expected a C identifier", "compile", model, "--name", "my-net", "-o", "out.o"),
    (USAGE, r"Qanat's own, found 'QN_x'", "compile", model, "--name", "QN_x", "-o", "out.o"),
    (USAGE, r"--limit: expected a whole number", "calibrate", *run, "--data", images, "--limit", "-3"),
    (USAGE, r"--threads: expected 1 or more", "calibrate", *run, "--data", images, "--threads", "0"),
    (USAGE, r"--data is given twice", "calibrate", *run, "--data", images, "--data", images),
    (USAGE, r"--data DATA is missing", "calibrate", *run),
    (INPUT, r"input 'image' is missing: give --input image=FILE", "run", model),
    (USAGE, r"--cc has no effect without --via", "run", model, "-i", "random", "--cc", "gcc"),
    (USAGE, r"--dump-all needs -o", "run", model, "-i", "random", "--dump-all"),
]

before = sorted(os.path.join(folder, name) for folder, _, names in os.walk(".") for name in names)
failures = 0
for status, message, *command in CASES:
    result = subprocess.run([qanat, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    errors = [line for line in result.stderr.splitlines() if ": error: " in line]
    controls = re.findall(r"[\x00-\x08\x0b-\x1f\x7f]", result.stderr)
    problems = []
    if result.returncode != status:
        problems.append(f"status {result.returncode}, expected {status}")
    if not re.search(message, "\n".join(errors)):
        problems.append(f"no error matches {message!r}")
    if len(errors) > 1:
        problems.append("more than one error")
    if controls:
        problems.append(f"control characters: {controls!r}")
    if result.stdout:
        problems.append(f"output: {result.stdout[:200]!r}")
    if problems:
        failures += 1
        print("qanat " + " ".join(command), *problems, result.stderr, sep="\n    ")
after = sorted(os.path.join(folder, name) for folder, _, names in os.walk(".") for name in names)
if before != after:
    print("files were left:", sorted(set(after) - set(before)))
    failures += 1
print(len(CASES), "cases,", failures, "failures")
sys.exit(failures != 0)
