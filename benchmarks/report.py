"""The report: lines during the run, tables, and a plot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.peers import BARE, OURS, Peer
from benchmarks.workloads import CPU, RATE, Figure, Sample, Workload

GENERATOR_THRESHOLD = 0.85
"""Share of its core above which the generator may be the bottleneck."""

NOISE_THRESHOLD = 0.1
"""Share of a core above which other processes may have changed the figures."""


@dataclass(slots=True)
class Result:
    """All samples of one workload over one transport with one peer."""

    workload: Workload
    transport: str
    peer: Peer
    samples: list[Sample] = field(default_factory=list)

    def value(self, figure: Figure) -> float | None:
        """Return the median of a figure, or None without samples."""
        values = [s.figures[figure.name] for s in self.samples if figure.name in s.figures]
        return median(values) if values else None

    def ratio(self, other: Result, figure: Figure) -> float | None:
        """Return the median ratio to the other peer's samples, turn by turn; above 1 is better."""
        ratios = []
        for mine, theirs in zip(self.samples, other.samples, strict=False):
            a, b = mine.figures.get(figure.name), theirs.figures.get(figure.name)
            if a and b:
                ratios.append(a / b if figure.more_is_better else b / a)
        return median(ratios) if ratios else None

    def difference(self, other: Result, figure: Figure) -> float:
        """Return the median difference to the other peer's samples, turn by turn."""
        pairs = zip(self.samples, other.samples, strict=False)
        return median([mine.figures[figure.name] - its.figures[figure.name] for mine, its in pairs])

    @property
    def spread(self) -> float:
        """The interquartile range of the samples, as a share of the median."""
        values = sorted(s.figures[self.workload.figures[0].name] for s in self.samples)
        if len(values) < 3:
            return 0.0
        quarter = len(values) // 4
        return (values[-1 - quarter] - values[quarter]) / median(values)

    @property
    def generator(self) -> float:
        """The generator's share of its core."""
        return median([s.usage.generator_share for s in self.samples])

    @property
    def noise(self) -> float:
        """The share of a core that other processes used or the host took."""
        return median([s.usage.other + s.usage.steal for s in self.samples])


class Results:
    """All results of a run."""

    def __init__(self, head: list[str]) -> None:
        self.head = head
        self.notes: list[str] = []
        self._by_key: dict[tuple[str, str, str], Result] = {}

    def of(self, workload: Workload, transport: str, peer: Peer) -> Result:
        """Return the result that a sample belongs to; create it if necessary."""
        key = (workload.title, transport, peer.name)
        if key not in self._by_key:
            self._by_key[key] = Result(workload, transport, peer)
        return self._by_key[key]

    def find(self, title: str, transport: str, peer: Peer = OURS) -> Result | None:
        """Return the result of the workload with this title, or None."""
        result = self._by_key.get((title, transport, peer.name))
        return result if result is not None and result.samples else None

    def __iter__(self) -> Iterator[Result]:
        return iter([result for result in self._by_key.values() if result.samples])

    def groups(self) -> dict[tuple[str, str], list[Result]]:
        """Return the results grouped by workload and transport."""
        groups: dict[tuple[str, str], list[Result]] = {}
        for result in self:
            groups.setdefault((result.workload.title, result.transport), []).append(result)
        return groups

    def ratio(
        self, title: str, transport: str, figure: Figure, peer: Peer = OURS, to: Peer = BARE
    ) -> float | None:
        """Return the ratio of one peer to another; above 1 is better."""
        mine, theirs = self.find(title, transport, peer), self.find(title, transport, to)
        return mine.ratio(theirs, figure) if mine is not None and theirs is not None else None


def line(result: Result, bare: Result | None) -> str:
    """Return a result as a line for the terminal."""
    parts = [f"  {result.peer.name:20}"]
    parts += [
        f"{number(result.value(figure), figure):>9} {figure.name}"
        for figure in result.workload.figures
    ]
    if bare is not None and bare is not result:
        ratio, by_cpu = result.ratio(bare, result.workload.figures[0]), result.ratio(bare, CPU)
        if ratio is not None:
            parts.append(f"{ratio:.2f} x bare")
        if by_cpu is not None:
            parts.append(f"{by_cpu:.2f} by CPU")
    text = "  ".join(parts)
    text += f"  [spread {result.spread:.0%}, generator {result.generator:.0%}"
    text += f", other processes {result.noise:.0%}"
    if result.generator > GENERATOR_THRESHOLD:
        text += ", BOUND BY THE GENERATOR"
    if result.noise > NOISE_THRESHOLD:
        text += ", NOISY"
    return text + "]"


def number(value: float | None, figure: Figure) -> str:
    """Format the value of a figure."""
    return "-" if value is None else f"{value:,.{figure.digits}f}"


def markdown(results: Results, targets: list[str]) -> str:
    """Return the report in Markdown; ``targets`` are the rows of its first table."""
    out = ["# Results", "", *[f"- {text}" for text in results.head]]
    worst = max(results, key=lambda result: result.generator, default=None)
    if worst is not None:
        out.append(
            f"- the generator used at most {worst.generator:.0%} of its core "
            f"({worst.workload.title}, {worst.transport}, {worst.peer.name})"
        )
        out.append(
            f"- other processes used {median([r.noise for r in results]):.0%} of a core (median), "
            f"{max(r.noise for r in results):.0%} at most"
        )
    out += [f"- {note}" for note in results.notes]
    if targets:
        out += ["", "## Targets", "", "| | target | reached | met |", "|---|---|---|---|", *targets]
    for (title, transport), group in results.groups().items():
        figures = group[0].workload.figures
        bare = results.find(title, transport, BARE)
        names = [figure.name for figure in figures]
        out += ["", f"## {title[0].upper()}{title[1:]}: {transport}", ""]
        out.append("| | " + " | ".join(names) + " | x bare | x bare, CPU | spread |")
        out.append("|---" * (len(names) + 4) + "|")
        first = figures[0]
        group.sort(key=lambda result: result.value(first) or 0.0, reverse=first.more_is_better)
        for result in group:
            ratios = [result.ratio(bare, each) if bare else None for each in (first, CPU)]
            name = f"**{result.peer.name}**" if result.peer is OURS else result.peer.name
            if result.generator > GENERATOR_THRESHOLD:
                name += " (bound by the generator)"
            cells = [number(result.value(figure), figure) for figure in figures]
            cells += ["-" if ratio is None else f"{ratio:.2f}" for ratio in ratios]
            cells.append(f"{result.spread:.0%}")
            out.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(out) + "\n"


def save(results: Results, targets: list[str], folder: Path) -> list[Path]:
    """Write the tables, the figures of every sample, and, if matplotlib is installed, the plot."""
    folder.mkdir(exist_ok=True)
    table, data = folder / "results.md", folder / "results.json"
    plotted = plot(results, folder / "echo.svg")
    table.write_text(markdown(results, targets))
    rows = [
        {
            "workload": result.workload.title,
            "transport": result.transport,
            "peer": result.peer.name,
            "samples": [
                sample.figures
                | {
                    "generator": sample.usage.generator_share,
                    "server": sample.usage.server_share,
                    "other": sample.usage.other,
                    "steal": sample.usage.steal,
                }
                for sample in result.samples
            ],
        }
        for result in results
    ]
    data.write_text(
        json.dumps({"head": results.head, "notes": results.notes, "results": rows}, indent=1)
    )
    paths = [table, data]
    return [*paths, plotted] if plotted is not None else paths


PLOTTED = "echo, 64 sessions, depth 16, 64 B"


def plot(results: Results, path: Path) -> Path | None:
    """Plot echoes per second: one bar per peer, for each transport."""
    groups = {
        transport: sorted(group, key=lambda result: result.value(RATE) or 0.0)
        for (title, transport), group in results.groups().items()
        if title == PLOTTED
    }
    if not groups:
        return None
    try:
        import matplotlib as mpl
    except ImportError:
        results.notes.append("no plot: matplotlib is not installed")
        return None
    mpl.use("svg")
    # Keep text as text, and write the same file for the same figures.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "onechannel", "font.size": 9})
    from matplotlib import pyplot

    sizes = [len(group) for group in groups.values()]
    canvas, axes = pyplot.subplots(
        len(groups),
        1,
        figsize=(8, 0.9 + 0.28 * sum(sizes) + 0.5 * len(groups)),
        sharex=True,
        squeeze=False,
        height_ratios=sizes,
    )
    for axis, (transport, group) in zip(axes[:, 0], groups.items(), strict=True):
        rates = [(result.value(RATE) or 0.0) / 1000 for result in group]
        colours = ["#c8502d" if result.peer is OURS else "#8a97a8" for result in group]
        bars = axis.barh([result.peer.name for result in group], rates, color=colours)
        axis.bar_label(bars, [f"{rate:,.0f}" for rate in rates], padding=3)
        axis.set_title(transport, loc="left", fontsize=9, fontweight="bold")
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1, 0].set_xlabel("thousand echoes per second: one server core, 64 sessions, 16 in flight")
    axes[0, 0].margins(x=0.12)
    canvas.tight_layout()
    canvas.savefig(path, metadata={"Date": None})
    pyplot.close(canvas)
    return path
