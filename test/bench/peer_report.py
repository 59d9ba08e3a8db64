"""The benchmark's results as a page (Markdown) and a chart (SVG that fits light and dark pages)."""
import datetime
import math
import os
import platform
import subprocess

from peer_engines import LEAST_SNR_DB, TITLES
from peer_networks import NETWORKS

COLOURS = {"onnxruntime": "#2f7ed8", "openvino": "#8a5cd0", "litert": "#d9822b", "onednn": "#1f9d74", "mnn": "#c2478d", "ncnn": "#8c8c3a",
           "torch": "#d0473f"}
ROW, LEFT, WIDTH, TOP = 26, 215, 900, 64


def is_right(cell):
    return "median_ms" in cell and (cell["snr_db"] is None or cell["snr_db"] >= LEAST_SNR_DB)


def in_order(results):
    names = [network.name for network in NETWORKS]
    return sorted(results, key=lambda result: (names.index(result["network"]), result["threads"]))


def fastest_peer(engines):
    """(kind, ms) of the fastest engine but Qanat whose outputs are right, or None."""
    right = [(cell["median_ms"], kind) for kind, cell in engines.items() if kind != "qanat" and is_right(cell)]
    return min(right)[::-1] if right else None


def ratio(result):
    peer, own = fastest_peer(result["engines"]), result["engines"].get("qanat", {})
    return peer[1] / own["median_ms"] if peer and is_right(own) else None


def digits(ms):
    return f"{ms:.3g}" if ms < 100 else f"{ms:.0f}"


def shown(cell, best):
    if cell is None:
        return ""
    if "median_ms" not in cell:
        return "–"
    text = digits(cell["median_ms"])
    if not is_right(cell):
        return f"({text})"
    return f"**{text}**" if best else text


def table(results, kinds):
    head = ["network", *(TITLES[kind] for kind in kinds), "fastest peer / Qanat"]
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    for result in results:
        engines = result["engines"]
        right = [cell["median_ms"] for cell in engines.values() if is_right(cell)]
        cells = [shown(engines.get(kind), is_right(engines.get(kind, {})) and engines[kind]["median_ms"] == min(right)) for kind in kinds]
        value = ratio(result)
        lines.append("| " + " | ".join([result["network"], *cells, f"{value:.2f} ×" if value else ""]) + " |")
    return lines


def work_table(results):
    lines = ["| network | MACs | Qanat | 8-bit MACs a second | of the vector units' peak |", "|---|---:|---:|---:|---:|"]
    for result in results:
        own, work = result["engines"].get("qanat", {}), result.get("work")
        if work and is_right(own):
            speed = work["macs"] / own["median_ms"] * 1e3
            lines.append(f"| {result['network']} | {work['macs'] / 1e6:.1f} M | {digits(own['median_ms'])} ms | {speed / 1e9:.0f} G | "
                         f"{speed / work['peak']:.0%} |")
    return lines


def notes(results):
    """What did not run, and what ran with wrong outputs; the variant that was fastest, engine by engine."""
    lines = []
    for result in results:
        for kind, cell in result["engines"].items():
            where = f"{result['network']}, {TITLES[kind]}"
            if "error" in cell:
                lines.append(f"- {where}: {cell['error']}")
            elif not is_right(cell):
                lines.append(f"- {where}: outputs {cell['snr_db']} dB from the float network's: not counted")
    return list(dict.fromkeys(lines)) # once for all thread counts


def variants(results):
    lines = ["| network | " + " | ".join(TITLES[kind] for kind in TITLES if kind != "qanat") + " |",
             "|---" * len(TITLES) + "|"]
    for result in results:
        cells = []
        for kind in TITLES:
            cell = result["engines"].get(kind, {})
            if kind != "qanat":
                quality = f", {cell['snr_db']:.0f} dB" if cell.get("snr_db") is not None else ""
                cells.append(f"{cell.get('variant', '')}{quality}".lstrip(", ") if "median_ms" in cell else "–")
        lines.append(f"| {result['network']} | " + " | ".join(cells) + " |")
    return lines


def processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            lines = file.read().split("\n")
    except OSError:
        return platform.processor()
    fields = dict(line.split("\t: ", 1) for line in lines if "\t: " in line)
    flags = set(next((line.split(":")[1].split() for line in lines if line.startswith("flags")), []))
    known = [name for flag, name in (("avx512_vnni", "AVX512-VNNI"), ("avx512vbmi", "VBMI"), ("amx_int8", "AMX-INT8")) if flag in flags]
    return f"{fields.get('model name', '').strip()} ({', '.join(known)})" if known else fields.get("model name", "")


def commit(root):
    answer = subprocess.run(["git", "-C", root, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return answer.stdout.strip()


def environment(root, versions, command):
    return {"date": datetime.date.today().isoformat(), "processor": processor(), "processors": os.cpu_count(), "commit": commit(root),
            "versions": versions, "command": command}


# ---- chart

def log_x(value, low, high):
    return LEFT + (math.log(value) - math.log(low)) / (math.log(high) - math.log(low)) * (WIDTH - LEFT - 30)


def axis(low, high, bottom):
    parts = []
    for tick in (0.5, 1, 2, 4, 8, 16, 32, 64):
        if low <= tick <= high:
            x = log_x(tick, low, high)
            kind = "one" if tick == 1 else "grid"
            parts.append(f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{bottom}"/>')
            parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{tick:g} ×</text>')
    return parts


def chart(results):
    rows = [result for result in results if is_right(result["engines"].get("qanat", {}))]
    own = [result["engines"]["qanat"]["median_ms"] for result in rows]
    points = [{kind: cell["median_ms"] / ms for kind, cell in result["engines"].items() if kind != "qanat" and is_right(cell)}
              for result, ms in zip(rows, own)]
    values = [value for point in points for value in point.values()] or [1]
    low, high, bottom = min(0.8, min(values) * 0.9), max(4, max(values) * 1.15), TOP + ROW * len(rows)
    kinds = [kind for kind in TITLES if any(kind in point for point in points)]
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 34}" font-family="sans-serif" font-size="13">',
             "<style>text{fill:#24292f}.grid{stroke:#d0d7de}.one{stroke:#24292f;stroke-width:2}.row{fill:#8882}.dot{stroke:#fff}"
             "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.grid{stroke:#3d444d}.one{stroke:#e6edf3}.dot{stroke:#0d1117}}</style>",
             f'<text x="12" y="20" font-weight="bold">Time against Qanat\'s, 8 bits, {rows[0]["threads"] if rows else 1} thread: '
             "right of the line Qanat is faster</text>"]
    x = 12
    for kind in kinds:
        parts.append(f'<circle cx="{x + 6}" cy="38" r="6" fill="{COLOURS[kind]}"/><text x="{x + 17}" y="42">{TITLES[kind]}</text>')
        x += 34 + 7.4 * len(TITLES[kind])
    for i, (result, point) in enumerate(zip(rows, points)):
        y = TOP + ROW * i
        if i % 2 == 0:
            parts.append(f'<rect class="row" x="0" y="{y}" width="{WIDTH}" height="{ROW}"/>')
        parts.append(f'<text x="12" y="{y + 17}">{result["network"]}</text>')
    parts += axis(low, high, bottom)
    for i, point in enumerate(points):
        for kind, value in sorted(point.items(), key=lambda item: -item[1]):
            parts.append(f'<circle class="dot" cx="{log_x(value, low, high):.1f}" cy="{TOP + ROW * i + ROW / 2}" r="6" '
                         f'fill="{COLOURS[kind]}"><title>{TITLES[kind]}: {value:.2f} ×</title></circle>')
    return "\n".join([*parts, "</svg>", ""])


# ---- page

HOW = """Milliseconds, medians of interleaved rounds, batch 1, a process for each engine on the same processors. Bold: the fastest. In parentheses:
outputs farther than {snr} dB from the float network's, over 8 samples, which does not count. –: it did not run here, see below. Empty: not measured in
this run.

Each engine has the network in the 8-bit form that it likes best, calibrated on the same 32 inputs, and of its configurations the
fastest with right outputs is timed:

- ONNX Runtime: its own quantizer (QDQ, signed or unsigned activations);
- OpenVINO: what NNCF makes of the network (its preset `performance`);
- LiteRT: a full-integer TFLite file and XNNPACK; conversions of its 8-bit inputs and outputs are not timed;
- oneDNN: a program of that library's primitives for the same shapes, with residual adds and activations as post-ops and random numbers,
  without quantizing of inputs, transposes of outputs and decoding of boxes: a reference for speed only; version 2.6 or 3.2;
- PyTorch: what torchao and PyTorch's compiler make of it;
- MNN: what its quantizer makes, or the float network where that is faster;
- ncnn: the float network; its packages have no quantizer.

Qanat, ONNX Runtime, OpenVINO and PyTorch take and give float. Calls from Python cost each about 1 to 5 µs.

ResNet-50, ShuffleNet, DenseNet-121, EfficientNet-Lite0, DeepLabv3, the MobileNetV2 for CIFAR-10 and the MLPerf Tiny networks have random weights;
classifiers of random weights end before their softmax."""

OTHERS = """Engines that were looked at and are not in the tables (November 2026):

- ExecuTorch runs these networks on XNNPACK, which LiteRT stands for; ONNX Runtime with OpenVINO's execution provider on OpenVINO's kernels.
- Intel Extension for PyTorch: its last version on PyPI is for PyTorch 2.8, and what it did for 8 bits is in PyTorch.
- Apache TVM and tinygrad: their wheels have no quantizer, they would run in float.
- oneDNN's own wheels now need the SYCL runtime; the last one with OpenMP has version 3.2.
- DeepSparse: a source package of 6 kB without the engine's code, not tried further. Paddle Lite, MindSpore Lite and MegEngine have no wheel for this Python."""

PEAK = """Multiplications of 8-bit numbers a second, one thread, against what vector instructions for them reach in a loop (`qanat profile` measures
it); what runs in AMX tiles can go above."""


FLOATS = """Networks that are not quantized, in f32 on every engine: a later run, `test/bench/peers.py --precisions f32 --rounds 3 --realtime`. Where Qanat leads by little or not, dense
convolutions take the time, at 70 to 80 % of what fused multiply-adds reach in registers (a loop of 28 of them and 16 loads reaches 91 %)."""


OLDER = """A target says which instructions may be used ([cli.md](cli.md)): without dot products of bytes int8 is multiplied by way of 16 bits, exactly, and on the same packed
weights. ms on one core of the machine named above, held to older instruction sets; MobileNetV2 as above, ResNet-50 with random weights:

| `--target` | instructions | MobileNetV2 int8 | float | ResNet-50 int8 | float |
|---|---|---|---|---|---|
| `x86-64-v4` | AVX-512 | 4.57 | 4.65 | 49.8 | 60.4 |
| `x86-64-v3` | AVX2, FMA | 6.07 | 7.76 | 69.1 | 92.1 |
| `x86-64`, `x86-64-v2` | SSE2 | 13.4 | 20.1 | 167 | 254 |

    qanat bench mobilenetv2.onnx --quantize i8 --calibration mobilenetv2.table --target x86-64-v3 -j 1

In another run, a slower one: AVX-VNNI (`x86-64-v3-vnni`) takes 3.3 ms for MobileNetV2 in int8 where AVX2 takes 7.1, and 30 ms for ResNet-50. Winograd's method ([numerics.md](numerics.md)), chosen
for 3x3 layers where it is estimated to be faster, takes ResNet-50 from 72.8 to 62.6 ms on AVX2 and from 54.1 to 47.5 ms on AVX-512 without VNNI (`--winograd off|auto`, in turn).

By the count of instructions AVX2 can do 24 multiply-adds a cycle so, 1.5 times as many as in float, AVX-512 32, as many as in float."""

BOUNDS = """Measured on the Xeon named above; cycles are those of its clock under load. `qanat profile` shows a network's layers, `kernel_test --bench`
single ones.

- Convolutions on AMX, 1x1 with up to 64 channels: what remains is the way from sums to bytes, 15 vector instructions on two ports for 64
  results. The tile instructions of the next block stand between them: 190 to 230 cycles for 1,024 results, where one after the other they
  took 280 to 330.
- Depthwise 3x3: 12 products, 8 interleavings and the same 15 instructions for 64 results, at best 17.5 cycles; 19 to 21 are reached, 30 to 36
  with stride 2, where columns are used less often.
- ResNet-50 on AVX512-VNNI alone (`--target x86-64-v4-vnni`), 12.5 ms, 85 % of the peak. By the count of instructions on the two ports that
  multiply, 64 results take 7 cycles from sums to bytes and 13 more with a residual: 7 % of the products' time (8 to 10 and 24 together were
  measured of single layers); taps in padding that are left out give 4 % back. Single 3x3 layers with weights in near caches reach 99 to 117 %.
  The last stage reads 15 MB of weights from far away: a 3x3 layer of 7x7x512 takes 330 us, 310 with weights in pages of 2 MB, 270 where
  they come from nearer caches.
- Fully connected, one row: weights come from the third cache at 25 to 29 GB/s. Asking for them earlier takes from the layers before what it
  gives to this one.
- Expand, depthwise and project of MobileNetV2 run together over bands of rows: what lies between them stays with the core that makes it.
  On one thread that takes 1 to 2 % less time, on two 18 %, and 1.17 MB of memory in place of 1.53. Bands of few rows would take less memory
  and more time: a call of an AMX kernel costs 0.4 µs besides its work (16 bands in place of 2: 20 %, with 0.3 MB).
- Two threads: handing out work and waiting for it takes 0.5 µs, in MobileNetV2 22 times, 2 % of one thread's time. ResNet-50's layers are
  large. What MobileNetV2's later blocks lose is in the images' halves: of 14 rows of 14 pixels each thread expands 8, one more than half, in
  7 tiles of 16 pixels where the whole takes 13; of 7 rows 5; and each core reads all weights, at 25 to 29 GB/s (0.9 of the 5.4 µs that such
  an expansion takes). Shared by channels in place of rows, blocks of 7x7 take 10 % longer: the projection then reads what the other core
  made, at 6 ns a line."""


def page(data, image):
    environment_, every = data["environment"], in_order(data["results"])
    results, floats = [[result for result in every if result["precision"] == precision] for precision in ("i8", "f32")]
    kinds = [kind for kind in TITLES if any(kind in result["engines"] for result in results)]
    commits = ", ".join(dict.fromkeys(result["commit"] for result in results))
    lines = ["# Performance", "", f"Written by `{environment_['command']}` on {environment_['date']}, commit {commits}.", "",
             f"{environment_['processor']}, {environment_['processors']} processors. "
             + ", ".join(f"{name} {version}" for name, version in sorted(environment_["versions"].items())) + ".", "",
             f"![Time of each engine against Qanat's]({image})", "", HOW.format(snr=LEAST_SNR_DB)]
    for threads in sorted({result["threads"] for result in results}):
        of_threads = [result for result in results if result["threads"] == threads]
        lines += ["", f"## {threads} thread{'s' * (threads > 1)}", "", *table(of_threads, kinds)]
    if floats:
        kinds = [kind for kind in TITLES if any("median_ms" in result["engines"].get(kind, {}) for result in floats)]
        lines += ["", "## Float, 1 thread", "", FLOATS, "", *table([result for result in floats if result["threads"] == 1], kinds)]
    single = [result for result in results if result["threads"] == 1]
    if any(result.get("work") for result in single):
        lines += ["", "## Share of the peak", "", PEAK, "", *work_table(single)]
    lines += ["", "## What bounds it", "", BOUNDS]
    lines += ["", "## Older x86-64", "", OLDER]
    lines += ["", "## Variants", "", "What was fastest (1 thread), and how near its outputs are to the float network's.", "", *variants(single)]
    lines += ["", "## Not run, not counted", "", *(notes(results) or ["Nothing."]), "", OTHERS]
    return "\n".join(lines).rstrip() + "\n"


def write(data, path):
    image = os.path.splitext(path)[0] + ".svg"
    with open(path, "w", encoding="utf-8") as file:
        file.write(page(data, os.path.basename(image)))
    with open(image, "w", encoding="utf-8") as file:
        file.write(chart([result for result in in_order(data["results"]) if result["threads"] == 1 and result["precision"] == "i8"]))
