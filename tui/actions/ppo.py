"""Keys of the PPO screen, the most specific contexts first.

Each is an `Action`: what it calls, its keys, its label in the bottom line, and its sentence in the help.
"""

from __future__ import annotations

from looptop.tui.actions.action import HELP, Action
from looptop.tui.actions.run_controls import run_control

PPO_ACTIONS = {
    "ppo-run": (
        Action("open", "enter", "open", "Open the batch under the cursor: its samples."),
        Action(
            "chart('enlarge')",
            "z",
            "enlarge",
            "Enlarge the chosen chart, or show all charts again.",
            footer=False,
            palette=True,
        ),
        Action(
            "chart('previous')",
            "left_square_bracket",
            "chart",
            "Choose the previous chart.",
            footer=False,
            palette=True,
            key_text="[",
        ),
        Action(
            "chart('next')",
            "right_square_bracket",
            "chart",
            "Choose the next chart.",
            footer=False,
            palette=True,
            key_text="]",
        ),
        Action(
            "chart('smoothing')", "w", "smoothing", "Smooth the curves more, or not at all.", footer=False, palette=True
        ),
    ),
    "ppo-batch": (
        Action("open", "enter", "open", "Open the sample under the cursor."),
        Action("filter", "slash", "filter", 'Filter samples: reward<0 kl>5 "council".', palette=True, key_text="/"),
        Action(
            "sort(False)",
            "left_square_bracket",
            "sort",
            "Sort by the column under the column cursor, the smallest first.",
            palette=True,
            key_text="[ ]",
        ),
        Action(
            "sort(True)",
            "right_square_bracket",
            "sort",
            "Sort by that column, the largest first.",
            footer=False,
            palette=True,
            key_text="]",
        ),
        Action(
            "best",
            "t",
            "best",
            "Show the best samples first; again: the worst first; again: their original order.",
            palette=True,
        ),
        Action("histograms", "h", "histograms", "Go to the histograms, to choose a bar.", footer=False, palette=True),
    ),
    "ppo-sample": (
        Action("open", "enter", "tokens", "Open the tokens of the response."),
        Action("reference", "R", "reference", "Let the reference respond to this query too.", palette=True),
    ),
    "ppo-tokens": (
        Action("shade(1)", "v", "shade by", "Shade the tokens by the next figure.", palette=True),
        Action("shade(-1)", "V", "shade by", "Shade the tokens by the previous figure.", footer=False, palette=True),
        Action("table", "t", "table/text", "Show the tokens as a table, or as text.", palette=True),
    ),
    "ppo-compare": (
        Action(
            "reverse", "t", "best", "Sort by change: the largest improvement first, or the largest loss.", palette=True
        ),
        Action("compare", "C", "compare now", "Compare before and after (`looptop compare`).", palette=True),
    ),
    "ppo": (
        run_control("pause", "space", help="Pause the run, or continue it."),
        run_control("step", "s", label="batch", help="Make one batch, then pause."),
        Action(
            "command('stage')",
            "S",
            "stage",
            "Go to the batch's next stage: generated, scored, compared, updated.",
            palette=True,
            changes=True,
        ),
        Action("turn(1)", "n", "next", "The next batch; in a sample, the next sample.", palette=True),
        Action(
            "turn(-1)",
            "p",
            "previous",
            "The previous batch; in a sample, the previous sample.",
            footer=False,
            palette=True,
        ),
        Action(
            "edit",
            "e",
            "reward",
            "Give the sample another reward, before its batch's update.",
            palette=True,
            changes=True,
        ),
        Action(
            "leave_out",
            "x",
            "leave out",
            "Leave the sample out of the update, or include it again.",
            palette=True,
            changes=True,
        ),
        Action(
            "rate(1)", "plus", "rate", "Raise the sample's rating by one.", palette=True, key_text="+ -", changes=True
        ),
        Action(
            "rate(-1)",
            "minus",
            "rate",
            "Lower the sample's rating by one; at 0 the rating is removed.",
            footer=False,
            key_text="-",
            changes=True,
        ),
        Action("breakpoints", "b", "break", "List breakpoints, add one, remove one.", palette=True),
        Action("follow", "f", "follow", "Follow the newest batch, or stop following it.", palette=True),
        Action("health", "i", "health", "Show the health marks of the batch in full.", footer=False, palette=True),
        Action(
            "next_mark",
            "m",
            "next mark",
            "Go to the next batch at which a health mark begins.",
            footer=False,
            palette=True,
        ),
        Action(
            "compare", "a", "before/after", "Show before and after: the reference beside the tuned model.", palette=True
        ),
        Action("copy", "y", "copy", "Copy the sample, or the table of its tokens.", footer=False, palette=True),
        Action(
            "export",
            "E",
            "export",
            "Write the batch with its tokens to a JSONL file.",
            footer=False,
            palette=True,
            changes=True,
        ),
        Action(
            "picture", "P", "picture", "Save the screen as an SVG picture.", footer=False, palette=True, changes=True
        ),
        run_control("checkpoint", "c", footer=False),
        run_control("stop", "X", footer=False),
        run_control("resume", "r"),
        run_control("log", "l", footer=False),
        run_control("events", "L", footer=False),
        Action("open_run", "o", "open run", "Choose a PPO run to watch: live, finished or interrupted.", palette=True),
        Action("new", "N", "new run", "Fill in the form of a new PPO run.", palette=True, changes=True),
    ),
    "breakpoints": (
        Action("remove", "delete,x", "remove", "Remove the breakpoint under the cursor.", key_text="x"),
        Action("list", "down", "list", "Go from the field to the list.", key_text="↓"),
        Action("close_overlay", "escape", "close", "Close the breakpoints.", always=True),
    ),
    "health": (Action("close_overlay", "escape,i,q", "close", "Close the health marks.", key_text="esc"), HELP),
}
