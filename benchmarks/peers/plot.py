"""Draws one figure of growth on logarithmic axes: `plot.py JOB.json FIGURE.svg`."""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "growth"  # the same figure is the same file

from matplotlib import pyplot  # noqa: E402

job = json.loads(Path(sys.argv[1]).read_text())
figure, axes = pyplot.subplots(figsize=(6, 3.6), layout="constrained")
for name, values in job["curves"].items():
    axes.loglog(job["x"], values, marker="o", label=name)
axes.set_xlabel(job["label"])
axes.set_ylabel("median of a first page, ms")
axes.grid(True, which="major", alpha=0.3)
axes.legend()
figure.savefig(sys.argv[2], metadata={"Date": None})
