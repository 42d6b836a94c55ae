"""Keys of the whole app, of text fields, of lists, and of overlays.

Each is an `Action`: what it calls, its keys, its label in the bottom line, and its sentence in the help.
"""

from __future__ import annotations

from looptop.tui.actions.action import HELP, Action

SHARED_ACTIONS = {
    "app": (
        Action(
            "go('ask')",
            "1,alt+1",
            "Ask",
            "Go to Ask: ask a model about an image.",
            footer=False,
            palette=True,
            key_text="1",
        ),
        Action(
            "go('train')",
            "2,alt+2",
            "Train",
            "Go to Train: train a model, watch runs.",
            footer=False,
            palette=True,
            key_text="2",
        ),
        Action(
            "go('ppo')",
            "3,alt+3",
            "PPO",
            "Go to PPO: watch and drive a run batch by batch, down to one token.",
            footer=False,
            palette=True,
            key_text="3",
        ),
        Action(
            "go('runs')",
            "4,alt+4",
            "Runs",
            "Go to Runs: all runs, live or not; compare, resume.",
            footer=False,
            palette=True,
            key_text="4",
        ),
        Action("back", "escape", "back", "Leave the field, or close what is open.", footer=False),
        Action("theme", "d", "dark/light", "Switch between dark and light.", footer=False, palette=True),
        Action(
            "command_palette",
            "ctrl+p",
            "palette",
            "Open the palette: all actions of all screens.",
            footer=False,
        ),
        Action("help", "question_mark,f1", "help", "Explain this pane, and show its keys.", palette=True, key_text="?"),
        Action(
            "quit_or_ask",
            "q",
            "quit",
            "Quit looptop; asks first if something would be lost. Runs continue without it.",
            palette=True,
        ),
        Action(
            "suspend_process",
            "ctrl+z",
            "suspend",
            "Go back to the shell for a while; type fg to come back.",
            footer=False,
            palette=True,
        ),
        Action("quit_now", "ctrl+c,ctrl+q", "quit", "Quit immediately, from anywhere.", footer=False, always=True),
    ),
    "field": (
        Action("app.back", "escape", "leave field", "Leave the field, so that single keys work again."),
        Action("app.help", "f1", "help", "Explain this field, and show the keys of its screen."),
        Action("app.go('ask')", "alt+1", "screens", "Go to another screen.", key_text="alt+1/2/3/4"),
        Action("app.go('train')", "alt+2", "Train", "", footer=False),
        Action("app.go('ppo')", "alt+3", "PPO", "", footer=False),
        Action("app.go('runs')", "alt+4", "Runs", "", footer=False),
    ),
    "rows": (
        Action("move(-1)", "up,k", "up", "The previous row.", footer=False, key_text="↑ k"),
        Action("move(1)", "down,j", "down", "The next row.", footer=False, key_text="↓ j"),
        Action("page(-1)", "pageup", "page up", "A page up.", footer=False, key_text="PgUp"),
        Action("page(1)", "pagedown", "page down", "A page down.", footer=False, key_text="PgDn"),
        Action("jump('first')", "home,g", "first", "The first row.", footer=False, key_text="Home g"),
        Action("jump('last')", "end,G", "last", "The last row.", footer=False, key_text="End G"),
    ),
    "columns": (
        Action("column(-1)", "left", "column", "The previous column.", footer=False, key_text="←"),
        Action("column(1)", "right", "column", "The next column.", footer=False, key_text="→"),
    ),
    "bars": (
        Action("bar(-1)", "left", "bar", "The previous bar.", footer=False, key_text="←"),
        Action("bar(1)", "right", "bar", "The next bar; only its samples are shown.", footer=False, key_text="→"),
        Action("no_bar", "backspace,delete", "all", "Choose no bar: show all samples again."),
    ),
    "tokens": (
        Action("move(-1)", "left", "token", "The previous token.", footer=False, key_text="←"),
        Action("move(1)", "right", "token", "The next token.", footer=False, key_text="→"),
        Action("line(-1)", "up,k", "line", "The line above.", footer=False, key_text="↑ k"),
        Action("line(1)", "down,j", "line", "The line below.", footer=False, key_text="↓ j"),
        Action("jump('first')", "home", "first", "The first token.", footer=False, key_text="Home"),
        Action("jump('last')", "end", "last", "The last token.", footer=False, key_text="End"),
    ),
    "picker": (
        Action("move(-1)", "up", "up, down", "The previous or the next line.", always=True, key_text="↑↓"),
        Action("move(1)", "down", "down", "", footer=False, always=True, key_text="↓"),
        Action("close_overlay", "escape", "close", "Close the list without choosing.", always=True),
    ),
    "help": (Action("close_overlay", "escape,question_mark,f1,q", "close", "Close the help.", key_text="esc"),),
    "events": (Action("open", "enter", "all events", "Show all events in full."),),
    "entries": (
        Action("search", "slash", "search", "Search for words.", key_text="/"),
        Action("turn(1)", "n", "next", "Go to the next match; after the last comes the first.", key_text="n N"),
        Action("turn(-1)", "N", "previous", "Go to the previous match.", footer=False),
        Action("level", "v", "level", "Show all levels, or only warnings and errors, or only errors."),
        Action("follow", "f", "follow", "Follow the end, or stop following it."),
        Action("leave_or_close", "escape", "close", "Leave the field; close the log, or the events.", always=True),
        Action(
            "close_overlay",
            "l,L,q",
            "close",
            "Close the log, or the events, while no field has the focus.",
            footer=False,
            key_text="l q",
        ),
        HELP,
    ),
    "dialog": (
        Action("close_overlay", "escape", "close", "Close the dialog and change nothing.", always=True),
        HELP,
    ),
}
