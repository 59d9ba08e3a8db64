# lit's configuration: what tests may use. Substitutions: %qanat, %python, %assets, %build. Features: assets,
# onnxruntime, onnx (and onnx-VERSION), clang, gcc, qemu, and what this processor has (avx2, avx512vnni). A test says what it needs: // REQUIRES: assets
import os
import shutil
import subprocess

import lit.formats

config.name = "qanat"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".qir", ".test", ".py"]
config.excludes = ["lit.cfg.py", "Inputs", "bench", "run.py", "planted.py"]  # bench, planted: by hand
config.test_source_root = os.path.dirname(os.path.abspath(__file__))
root = os.path.dirname(config.test_source_root)

build = os.path.abspath(os.environ.get("QANAT_BUILD", os.path.join(root, "build")))
config.test_exec_root = os.path.join(build, "test")
os.makedirs(config.test_exec_root, exist_ok=True)


def find_python():
    venv = os.path.join(build, "venv", "bin", "python")
    return os.environ.get("QANAT_PYTHON") or (venv if os.path.exists(venv) else shutil.which("python3"))


def imports(python, module):
    return subprocess.run([python, "-c", "import " + module], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False).returncode == 0


def cpu_flags():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next((set(line.split(":")[1].split()) for line in file if line.startswith("flags")), set())
    except OSError:
        return set()


python = find_python()
assets = os.environ.get("QANAT_ASSETS") or os.path.join(os.path.dirname(root), "shared", "assets")
llvm = [path for path in ("/usr/lib/llvm-19/bin",) if os.path.isdir(path)]
config.environment["PATH"] = os.pathsep.join([os.path.join(build, "bin"), *llvm, os.environ.get("PATH", "")])
for name in ("QANAT_ASSETS", "ASAN_OPTIONS", "UBSAN_OPTIONS"):
    if name in os.environ:
        config.environment[name] = os.environ[name]

for name, text in (("%qanat", os.path.join(build, "bin", "qanat")), ("%python", python), ("%assets", assets),
                   ("%build", build), ("%root", root)):
    config.substitutions.append((name + r"\b", text))

features = config.available_features
if os.path.isdir(assets):
    features.add("assets")
for module in ("onnxruntime", "onnx", "numpy", "PIL"):
    if imports(python, module):
        features.add("pillow" if module == "PIL" else module)
if "onnx" in features: # docs/conformance.md is of one version
    features.add("onnx-" + subprocess.run([python, "-c", "import onnx; print(onnx.__version__)"], stdout=subprocess.PIPE,
                                          text=True, check=False).stdout.strip())
for tool, names in (("clang", ("clang-19", "clang")), ("gcc", ("gcc",)),
                    ("qemu", ("qemu-x86_64", "qemu-x86_64-static")),
                    ("chromium", ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"))):
    found = next((shutil.which(name) for name in names if shutil.which(name)), None)
    if found:
        features.add(tool)
        config.substitutions.append(("%" + tool + r"\b", found))
flags = cpu_flags()
for feature, flag in (("avx2", "avx2"), ("avx512", "avx512vl"), ("avx512vnni", "avx512_vnni")):
    if flag in flags:
        features.add(feature)
