"""Actions of the screens that train, list and chart runs."""

from __future__ import annotations

from looptop.tui.actions.action import Action

RUN_ACTIONS = {
    "train": (
        Action("new", "n", "new run", "Fill in the form of a new run.", palette=True),
        Action("open", "o", "open run", "Choose a run to watch: live, finished or interrupted.", palette=True),
    ),
    "form": (Action("start", "ctrl+s", "start", "Check the form and start the run.", palette=True, shown="^s"),),
    "run": (
        Action(
            "command('pause')", "space", "pause/go on", "Pause the run after its step, or continue it.", palette=True
        ),
        Action(
            "command('step')",
            "full_stop",
            "step",
            "Make one step while the run is paused.",
            footer=False,
            palette=True,
            shown=".",
        ),
        Action("command('checkpoint')", "c", "checkpoint", "Write a checkpoint now.", palette=True),
        Action("command('stop')", "x", "stop", "Stop the run; asks whether with a checkpoint.", palette=True),
        Action(
            "command('resume')",
            "r",
            "resume",
            "Resume a run that is no longer live, from its checkpoint.",
            palette=True,
        ),
        Action(
            "command('ask_model')", "a", "ask it", "Ask this run's model on the Ask screen.", footer=False, palette=True
        ),
        Action("smoothing", "s", "smoothing", "Smooth the training loss more, or less.", palette=True),
        Action(
            "scale",
            "y",
            "log scale",
            "Draw the loss on a logarithmic scale, or a linear one.",
            footer=False,
            palette=True,
        ),
        Action(
            "command('earlier')",
            "left_square_bracket",
            "earlier answers",
            "Sample answers of the previous evaluation.",
            footer=False,
            shown="[",
        ),
        Action(
            "command('later')",
            "right_square_bracket",
            "later answers",
            "Sample answers of the next evaluation.",
            footer=False,
            shown="]",
        ),
        Action("command('log')", "l", "log", "Read all that the run printed.", palette=True),
        Action("command('charts')", "m", "metrics", "All metrics as charts that can be zoomed.", palette=True),
    ),
    "runs": (
        Action(
            "filter",
            "slash",
            "filter",
            'Filter: kind:vqa state:running,paused loss<0.5 took>1h -"a word".',
            palette=True,
            shown="/",
        ),
        Action(
            "charts", "m", "metrics", "Metrics of the run, or of the selected ones laid over each other.", palette=True
        ),
        Action("sort", "s", "sort", "Sort by the next column; a click on a column's title sorts by it.", palette=True),
        Action("reverse", "S", "reverse", "Sort the other way round.", footer=False, palette=True),
        Action("rename", "t", "title", "Give the run a title.", palette=True),
        Action("note", "n", "note", "Write a note to the run.", palette=True),
        Action("resume", "r", "resume", "Resume a run that is not live, from its checkpoint.", palette=True),
        Action("duplicate", "u", "duplicate", "A new run like this one, with changes.", palette=True),
        Action(
            "export", "e", "export", "Export metrics and events: CSV, JSON lines, Parquet, TensorBoard.", palette=True
        ),
        Action(
            "command('stop')", "x", "stop", "Stop the run; asks whether with a checkpoint.", footer=False, palette=True
        ),
        Action("command('log')", "l", "log", "Read all that the run printed.", footer=False, palette=True),
        Action(
            "delete",
            "D,delete",
            "delete",
            "Delete the run, or the selected ones, with all files; asks first.",
            palette=True,
            shown="D",
        ),
    ),
    "runs-list": (
        Action("choose", "enter", "open", "Open the run; live or not."),
        Action("select", "space", "select", "Select the run for charts laid over each other, or for deletion."),
    ),
    "charts": (
        Action(
            "zoom(0.5)",
            "plus,equals_sign",
            "zoom",
            "Show half as many steps; the wheel does it too.",
            palette=True,
            shown="+-",
        ),
        Action("zoom(2.0)", "minus", "out", "Show twice as many.", footer=False, palette=True, shown="-"),
        Action(
            "pan(-0.25)",
            "comma,less_than_sign",
            "pan",
            "Go back by a quarter of the steps shown.",
            palette=True,
            shown=",.",
        ),
        Action(
            "pan(0.25)",
            "full_stop,greater_than_sign",
            "on",
            "Go forward by a quarter of the steps shown.",
            footer=False,
            palette=True,
            shown=".",
        ),
        Action("whole", "0", "all steps", "Show all steps again.", palette=True),
        Action("smoothing", "s", "smoothing", "Smooth more, or less.", palette=True),
        Action("scale", "y", "log scale", "A logarithmic scale, or a linear one.", palette=True),
        Action("filter", "slash", "filter", "Show only metrics whose names match.", palette=True, shown="/"),
        Action("choose", "v", "one in front", "Of several runs, put the next in front.", footer=False, palette=True),
        Action(
            "configurations",
            "t",
            "configurations",
            "The configurations side by side, what differs first.",
            palette=True,
        ),
        Action(
            "completions",
            "w",
            "completions",
            "What the model wrote, with rewards and advantages (GRPO, RLOO).",
            footer=False,
            palette=True,
        ),
        Action(
            "command('pause')", "space", "pause/go on", "Pause the run after its step, or continue it.", palette=True
        ),
        Action(
            "command('step')", "o", "one step", "Make one step while the run is paused.", footer=False, palette=True
        ),
        Action("command('checkpoint')", "c", "checkpoint", "Write a checkpoint now.", footer=False, palette=True),
        Action(
            "command('stop')", "x", "stop", "Stop the run; asks whether with a checkpoint.", footer=False, palette=True
        ),
        Action(
            "command('resume')",
            "r",
            "resume",
            "Resume a run that is no longer live.",
            footer=False,
            palette=True,
        ),
        Action("command('log')", "l", "log", "Read all that the run printed.", footer=False, palette=True),
    ),
    "wall": (
        Action("enlarge", "enter", "enlarge", "Show the chart alone, or all of them again."),
        Action("move(-1, 0)", "left", "left", "The chart to the left.", footer=False, shown="←"),
        Action("move(1, 0)", "right", "right", "The chart to the right.", footer=False, shown="→"),
        Action("move(0, -1)", "up,k", "up", "The chart above.", footer=False, shown="↑ k"),
        Action("move(0, 1)", "down,j", "down", "The chart below.", footer=False, shown="↓ j"),
        Action("page(-1)", "pageup", "page up", "The previous page of charts.", footer=False, shown="PgUp"),
        Action("page(1)", "pagedown", "page down", "The next page of charts.", footer=False, shown="PgDn"),
        Action("jump('first')", "home,g", "first", "The first chart.", footer=False, shown="Home g"),
        Action("jump('last')", "end,G", "last", "The last chart.", footer=False, shown="End G"),
    ),
    "configurations": (
        Action("all", "a", "all", "Show all settings, or only those that differ."),
        Action("close_overlay", "escape,t,q", "close", "Close the configurations.", shown="esc"),
    ),
    "completions": (
        Action("turn(-1)", "left_square_bracket", "earlier", "The completions of the previous step.", shown="["),
        Action("turn(1)", "right_square_bracket", "later", "The completions of the next step.", shown="]"),
        Action("order", "s", "sort", "The largest advantage first, or in their original order."),
        Action("close_overlay", "escape,w,q", "close", "Close the completions.", shown="esc"),
    ),
}
