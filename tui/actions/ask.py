"""Keys of the Ask screen.

Each is an `Action`: what it calls, its keys, its label in the bottom line, and its sentence in the help.
"""

from __future__ import annotations

from looptop.tui.actions.action import HELP, Action

ASK_ACTIONS = {
    "ask": (
        Action("question", "a", "ask", "Type a question about the image.", palette=True),
        Action(
            "view",
            "v",
            "view",
            "Show the next view: the image, before and after preprocessing, attention, or the occlusion map.",
            palette=True,
        ),
        Action("enlarge", "z", "large", "Show the image over the whole screen, with zoom and pan.", palette=True),
        Action(
            "next_part",
            "V",
            "head, token",
            "Show the attention of the next head, or of the next token.",
            palette=True,
        ),
        Action(
            "strength(-1)",
            "left_square_bracket",
            "shading",
            "Darken the attention or occlusion view less.",
            palette=True,
            shown="[ ]",
        ),
        Action(
            "strength(1)",
            "right_square_bracket",
            "shading",
            "Darken the attention or occlusion view more.",
            footer=False,
            palette=True,
            shown="]",
        ),
        Action(
            "model",
            "m",
            "model",
            "Choose the model that answers, or several to compare: bundled, a run, or a checkpoint.",
            palette=True,
        ),
        Action(
            "card",
            "c",
            "card",
            "Show the model's card: its parts, its training data, its figures, and how far to trust it.",
            palette=True,
        ),
        Action(
            "confidence",
            "percent_sign",
            "raw confidence",
            "Switch between the calibrated confidence and the raw one, as the model computes it.",
            shown="%",
            palette=True,
            footer=False,
        ),
        Action(
            "open",
            "o",
            "open",
            "Open an image or a folder by its path; paths can also be pasted or dropped.",
            palette=True,
        ),
        Action(
            "filter",
            "slash",
            "filter",
            "Search and filter the images, subfolders included: a name, a word of an answer, question:dog,"
            " answer:red, type:number, split:train, right, wrong, confidence<50%.",
            palette=True,
            shown="/",
        ),
        Action("files", "f", "files", "Switch between your files and the previous images.", palette=True),
        Action(
            "source",
            "s",
            "source",
            "Choose where the images come from: the benchmark, recent images, a run's data, your files.",
            palette=True,
        ),
        Action("gallery", "p", "gallery", "Switch between large thumbnails of the images and the list.", palette=True),
        Action(
            "many",
            "A",
            "ask all",
            "Ask one question about all images of the list, or each image's own questions, and show a table of"
            " answers.",
            palette=True,
        ),
        Action(
            "copy",
            "y",
            "copy",
            "Copy question, answer and model of the answer on display, or of the earlier question under the cursor.",
            footer=False,
            palette=True,
        ),
        Action(
            "judge",
            "t",
            "right/wrong",
            "Mark this answer right or wrong, or type the right one.",
            palette=True,
            changes=True,
        ),
        Action(
            "export",
            "E",
            "export",
            "Export the earlier questions and answers; with a filter, only those that it shows.",
            footer=False,
            palette=True,
        ),
        Action(
            "evaluation",
            "e",
            "evaluation",
            "Show how good the model is and where it fails: accuracy, calibration, confusions, hardest questions.",
            footer=False,
            palette=True,
        ),
        Action(
            "history",
            "h",
            "history",
            "Show only the earlier questions about this image, or all of them again.",
            palette=True,
        ),
        Action("images", "i", "images", "Go to the list of images.", footer=False, palette=True),
    ),
    "viewer": (
        Action("zoom(1)", "plus,equals_sign", "zoom", "Zoom in; the wheel zooms at the pointer.", shown="+ -"),
        Action("zoom(-1)", "minus", "zoom out", "Zoom out.", footer=False, shown="-"),
        Action("fit", "0", "whole", "Show the whole image."),
        Action(
            "pan(-1,0)", "left", "move", "Move across the image; dragging with the mouse does the same.", shown="←↑↓→"
        ),
        Action("pan(1,0)", "right", "move", "", footer=False, shown="→"),
        Action("pan(0,-1)", "up", "move", "", footer=False, shown="↑"),
        Action("pan(0,1)", "down", "move", "", footer=False, shown="↓"),
        Action("view", "v", "view", "Show the next view, as on Ask."),
        Action("next_part", "V", "head, token", "Show the attention of the next head, or of the next token."),
        Action(
            "strength(-1)",
            "left_square_bracket",
            "shading",
            "Darken the attention or occlusion view less.",
            shown="[ ]",
        ),
        Action("strength(1)", "right_square_bracket", "shading", "Darken it more.", footer=False, shown="]"),
        Action("close_overlay", "escape,z,q", "close", "Close the large view.", shown="esc"),
        HELP,
    ),
    "question": (
        Action("suggest(-1)", "up", "suggestion", "Fill in a suggested question, or one asked before.", shown="↑↓"),
        Action("suggest(1)", "down", "suggestion", "", footer=False),
        Action("submit", "enter", "ask", "Ask the question. Typing then begins the next one; esc leaves the field."),
    ),
    "images": (
        Action("choose", "enter", "choose", "Choose this image and go to the question; open or close a folder."),
        Action(
            "clear_filter", "escape", "close filter", "Close the filter; the image under the cursor stays selected."
        ),
    ),
    "image-filter": (
        Action("close_filter", "escape", "close", "Close the filter; the image under the cursor stays selected."),
        Action("submit", "enter", "keep", "Keep the filter and go to the images."),
        Action("move_image(-1)", "up", "image", "The image above or below.", shown="↑↓"),
        Action("move_image(1)", "down", "image", "", footer=False),
    ),
    "gallery": (
        Action("choose", "enter", "choose", "Choose this image and go to the question; open or close a folder."),
        Action("close", "escape", "list", "Show the list again."),
        Action("resize(1)", "plus,equals_sign", "larger", "Make the thumbnails larger or smaller.", shown="+ -"),
        Action("resize(-1)", "minus", "smaller", "", footer=False),
        Action("move(-1)", "left,h", "left", "The image to the left.", footer=False, shown="← h"),
        Action("move(1)", "right,l", "right", "The image to the right.", footer=False, shown="→ l"),
        Action("line(-1)", "up,k", "up", "The image above.", footer=False, shown="↑ k"),
        Action("line(1)", "down,j", "down", "The image below.", footer=False, shown="↓ j"),
        Action("page(-1)", "pageup", "page up", "A page up.", footer=False, shown="PgUp"),
        Action("page(1)", "pagedown", "page down", "A page down.", footer=False, shown="PgDn"),
        Action("jump('first')", "home,g", "first", "The first image.", footer=False, shown="Home g"),
        Action("jump('last')", "end,G", "last", "The last image.", footer=False, shown="End G"),
    ),
    "path": (Action("complete", "tab", "complete", "Complete the path as far as it is unambiguous.", always=True),),
    "history": (
        Action("choose", "enter", "show", "Show this answer again, with its image."),
        Action(
            "search",
            "slash",
            "filter",
            'Filter the earlier questions: model:vqa-3 image:cat.png wrong confidence<0.5 -"some words".',
            palette=True,
            shown="/",
        ),
        Action("clear_filter", "escape", "close filter", "Close the filter and show all earlier questions."),
    ),
    "history-filter": (
        Action("close_filter", "escape", "close", "Close the filter and show all earlier questions."),
        Action("submit", "enter", "keep", "Keep the filter and go to the earlier questions."),
    ),
    "card": (Action("close_overlay", "escape,c,q", "close", "Close the card.", shown="esc"), HELP),
    "models": (
        Action("mark", "space", "mark", "Mark this model; each question goes to all marked models.", always=True),
    ),
    "many": (
        Action("search", "slash", "filter", 'Filter: wrong answer:red confidence<0.5 -"some words".', shown="/"),
        Action(
            "pause", "space", "stop/continue", "Stop asking, or continue with the questions that have no answer yet."
        ),
        Action("sort", "s", "sort", "Sort by the next column; clicking a column's title sorts by that column."),
        Action("reverse", "S", "reverse", "Sort the other way round.", footer=False),
        Action(
            "judge",
            "t",
            "right/wrong",
            "Mark this answer right or wrong, or type the right one. ← and → choose among several models.",
            changes=True,
        ),
        Action("copy", "y", "copy", "Copy question, answer and model.", footer=False),
        Action("export", "E", "export", "Export the answers on display: CSV, JSON lines, training data."),
        Action(
            "leave",
            "escape",
            "stop, close",
            "Leave the filter; if it is not open, stop asking; after that, close.",
            always=True,
        ),
        HELP,
        Action("app.go('ask')", "1,alt+1,q", "leave", "Go to another screen; asking continues.", shown="1 2 3 4 q"),
        Action("app.go('train')", "2,alt+2", "Train", "", footer=False),
        Action("app.go('ppo')", "3,alt+3", "PPO", "", footer=False),
        Action("app.go('runs')", "4,alt+4", "Runs", "", footer=False),
    ),
    "answers": (Action("choose", "enter", "show", "Show this image and its answers on Ask."),),
    "tree": (
        Action("open_folder", "right", "open folder", "Open the folder.", footer=False, shown="→"),
        Action(
            "close_folder",
            "left",
            "close folder",
            "Close the folder, or go to the folder that holds this row.",
            footer=False,
            shown="←",
        ),
        Action("up_folder", "backspace,u", "parent folder", "Show the parent folder.", shown="u"),
    ),
}
