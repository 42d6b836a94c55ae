"""Keys of the screens that train, list and chart runs.

Each is an `Action`: what it calls, its keys, its label in the bottom line, and its sentence in the help.
"""

from __future__ import annotations

from looptop.tui.actions.action import HELP, Action
from looptop.tui.actions.run_controls import run_control

RUN_ACTIONS = {
    "train": (
        Action("new", "n", "new run", "Fill in the form of a new run.", palette=True, changes=True),
        Action("open", "o", "open run", "Choose a run to watch: live, finished or interrupted.", palette=True),
    ),
    "form": (
        Action(
            "start", "ctrl+s", "start", "Check the form and start the run.", palette=True, key_text="^s", changes=True
        ),
        Action(
            "search",
            "slash",
            "search",
            "Search the settings by words in their names and descriptions.",
            palette=True,
            key_text="/",
        ),
        Action(
            "pane",
            "t",
            "about",
            "Switch between an overview of the run, the TOML of what differs from the preset, and all of the TOML.",
            palette=True,
        ),
        Action(
            "editor",
            "ctrl+e",
            "editor",
            "Open the configuration in your editor (VISUAL, EDITOR).",
            palette=True,
            key_text="^e",
        ),
    ),
    "settings": (
        Action("choose", "enter", "change", "Type the setting's value, or choose its next option.", key_text="⏎"),
        Action("step_option(1)", "right,space", "choose", "Choose the setting's next option.", key_text="← →"),
        Action(
            "step_option(-1)", "left", "choose", "Choose the setting's previous option.", footer=False, key_text="←"
        ),
        Action("reset", "backspace,delete", "reset", "Reset the setting to the preset's value.", key_text="⌫"),
    ),
    "value": (
        Action("leave_field(0)", "enter,escape", "keep", "Keep what was typed, and leave the field.", key_text="⏎"),
        Action("leave_field(-1)", "up", "other setting", "Keep it, and go to the setting above.", key_text="↑↓"),
        Action("leave_field(1)", "down", "below", "Keep it, and go to the setting below.", footer=False, key_text="↓"),
    ),
    "run": (
        run_control("pause", "space"),
        run_control("step", "full_stop", footer=False, key_text="."),
        run_control("checkpoint", "c"),
        run_control("stop", "x"),
        run_control(
            "resume", "r", help="Resume a run that is no longer live, from its checkpoint; prolong a finished one."
        ),
        Action(
            "command('ask_model')", "a", "ask it", "Ask this run's model on the Ask screen.", footer=False, palette=True
        ),
        Action("chart('smoothing')", "s", "smoothing", "Smooth the training loss more, or less."),
        Action(
            "chart('scale')", "y", "log scale", "Draw the loss on a logarithmic scale, or a linear one.", footer=False
        ),
        Action(
            "command('earlier')",
            "left_square_bracket",
            "earlier answers",
            "Show the sample answers of the previous evaluation.",
            footer=False,
            palette=True,
            key_text="[",
        ),
        Action(
            "command('later')",
            "right_square_bracket",
            "later answers",
            "Show the sample answers of the next evaluation.",
            footer=False,
            palette=True,
            key_text="]",
        ),
        Action(
            "command('timeline')",
            "w",
            "answers",
            "Show the sample answers with images, accuracy by type and confusions, at each evaluation.",
            footer=False,
            palette=True,
        ),
        run_control("log", "l"),
        run_control("events", "enter,L", footer=False, key_text="L"),
        Action("command('charts')", "m", "metrics", "Show all metrics as charts that can be zoomed.", palette=True),
        Action(
            "command('evaluation')",
            "e",
            "evaluation",
            "Show how good the run's model is and where it fails: accuracy, calibration, confusions, hardest"
            " questions.",
            palette=True,
        ),
        Action(
            "command('questions')",
            "t",
            "training questions",
            "List the training questions by loss, confidence and variability; change answers, leave questions out.",
            palette=True,
        ),
    ),
    "runs": (
        Action(
            "filter",
            "slash",
            "filter",
            'Filter: kind:vqa state:running,paused loss<0.5 took>1h -"a word".',
            palette=True,
            key_text="/",
        ),
        Action(
            "charts",
            "m",
            "metrics",
            "Show the run's metrics, or those of the selected runs in shared charts.",
            palette=True,
        ),
        Action(
            "evaluation",
            "v",
            "evaluation",
            "Show how good the run's model is and where it fails (VQA).",
            footer=False,
            palette=True,
        ),
        Action(
            "sort",
            "s",
            "sort",
            "Sort by the next column; clicking a column's title sorts by that column.",
            palette=True,
        ),
        Action("reverse", "S", "reverse", "Sort the other way round.", footer=False, palette=True),
        Action("rename", "t", "title", "Give the run a title.", palette=True, changes=True),
        Action("note", "n", "note", "Write a note about the run.", palette=True, changes=True),
        run_control("resume", "r", help="Resume a run that is not live, from its checkpoint; prolong a finished one."),
        Action(
            "duplicate",
            "u",
            "duplicate",
            "Fill in the form of a new run with this run's settings.",
            palette=True,
            changes=True,
        ),
        Action(
            "export",
            "e",
            "export",
            "Export metrics and events: CSV, JSON lines, Parquet, TensorBoard.",
            palette=True,
            changes=True,
        ),
        run_control("stop", "x", footer=False),
        run_control("log", "l", footer=False),
        run_control("events", "L", footer=False),
        Action(
            "delete",
            "D,delete",
            "delete",
            "Delete the run, or the selected ones, with all files; asks first.",
            palette=True,
            key_text="D",
            changes=True,
        ),
    ),
    "runs-list": (
        Action("choose", "enter", "open", "Open the run, live or not."),
        Action("select", "space", "select", "Select the run, to compare its charts with others' or to delete it."),
    ),
    "charts": (
        Action("filter", "slash", "filter", "Show only metrics whose names match.", palette=True, key_text="/"),
        Action(
            "next_in_front",
            "v",
            "one in front",
            "Bring the next of several runs to the front.",
            footer=False,
            palette=True,
        ),
        Action(
            "configurations",
            "t",
            "configurations",
            "Show the configurations side by side, differences first.",
            palette=True,
        ),
        Action(
            "completions",
            "w",
            "completions",
            "Show what the model wrote, with rewards and advantages (GRPO, RLOO).",
            footer=False,
            palette=True,
        ),
        run_control("pause", "space"),
        run_control("step", "o", label="one step", footer=False),
        run_control("checkpoint", "c", footer=False),
        run_control("stop", "X", footer=False),
        run_control("resume", "r", footer=False),
        run_control("log", "l", footer=False),
        run_control("events", "L", footer=False),
    ),
    "configurations": (
        Action("all", "a", "all", "Show all settings, or only those that differ."),
        Action("close_overlay", "escape,t,q", "close", "Close the configurations.", key_text="esc"),
        HELP,
    ),
    "completions": (
        Action(
            "turn(-1)", "left_square_bracket", "earlier", "Show the completions of the previous step.", key_text="["
        ),
        Action("turn(1)", "right_square_bracket", "later", "Show the completions of the next step.", key_text="]"),
        Action("order", "s", "sort", "The largest advantage first, or in their original order."),
        Action("close_overlay", "escape,w,q", "close", "Close the completions.", key_text="esc"),
        HELP,
    ),
}
