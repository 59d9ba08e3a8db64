#!/usr/bin/env python3
"""Times Qanat against other inference engines: the same network and input, one process each, in turn, pinned.

usage: peers.py [--install] [--assets DIR] [--models NAME,...] [--peers NAME,...] [--threads 1,2] [--rounds N] [--realtime]
                [--precisions i8,f32] [--target TARGET] [--json FILE] [--report FILE.md] [--from FILE.json,...]

--install makes build/peers/run and build/peers/convert with the engines and converters of PyPI, and installs Debian's libdnnl-dev, which
has an older oneDNN. Each engine gets the network in the 8-bit form that it likes best (peer_engines.py), calibrated on the same inputs
(peer_networks.py). Every round runs each engine a few times; reported are medians over all rounds. --report writes a page and
a chart, of these results or of files that earlier runs wrote (--from). --target holds Qanat to an older processor; oneDNN and OpenVINO
are held by ONEDNN_MAX_CPU_ISA=AVX2 in the environment, the others can't be."""
import argparse
import contextlib
import hashlib
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("QANAT_BUILD", os.path.join(ROOT, "build"))
VENVS = {"run": ["numpy", "onnx", "onnxruntime", "openvino", "nncf", "MNN", "ncnn", "pnnx", "ai-edge-litert", "pillow", "onednn-cpu-gomp",
                 "onednn-devel-cpu-gomp", "torch", "torchao", "onnx2torch"],
         "convert": ["onnx2tf", "tensorflow-cpu", "tf_keras", "ai-edge-quantizer", "onnx-graphsurgeon", "sng4onnx", "psutil"]}
DEBIAN_PACKAGE = "libdnnl-dev"
SHOWN_VERSIONS = ["onnxruntime", "openvino", "nncf", "mnn", "ncnn", "ai-edge-litert", "onednn-cpu-gomp", "torch",
                  "torchao"]
RUNS_A_ROUND_MS = 40 # how long an engine runs in a round, at least once, after a run that is not timed: the engine before it had the caches
PAUSE_S = 0.004      # for another engine's spinning threads to sleep


def venv(name):
    return os.path.join(BUILD, "peers", name, "bin", "python")


def debian_version(package):
    """Of an installed package; None."""
    if not shutil.which("dpkg-query"):
        return None
    answer = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", package], capture_output=True, text=True, check=False)
    status, _, version = answer.stdout.partition(" ")
    return version if status == "installed" else None


def install():
    if not debian_version(DEBIAN_PACKAGE) and shutil.which("apt-get"):
        as_root = [] if os.geteuid() == 0 else ["sudo"]
        subprocess.run([*as_root, "apt-get", "install", "-y", "--no-install-recommends", DEBIAN_PACKAGE], check=True)
    for name, packages in VENVS.items():
        if not os.path.exists(venv(name)):
            subprocess.run([sys.executable, "-m", "venv", os.path.dirname(os.path.dirname(venv(name)))], check=True)
        subprocess.run([venv(name), "-m", "pip", "install", "-q", *packages], check=True)


class Contender:
    """An engine in its process."""

    def __init__(self, kind, spec, threads):
        self.kind, self.times, self.count = kind, [], 1
        with open(os.path.join(spec["cache"], f"{kind}_{threads}.log"), "w", encoding="utf-8") as log:
            self.process = subprocess.Popen([venv("run"), os.path.abspath(__file__), "--serve", kind, json.dumps(spec), str(threads)],
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        self.about = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"error": "its process ended"}

    def ask(self, line):
        try:
            self.process.stdin.write(f"{line}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass # answer() says so
        return self.answer()

    def place(self, processors, realtime):
        """Pins its threads, and a program's that it started; what it made before, it could make on all processors."""
        for pid in descendants(self.process.pid):
            for task in tasks(pid):
                with contextlib.suppress(ProcessLookupError): # it has ended
                    os.sched_setaffinity(int(task), processors)
                    if realtime:
                        os.sched_setscheduler(int(task), os.SCHED_FIFO, os.sched_param(1))

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()


def cpus(threads):
    """The last processors: the first ones serve the system's interrupts."""
    return set(range(os.cpu_count() - threads, os.cpu_count()))


def tasks(pid):
    """Its threads; none where it has ended."""
    with contextlib.suppress(FileNotFoundError):
        return os.listdir(f"/proc/{pid}/task")
    return []


def descendants(pid):
    pids = [pid]
    for task in tasks(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
            for child in file.read().split():
                pids += descendants(int(child))
    return pids


def start(kind, spec, args, threads):
    """An engine that has chosen its variant, or what it said."""
    contender = Contender(kind, spec, threads)
    if "error" in contender.about:
        return contender, contender.about
    contender.place(cpus(threads), args.realtime)
    contender.about = contender.ask("choose")
    times = contender.about if "error" in contender.about else contender.ask("3")
    if "error" in times:
        return contender, times
    contender.count = max(1, min(500, int(RUNS_A_ROUND_MS / max(statistics.median(times), 1e-3))))
    return contender, None


def measure(spec, args, threads):
    contenders, row = [], {}
    for kind in args.peers.split(","):
        contender, error = start(kind, spec, args, threads)
        if error:
            row[kind] = error
            print(f"  {kind}: {error['error']}", flush=True)
        else:
            contenders.append(contender)
    for _ in range(args.rounds):
        for contender in contenders:
            time.sleep(PAUSE_S)
            times = contender.ask(contender.count + 1)
            contender.times += times[1:] if isinstance(times, list) else []
    for contender in contenders:
        row[contender.kind] = {**contender.about, "median_ms": statistics.median(contender.times), "min_ms": min(contender.times),
                               "runs": len(contender.times)}
        contender.close()
    return row


def work(spec):
    """Multiplications of 8-bit numbers in Qanat's program, and how many a second the processor can do at most."""
    first = os.path.join(spec["samples"], sorted(os.listdir(spec["samples"]))[0])
    command = [os.path.join(BUILD, "bin", "qanat"), "profile", spec["model"], "--quantize", "i8", "--calibrate-on", spec["samples"],
               "--calibrate-limit", "2", "--input", first, "--iterations", "20", "-j", "1", "--json"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        return None
    profile = json.loads(answer.stdout)
    return {"macs": sum(layer["macs"] for layer in profile["layers"]), "peak": profile["peak_macs"]["i8"]}


def cache(spec):
    """The folder of what engines' converters made of this file, and of what the engines said."""
    with open(spec["model"], "rb") as file:
        key = hashlib.sha256(file.read()).hexdigest()[:8]
    path = os.path.join(BUILD, "peers", "cache", f"{spec['name'].replace(' ', '_')}-{key}")
    os.makedirs(path, exist_ok=True)
    return path


def versions():
    import importlib.metadata
    found = {name: importlib.metadata.version(name) for name in SHOWN_VERSIONS}
    version = debian_version(DEBIAN_PACKAGE)
    return {**found, DEBIAN_PACKAGE: version} if version else found


def print_row(row, titles):
    for kind, cell in sorted(row.items(), key=lambda item: item[1].get("median_ms", 0)):
        if "median_ms" in cell:
            snr = "" if cell["snr_db"] is None else f"{cell['snr_db']:6.1f} dB"
            print(f"  {titles[kind]:18} {cell['median_ms']:9.3f} ms  (least {cell['min_ms']:.3f}, {cell['runs']} runs)  {snr}  "
                  f"{cell['variant']}", flush=True)


def run_all(args, data):
    """Fills data["results"], and writes the file after each network: a run takes long."""
    import numpy as np
    import peer_engines
    import peer_networks
    wanted = [name.lower() for name in args.models.split(",") if name]
    for network in peer_networks.NETWORKS:
        if wanted and not any(word in network.name.lower() for word in wanted) or not set(args.precisions.split(",")) & set(network.precisions.split()):
            continue
        with tempfile.TemporaryDirectory() as folder:
            spec, outputs = peer_networks.prepare(network, args.assets, folder)
            spec["cache"], spec["want"], spec["target"] = cache(spec), os.path.join(folder, "want.npz"), args.target
            np.savez(spec["want"], *outputs)
            for precision in [name for name in args.precisions.split(",") if name in network.precisions.split()]:
                for threads in args.thread_counts:
                    print(f"{network.name}, {precision}, {threads} thread{'s' * (threads > 1)}", flush=True)
                    row = measure({**spec, "precision": precision}, args, threads)
                    print_row(row, peer_engines.TITLES)
                    data["results"].append({"network": network.name, "precision": precision, "threads": threads, "engines": row,
                                            "commit": data["environment"]["commit"], "work": work(spec) if threads == 1 and precision == "i8" else None})
                    save(data, args)


def save(data, args):
    import peer_report
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(data, file, indent=1)
    if args.report:
        peer_report.write(data, args.report)


def merged(files):
    """Results of several runs: a later run's row replaces an earlier one of the same network where Qanat is in it, else adds its
    engines to it."""
    data, rows = {}, {}
    for path in files:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
        for result in data["results"]:
            key = (result["network"], result["precision"], result["threads"])
            if "qanat" in result["engines"] or key not in rows:
                rows[key] = result
            else:
                rows[key]["engines"].update(result["engines"])
    return {**data, "results": list(rows.values())}


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--assets", default=os.environ.get("QANAT_ASSETS"), help="the folder with models/onnx, onnx_light and images")
    parser.add_argument("--models", default="")
    parser.add_argument("--peers", default="qanat,onnxruntime,openvino,litert,onednn,torch,mnn,ncnn")
    parser.add_argument("--precisions", default="i8")
    parser.add_argument("--target", help="of Qanat (default: this machine's)")
    parser.add_argument("--threads", default="1")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--realtime", action="store_true", help="as root, where others use the machine: engines go before everybody else")
    parser.add_argument("--json")
    parser.add_argument("--report")
    parser.add_argument("--from", dest="files", help="JSON files of earlier runs, instead of running")
    args = parser.parse_args()
    if set(args.precisions.split(",")) - {"i8", "f32"}:
        parser.error("precisions are i8 and f32")
    args.thread_counts = [int(count) for count in args.threads.split(",")]
    return args


def main():
    if len(sys.argv) > 1 and sys.argv[1] == "--serve":
        import peer_engines
        peer_engines.serve(sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4]))
        return
    args = parsed_arguments()
    if args.install:
        install()
    if not os.path.exists(venv("run")):
        sys.exit("peers.py: no engines are installed: give --install")
    if not os.path.samefile(os.path.dirname(os.path.dirname(venv("run"))), sys.prefix):
        arguments = [argument for argument in sys.argv[1:] if argument != "--install"]
        sys.exit(subprocess.run([venv("run"), os.path.abspath(__file__), *arguments], check=False).returncode)
    if not args.assets and not args.files:
        sys.exit("peers.py: give --assets DIR, the folder with models/onnx, onnx_light and images")
    import peer_report
    if args.files:
        data = merged(args.files.split(","))
    else:
        words = ["test/bench/peers.py", "--threads", args.threads, "--rounds", str(args.rounds)]
        words += ["--precisions", args.precisions] if args.precisions != "i8" else []
        words += ["--target", args.target] if args.target else []
        words += ["--realtime"] if args.realtime else []
        data = {"results": [], "environment": peer_report.environment(ROOT, versions(), shlex.join(words))}
        run_all(args, data)
    save(data, args)


if __name__ == "__main__":
    main()
