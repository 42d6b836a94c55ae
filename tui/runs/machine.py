"""The panel with the load of the machine: CPU, memory, disk, each GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from looptop.tui.text import bar, cell, safe, size
from looptop.tui.widgets.panel import Panel

if TYPE_CHECKING:
    from looptop.engine.machine.gpus import Gpu
    from looptop.engine.machine.usage import Usage

NAME_WIDTH = 10


class MachinePanel(Panel):
    """The load of the machine: a line with a bar for each part, several for a GPU."""

    def __init__(self) -> None:
        super().__init__(id="machine")
        self.border_title = "Machine"

    def show_usage(self, usage: Usage) -> None:
        """Shows a reading."""
        width = self.content_size.width
        rows = [
            ("processor", usage.processor, f"{100 * usage.processor:.0f} % of {usage.cores}"),
            ("memory", _share(usage.memory_used, usage.memory_total), _of_total(usage.memory_used, usage.memory_total)),
            ("disk", _share(usage.disk_used, usage.disk_total), f"{size(usage.disk_free)} free"),
        ]
        lines = [_usage_line(*row, width) for row in rows]
        for gpu in usage.gpus:
            lines += _gpu_lines(gpu, width)
        self.show(Content("\n").join(lines))


def _gpu_lines(gpu: Gpu, width: int) -> list[Content]:
    words = []
    if gpu.temperature is not None:
        words.append(f"{gpu.temperature} °C")
    if gpu.power is not None:
        words.append(f"{gpu.power:.0f} W" + (f" of {gpu.power_limit:.0f}" if gpu.power_limit else ""))
    lines = [cell(f"GPU {gpu.index}  {gpu.name}", max(width, 1), "bold")]
    if gpu.use is not None:
        lines.append(_usage_line("use", gpu.use, f"{100 * gpu.use:.0f} %", width))
    if gpu.memory_used is not None and gpu.memory_total is not None:
        share = _share(gpu.memory_used, gpu.memory_total)
        lines.append(_usage_line("memory", share, _of_total(gpu.memory_used, gpu.memory_total), width))
    if words:
        lines.append(safe(f"{'':<{NAME_WIDTH}}{'  '.join(words)}", "$text-muted"))
    return lines


def _usage_line(name: str, share: float, words: str, width: int) -> Content:
    room = max(4, width - NAME_WIDTH - len(words) - 1)
    filled = bar(share, room)
    # A busy CPU is normal; a nearly full memory or disk is a problem.
    fullness = share if name in ("memory", "disk") else 0.0
    style = "$text-error" if fullness > 0.95 else "$text-warning" if fullness > 0.85 else "$primary"
    return Content.assemble(
        (f"{name:<{NAME_WIDTH}}", "$text-muted"), (filled, style), ("░" * (room - len(filled)), "$panel"), f" {words}"
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _of_total(part: int, whole: int) -> str:
    return f"{part / 2**30:.1f} of {whole / 2**30:.1f} GiB"
