"""Keys of charts, the same on every screen that has some; they work while a chart has the focus.

Each is an `Action`: what it calls, its keys, its label in the bottom line, and its sentence in the help.
"""

from __future__ import annotations

from looptop.tui.actions.action import Action

PLOT_ACTIONS = {
    "wall": (
        Action(
            "enlarge", "enter", "enlarge", "Show this chart alone, or all charts again; a double click does the same."
        ),
        Action(
            "read(-1)",
            "left",
            "read",
            "Move the reading cursor to the previous point; a click moves it anywhere.",
            key_text="←→",
        ),
        Action("read(1)", "right", "read", "Move the reading cursor to the next point.", footer=False, key_text="→"),
        Action("read_end('first')", "home", "first", "Read the first point on display.", footer=False, key_text="Home"),
        Action("read_end('last')", "end", "last", "Read the last point, and follow it.", footer=False, key_text="End"),
        Action(
            "zoom(0.5)",
            "plus,equals_sign",
            "zoom",
            "Zoom in at the cursor; the wheel zooms at the pointer, and dragging zooms to the range that it covers.",
            palette=True,
            key_text="+-",
        ),
        Action("zoom(2.0)", "minus", "out", "Zoom out: show twice as much.", footer=False, palette=True, key_text="-"),
        Action(
            "pan(-0.25)",
            "comma,less_than_sign",
            "pan",
            "Move back by a quarter of the range on display; dragging the axis below the curves does the same.",
            palette=True,
            key_text=",.",
        ),
        Action(
            "pan(0.25)",
            "full_stop,greater_than_sign",
            "forward",
            "Move forward by a quarter of the range on display.",
            footer=False,
            palette=True,
            key_text=".",
        ),
        Action("whole", "0", "all steps", "Show all steps again.", palette=True),
        Action("smoothing", "s", "smoothing", "Smooth more, or not at all; the raw curve stays visible.", palette=True),
        Action("scale", "y", "log scale", "Switch between a logarithmic and a linear scale.", palette=True),
        Action(
            "unit",
            "x",
            "axis",
            "Switch the axis between steps, epochs, and training time without pauses.",
            palette=True,
        ),
        Action("overlay", "O", "overlay", "Overlay another run on the charts, or remove it.", palette=True),
        Action(
            "export_chart",
            "E",
            "export",
            "Write the chart as CSV, SVG, PNG and plain text.",
            palette=True,
            changes=True,
        ),
        Action(
            "step_chart(-1)", "left_square_bracket", "chart", "Choose the previous chart.", footer=False, key_text="["
        ),
        Action("step_chart(1)", "right_square_bracket", "chart", "Choose the next chart.", footer=False, key_text="]"),
        Action("row(-1)", "up,k", "up", "The chart above.", footer=False, key_text="↑ k"),
        Action("row(1)", "down,j", "down", "The chart below.", footer=False, key_text="↓ j"),
        Action("page(-1)", "pageup", "page up", "The previous page of charts.", footer=False, key_text="PgUp"),
        Action("page(1)", "pagedown", "page down", "The next page of charts.", footer=False, key_text="PgDn"),
        Action("jump('first')", "g", "first", "The first chart.", footer=False),
        Action("jump('last')", "G", "last", "The last chart.", footer=False),
    ),
}
