"""Every action of the app, once: its keys, its name, what it does, and where.

Key bindings, the footer, the help and the command palette are all made from this table, so they cannot disagree. The
method that does it is `action_NAME` of the place it belongs to.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textual.binding import Binding


@dataclass(frozen=True)
class Action:
    """One thing that a person can do."""

    where: str
    """The place, a key of `KEY_CONTEXTS`."""
    name: str
    """Textual's name for it, with its arguments: `screen('train')`."""
    keys: str
    """Comma-separated, Textual's names."""
    label: str
    """For the footer: a word or two."""
    help: str
    """What it does, in a sentence; empty where the action before says it too."""
    footer: bool = True
    """Whether the footer shows it; the help always does."""
    palette: bool = False
    """Whether the command palette offers it."""
    always: bool = False
    """Whether it goes before whatever has the focus."""
    shown: str = ""
    """How its keys are written; made from `keys` where empty."""

    @property
    def id(self) -> str:
        """Names the action among all."""
        return f"{self.where}:{self.name}"


KEY_CONTEXTS = {
    "app": "Everywhere",
    "field": "In a text field",
    "ask": "Ask",
    "question": "In the question",
    "answer": "In the answer",
    "images": "In the images",
    "history": "In the earlier questions",
    "train": "Train",
    "form": "In the form of a new run",
    "run": "Watching a run",
    "runs": "Runs",
    "runs-list": "In the list of runs",
    "charts": "Charts of a run, or of several",
    "wall": "Among charts",
    "ppo": "PPO",
    "ppo-run": "Among batches and charts",
    "ppo-batch": "In a batch",
    "ppo-sample": "In a sample",
    "ppo-tokens": "In the tokens of a sample",
    "ppo-compare": "Before and after",
    "breakpoints": "In the breakpoints",
    "health": "In what health says",
    "tree": "In the files",
    "rows": "Among rows",
    "columns": "Among columns",
    "bars": "In a histogram",
    "tokens": "Among tokens",
    "picker": "In a list to choose from",
    "help": "In the help",
    "log": "In the log",
    "configurations": "In the configurations",
    "completions": "In the completions",
    "dialog": "In a question to you",
}
"""Where actions work, in the order of the help."""

ACTIONS = (
    # Everywhere.
    Action("app", "go('ask')", "1,alt+1", "Ask", "Go to Ask: ask a model about an image.", False, True, shown="1"),
    Action("app", "go('train')", "2,alt+2", "Train", "Go to Train: train a model, watch runs.", False, True, shown="2"),
    Action(
        "app",
        "go('ppo')",
        "3,alt+3",
        "PPO",
        "Go to PPO: watch and drive a run batch by batch, down to one token.",
        False,
        True,
        shown="3",
    ),
    Action(
        "app",
        "go('runs')",
        "4,alt+4",
        "Runs",
        "Go to Runs: all runs, live or not; compare, resume.",
        False,
        True,
        shown="4",
    ),
    Action("app", "back", "escape", "back", "Leave the field, or close what is open.", False),
    Action("app", "theme", "d", "dark/light", "Change between dark and light.", False, True),
    Action("app", "command_palette", "ctrl+p", "palette", "Open the palette: every action by its name.", False),
    Action("app", "help", "question_mark,f1", "help", "Show this help.", True, True, shown="?"),
    Action(
        "app",
        "leave",
        "q",
        "quit",
        "Leave looptop; asks where something would be lost. Runs go on without it.",
        True,
        True,
    ),
    Action("app", "suspend_process", "ctrl+z", "suspend", "Go back to the shell for a while; fg comes back.", False),
    Action("app", "leave_now", "ctrl+c,ctrl+q", "quit", "Leave at once, from anywhere.", False, always=True),
    # In a text field the keys above that print a character are typed instead.
    Action("field", "app.back", "escape", "leave field", "Leave the field; then the single keys work."),
    Action("field", "app.help", "f1", "help", "Show this help."),
    Action("field", "app.go('ask')", "alt+1", "screens", "Change the screen.", shown="alt+1/2/3/4"),
    Action("field", "app.go('train')", "alt+2", "Train", "", False),
    Action("field", "app.go('ppo')", "alt+3", "PPO", "", False),
    Action("field", "app.go('runs')", "alt+4", "Runs", "", False),
    # Ask.
    Action("ask", "question", "a", "ask", "Type a question about the image.", True, True),
    Action(
        "ask", "view", "v", "view", "Show the image, then what the model sees of it, then where it looks.", True, True
    ),
    Action("ask", "model", "m", "model", "Choose the model that answers: bundled, a run, or a checkpoint.", True, True),
    Action("ask", "open", "o", "open", "Open an image by its path; a path can also be pasted or dropped.", True, True),
    Action("ask", "filter", "slash", "filter", "Filter the images by name.", True, shown="/"),
    Action("ask", "files", "f", "files", "Change between the benchmark's images and your files.", True, True),
    Action("ask", "images", "i", "images", "Go to the list of images.", False),
    Action(
        "question",
        "suggest(-1)",
        "up",
        "suggestion",
        "Fill in a suggested question, or one asked before.",
        True,
        shown="↑↓",
    ),
    Action("question", "suggest(1)", "down", "suggestion", "", False),
    Action("question", "submit", "enter", "ask", "Ask. What you type then is the next question; esc leaves the field."),
    Action("images", "choose", "enter", "take", "Take this image and go on to the question."),
    Action("history", "again", "enter", "show", "Show this answer again, with its image."),
    Action("tree", "up_folder", "backspace,u", "folder above", "Show the folder above.", shown="u"),
    # Train.
    Action("train", "new", "n", "new run", "Fill in the form of a new run.", True, True),
    Action("train", "open", "o", "open run", "Choose a run to watch: live, finished or interrupted.", True, True),
    Action("form", "start", "ctrl+s", "start", "Check the form and start the run.", True, True, shown="^s"),
    Action(
        "run", "want('pause')", "space", "pause/go on", "Pause the run after its step, or let it go on.", True, True
    ),
    Action(
        "run", "want('step')", "full_stop", "step", "Make one step while the run is paused.", False, True, shown="."
    ),
    Action("run", "want('checkpoint')", "c", "checkpoint", "Write a checkpoint now.", True, True),
    Action("run", "want('stop')", "x", "stop", "Stop the run; asks whether with a checkpoint.", True, True),
    Action(
        "run",
        "want('resume')",
        "r",
        "resume",
        "Go on with a run that is not live any more, from its checkpoint.",
        True,
        True,
    ),
    Action("run", "want('ask_model')", "a", "ask it", "Ask this run's model on the Ask screen.", False, True),
    Action("run", "smoothing", "s", "smoothing", "Smooth the training loss more, or less.", True, True),
    Action("run", "scale", "y", "log scale", "Draw the loss on a logarithmic scale, or a linear one.", False, True),
    Action(
        "run",
        "want('earlier')",
        "left_square_bracket",
        "earlier answers",
        "Sample answers of the evaluation before.",
        False,
        shown="[",
    ),
    Action(
        "run",
        "want('later')",
        "right_square_bracket",
        "later answers",
        "Sample answers of the evaluation after.",
        False,
        shown="]",
    ),
    Action("run", "want('log')", "l", "log", "Read all that the run printed.", True, True),
    Action("run", "want('charts')", "m", "metrics", "All metrics as charts that can be zoomed.", True, True),
    # Runs.
    Action(
        "runs",
        "filter",
        "slash",
        "filter",
        'Filter: kind:vqa state:running,paused loss<0.5 took>1h -"a word".',
        True,
        True,
        shown="/",
    ),
    Action("runs-list", "choose", "enter", "open", "Open the run; live or not."),
    Action(
        "runs-list", "select", "space", "select", "Select the run for charts laid over each other, or for deletion."
    ),
    Action(
        "runs",
        "charts",
        "m",
        "metrics",
        "Metrics of the run, or of the selected ones laid over each other.",
        True,
        True,
    ),
    Action(
        "runs", "sort", "s", "sort", "Sort by the next column; a click on a column's title sorts by it.", True, True
    ),
    Action("runs", "reverse", "S", "reverse", "Sort the other way round.", False, True),
    Action("runs", "rename", "t", "title", "Give the run a title.", True, True),
    Action("runs", "note", "n", "note", "Write a note to the run.", True, True),
    Action("runs", "resume", "r", "resume", "Go on with a run that is not live, from its checkpoint.", True, True),
    Action("runs", "duplicate", "u", "duplicate", "A new run like this one, with changes.", True, True),
    Action(
        "runs", "export", "e", "export", "Export metrics and events: CSV, JSON lines, Parquet, TensorBoard.", True, True
    ),
    Action("runs", "want('stop')", "x", "stop", "Stop the run; asks whether with a checkpoint.", False, True),
    Action("runs", "want('log')", "l", "log", "Read all that the run printed.", False, True),
    Action(
        "runs",
        "delete",
        "D,delete",
        "delete",
        "Delete the run, or the selected ones, whole; asks.",
        True,
        True,
        shown="D",
    ),
    # Charts.
    Action("wall", "enlarge", "enter", "enlarge", "Show the chart alone, or all of them again."),
    Action("wall", "move(-1, 0)", "left", "left", "The chart to the left.", False, shown="←"),
    Action("wall", "move(1, 0)", "right", "right", "The chart to the right.", False, shown="→"),
    Action("wall", "move(0, -1)", "up,k", "up", "The chart above.", False, shown="↑ k"),
    Action("wall", "move(0, 1)", "down,j", "down", "The chart below.", False, shown="↓ j"),
    Action("wall", "page(-1)", "pageup", "page up", "The page before.", False, shown="PgUp"),
    Action("wall", "page(1)", "pagedown", "page down", "The next page of charts.", False, shown="PgDn"),
    Action("wall", "end(False)", "home,g", "first", "The first chart.", False, shown="Home g"),
    Action("wall", "end(True)", "end,G", "last", "The last chart.", False, shown="End G"),
    Action(
        "charts",
        "zoom(0.5)",
        "plus,equals_sign",
        "zoom",
        "Show half as many steps; the wheel does it too.",
        True,
        True,
        shown="+-",
    ),
    Action("charts", "zoom(2.0)", "minus", "out", "Show twice as many.", False, True, shown="-"),
    Action(
        "charts",
        "pan(-0.25)",
        "comma,less_than_sign",
        "pan",
        "Go back by a quarter of what is shown.",
        True,
        True,
        shown=",.",
    ),
    Action(
        "charts",
        "pan(0.25)",
        "full_stop,greater_than_sign",
        "on",
        "Go on by a quarter of what is shown.",
        False,
        True,
        shown=".",
    ),
    Action("charts", "whole", "0", "all steps", "Show all steps again.", True, True),
    Action("charts", "smoothing", "s", "smoothing", "Smooth more, or less.", True, True),
    Action("charts", "scale", "y", "log scale", "A logarithmic scale, or a linear one.", True, True),
    Action("charts", "filter", "slash", "filter", "Show only metrics by some name.", True, True, shown="/"),
    Action("charts", "choose", "v", "one in front", "Of several runs, put the next in front.", False, True),
    Action(
        "charts",
        "configurations",
        "t",
        "configurations",
        "The configurations side by side, what differs first.",
        True,
        True,
    ),
    Action(
        "charts",
        "completions",
        "w",
        "completions",
        "What the model wrote, with rewards and advantages (GRPO, RLOO).",
        False,
        True,
    ),
    Action(
        "charts", "want('pause')", "space", "pause/go on", "Pause the run after its step, or let it go on.", True, True
    ),
    Action("charts", "want('step')", "o", "one step", "Make one step while the run is paused.", False, True),
    Action("charts", "want('checkpoint')", "c", "checkpoint", "Write a checkpoint now.", False, True),
    Action("charts", "want('stop')", "x", "stop", "Stop the run; asks whether with a checkpoint.", False, True),
    Action("charts", "want('resume')", "r", "resume", "Go on with a run that is not live any more.", False, True),
    Action("charts", "want('log')", "l", "log", "Read all that the run printed.", False, True),
    # PPO: where one is, the most particular first.
    Action("ppo-run", "open", "enter", "open", "Open the batch under the cursor: its samples."),
    Action("ppo-run", "enlarge", "z", "enlarge", "Enlarge the chosen chart, or show all charts again.", False, True),
    Action("ppo-run", "choose(-1)", "left_square_bracket", "chart", "Choose the chart before.", False, True, shown="["),
    Action("ppo-run", "choose(1)", "right_square_bracket", "chart", "Choose the next chart.", False, True, shown="]"),
    Action("ppo-run", "smoothing", "w", "smoothing", "Smooth the curves more, or not at all.", False, True),
    Action("ppo-batch", "open", "enter", "open", "Open the sample under the cursor."),
    Action("ppo-batch", "filter", "slash", "filter", 'Filter samples: reward<0 kl>5 "council".', True, True, shown="/"),
    Action(
        "ppo-batch",
        "sort(False)",
        "left_square_bracket",
        "sort",
        "Sort by the column under the column cursor, the smallest first.",
        True,
        True,
        shown="[ ]",
    ),
    Action("ppo-batch", "sort(True)", "right_square_bracket", "sort", "The same, the largest first.", False, shown="]"),
    Action("ppo-batch", "best", "t", "best", "The best samples first, then the worst, then in order.", True, True),
    Action("ppo-batch", "histograms", "h", "histograms", "Go to the histograms, where bars are chosen.", False, True),
    Action("ppo-sample", "open", "enter", "tokens", "Open the tokens of the response."),
    Action("ppo-sample", "reference", "R", "reference", "Have the reference respond to this query too.", True, True),
    Action("ppo-tokens", "shade(1)", "v", "shade by", "Shade the tokens by the next figure.", True, True),
    Action("ppo-tokens", "shade(-1)", "V", "shade by", "Shade the tokens by the figure before.", False, True),
    Action("ppo-tokens", "table", "t", "table/text", "Show the tokens as a table, or as text.", True, True),
    Action("tokens", "move(-1)", "left", "token", "The token before.", False, shown="←"),
    Action("tokens", "move(1)", "right", "token", "The next token.", False, shown="→"),
    Action("tokens", "line(-1)", "up,k", "line", "The line above.", False, shown="↑ k"),
    Action("tokens", "line(1)", "down,j", "line", "The line below.", False, shown="↓ j"),
    Action("tokens", "end(False)", "home", "first", "The first token.", False, shown="Home"),
    Action("tokens", "end(True)", "end", "last", "The last token.", False, shown="End"),
    Action("ppo-compare", "change", "t", "best", "What changed most for the better first, or worse.", True, True),
    Action(
        "ppo-compare", "compare", "C", "compare now", "Have before and after compared (`looptop compare`).", True, True
    ),
    # PPO: driving the run, from wherever one is.
    Action("ppo", "want('pause')", "space", "pause", "Pause the run, or let it go on.", True, True),
    Action("ppo", "want('step')", "s", "batch", "Make one batch, then pause.", True, True),
    Action(
        "ppo",
        "want('stage')",
        "S",
        "stage",
        "Go to the batch's next stage: generated, scored, compared, updated.",
        True,
        True,
    ),
    Action("ppo", "turn(1)", "n", "next", "The next batch; in a sample, the next sample.", True, True),
    Action("ppo", "turn(-1)", "p", "previous", "The batch, or the sample, before.", False, True),
    Action("ppo", "edit", "e", "reward", "Give the sample another reward, before its batch's update.", True, True),
    Action("ppo", "leave_out", "x", "leave out", "Leave the sample out of the update, or take it in.", True, True),
    Action("ppo", "rate(1)", "plus", "rate", "Rate the sample one up.", True, True, shown="+ -"),
    Action("ppo", "rate(-1)", "minus", "rate", "Rate the sample one down; at 0 the rating is gone.", False, shown="-"),
    Action("ppo", "breakpoints", "b", "break", "List breakpoints, add one, remove one.", True, True),
    Action("ppo", "follow", "f", "follow", "Follow the newest batch, or stand still.", True, True),
    Action("ppo", "health", "i", "health", "What health has to say of the batch, in full.", False, True),
    Action(
        "ppo", "next_mark", "m", "next mark", "Go to the next batch that health has something to say of.", False, True
    ),
    Action(
        "ppo", "compare", "a", "before/after", "Before and after: the reference beside the tuned model.", True, True
    ),
    Action("ppo", "copy", "y", "copy", "Copy the sample, or the table of its tokens.", False, True),
    Action("ppo", "export", "E", "export", "Write the batch with its tokens to a JSONL file.", False, True),
    Action("ppo", "picture", "P", "picture", "Save the screen as an SVG picture.", False, True),
    Action("ppo", "want('checkpoint')", "c", "checkpoint", "Write a checkpoint now.", False, True),
    Action("ppo", "want('stop')", "X", "stop", "Stop the run; asks whether with a checkpoint.", False, True),
    Action("ppo", "want('resume')", "r", "resume", "Go on with a run that is not live any more.", True, True),
    Action("ppo", "want('log')", "l", "log", "Read all that the run printed.", False, True),
    Action(
        "ppo", "open_run", "o", "open run", "Choose a PPO run to look at: live, finished or interrupted.", True, True
    ),
    Action("ppo", "new", "N", "new run", "Fill in the form of a new PPO run.", True, True),
    Action("health", "dismiss_none", "escape,i,q", "close", "Close what health says.", shown="esc"),
    Action("breakpoints", "remove", "delete,x", "remove", "Remove the breakpoint under the cursor.", shown="x"),
    Action("breakpoints", "list", "down", "list", "Go from the field to the list.", shown="↓"),
    Action("breakpoints", "dismiss_none", "escape", "close", "Close the breakpoints.", always=True),
    # Lists.
    Action("rows", "move(-1)", "up,k", "up", "The row before.", False, shown="↑ k"),
    Action("rows", "move(1)", "down,j", "down", "The row after.", False, shown="↓ j"),
    Action("rows", "page(-1)", "pageup", "page up", "A page up.", False, shown="PgUp"),
    Action("rows", "page(1)", "pagedown", "page down", "A page down.", False, shown="PgDn"),
    Action("rows", "end(False)", "home,g", "first", "The first row.", False, shown="Home g"),
    Action("rows", "end(True)", "end,G", "last", "The last row.", False, shown="End G"),
    Action("columns", "column(-1)", "left", "column", "The column before.", False, shown="←"),
    Action("columns", "column(1)", "right", "column", "The next column.", False, shown="→"),
    Action("bars", "bar(-1)", "left", "bar", "The bar before.", False, shown="←"),
    Action("bars", "bar(1)", "right", "bar", "The next bar: only its samples are shown.", False, shown="→"),
    Action("bars", "no_bar", "backspace,delete", "all", "No bar: all samples are shown again."),
    # What lies over a screen.
    Action("picker", "move(-1)", "up", "up, down", "The line before or after.", True, always=True, shown="↑↓"),
    Action("picker", "move(1)", "down", "down", "", False, always=True, shown="↓"),
    Action("picker", "dismiss_none", "escape", "close", "Close the list without choosing.", always=True),
    Action("help", "dismiss_none", "escape,question_mark,f1,q", "close", "Close the help.", shown="esc"),
    Action("log", "follow", "f", "follow", "Follow the end of the log, or stand still."),
    Action("log", "close", "escape,l,q", "close", "Close the log.", shown="esc"),
    Action("configurations", "all", "a", "all", "Show also what is the same in all, or only what differs."),
    Action("configurations", "dismiss_none", "escape,t,q", "close", "Close the configurations.", shown="esc"),
    Action(
        "completions", "turn(-1)", "left_square_bracket", "earlier", "The completions of the step before.", shown="["
    ),
    Action("completions", "turn(1)", "right_square_bracket", "later", "The completions of the step after.", shown="]"),
    Action("completions", "order", "s", "sort", "The largest advantage first, or as they came."),
    Action("completions", "dismiss_none", "escape,w,q", "close", "Close the completions.", shown="esc"),
    Action("dialog", "dismiss_none", "escape", "no", "Close the question and change nothing."),
)


def bindings(*places: str) -> list[Binding]:
    """The key bindings of these places."""
    return [
        Binding(
            action.keys,
            action.name,
            action.label,
            show=action.footer,
            key_display=keys_of(action),
            priority=action.always,
            tooltip=action.help,
            id=None,
        )
        for action in ACTIONS
        if action.where in places
    ]


def of(places: Iterable[str]) -> list[Action]:
    """The actions of these places, in the table's order."""
    wanted = set(places)
    return [action for action in ACTIONS if action.where in wanted]


def keys_of(action: Action) -> str:
    """The action's keys, as a person would write them."""
    names = {"escape": "esc", "slash": "/", "question_mark": "?", "full_stop": ".", "ctrl+s": "^s"}
    return action.shown or " ".join(names.get(key, key) for key in action.keys.split(","))
