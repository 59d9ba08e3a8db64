# The page of `qanat report` in a browser: nothing is complained about, tables sort, a link opens its histogram, charts have a size.
# REQUIRES: chromium
# RUN: rm -rf %t && mkdir %t && %python %s %qanat %root/docs/examples/digits %t %chromium
import json
import os
import re
import subprocess
import sys

qanat, digits, work, chromium = sys.argv[1:5]
os.chdir(digits)
page = os.path.join(work, "page.html")
data = ["digits.onnx", "--data", "calibration", "--preprocess", "color=gray,mean=0,std=255"]
found = os.path.join(work, "found")
subprocess.run([qanat, "search", *data, "--limit", "4", "--expected-cos", "1", "-o", found], check=True, stdout=subprocess.DEVNULL)
subprocess.run([qanat, "report", *data, "--iterations", "3", "--search", found + ".log", "-o", page], check=True)

# What a reader would do, and what is seen then.
ACTIONS = """
const seen = {}, table = document.querySelector('#tensors table'), cells = column => [...table.tBodies[0].rows].map(row => row.cells[column].textContent);
const head = name => [...table.tHead.rows[0].cells].findIndex(cell => cell.textContent === name), click = name => table.tHead.rows[0].cells[head(name)].firstChild.click();
seen.before = cells(0);
click('own dB'); seen.falling = cells(head('own dB'));
click('own dB'); seen.rising = cells(head('own dB'));
click('tensor'); seen.names = cells(1);
click('#'); click('#'); seen.after = cells(0);
const losses = document.querySelector('#search table'), column = index => [...losses.tBodies[0].rows].map(row => row.cells[index].textContent);
seen.operators = column(1);
losses.tHead.rows[0].cells[4].firstChild.click(); seen.losses = column(4);
seen.bars = document.querySelectorAll('#search svg .column').length;
seen.open = [...document.querySelectorAll('details')].filter(one => one.open).length;
location.hash = '#t2';
setTimeout(() => {
  seen.opened = [...document.querySelectorAll('details')].filter(one => one.open).map(one => one.id);
  document.getElementById('all').click();
  const charts = [...document.querySelectorAll('svg')].map(one => one.getBoundingClientRect());
  seen.charts = charts.length;
  seen.empty = charts.filter(box => box.width < 100 || box.height < 50).length;
  seen.wide = document.documentElement.scrollWidth > innerWidth;
  document.title = 'SEEN' + JSON.stringify(seen) + 'END';
}, 50);
"""
with open(page, encoding="utf-8") as file:
    text = file.read()
assert text.count("</script></body>") == 1
with open(page, "w", encoding="utf-8") as file:
    file.write(text.replace("</script></body>", ACTIONS + "</script></body>"))
result = subprocess.run([chromium, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--user-data-dir=" + os.path.join(work, "profile"),
                         "--virtual-time-budget=3000", "--window-size=1200,900", "--dump-dom", "file://" + page],
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
assert result.returncode == 0, result.stderr
complaints = [line for line in result.stderr.splitlines() if ":CONSOLE" in line]
assert not complaints, complaints
seen = json.loads(re.search("<title>SEEN(.*)END</title>", result.stdout).group(1).replace("&amp;", "&"))


def numbers(texts):
    return [float(text) for text in texts if text]


assert seen["before"] == seen["after"] == [str(i) for i in range(len(seen["before"]))] and len(seen["before"]) == 18, seen
assert numbers(seen["falling"]) == sorted(numbers(seen["falling"]), reverse=True) and len(numbers(seen["falling"])) > 10, seen["falling"]
assert numbers(seen["rising"]) == sorted(numbers(seen["rising"])), seen["rising"]
assert seen["falling"][-1] == seen["rising"][-1] == "", "what has no figure comes last"
assert seen["names"][0] == "block1.add" and seen["names"][-1] == "stem.relu", seen["names"]
assert seen["open"] == 0 and seen["opened"] == ["t2"], seen
with open(found + ".log", encoding="utf-8") as file:
    lines = [line.split() for line in file if not line.startswith("#")]
assert seen["operators"] == list(dict.fromkeys(line[0] for line in lines)) and len(seen["operators"]) == seen["bars"] == 15, seen
assert numbers(seen["losses"]) == sorted(numbers(seen["losses"]), reverse=True) and len(numbers(seen["losses"])) > 8, seen["losses"]
assert seen["charts"] == 4 + 16 and seen["empty"] == 0 and not seen["wide"], seen
