"""Actions of the Ask screen."""

from __future__ import annotations

from looptop.tui.actions.action import Action

ASK_ACTIONS = {
    "ask": (
        Action("question", "a", "ask", "Type a question about the image.", palette=True),
        Action(
            "view",
            "v",
            "view",
            "Show the image, it before and after its preparation, attention, or the occlusion map of your question.",
            palette=True,
        ),
        Action("next_part", "V", "head, token", "Show the attention of the next head, or of the next token."),
        Action(
            "strength(-1)", "left_square_bracket", "shading", "Darken less in the pictures of attention.", shown="[ ]"
        ),
        Action("strength(1)", "right_square_bracket", "shading", "Darken more.", footer=False, shown="]"),
        Action("model", "m", "model", "Choose the model that answers: bundled, a run, or a checkpoint.", palette=True),
        Action(
            "confidence",
            "percent_sign",
            "raw confidence",
            "Show the raw confidence, as the model computes it, or the calibrated one.",
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
            "Search and filter the images, through all folders below: a name, a word of an answer, question:dog,"
            " answer:red, type:number, split:train, right, wrong, confidence<50%.",
            palette=True,
            shown="/",
        ),
        Action("files", "f", "files", "Change between your files and the images before.", palette=True),
        Action(
            "source",
            "s",
            "source",
            "Choose other images: the benchmark, recent ones, a run's data, files.",
            palette=True,
        ),
        Action("gallery", "p", "gallery", "Show large thumbnails of the images, or the list again.", palette=True),
        Action(
            "copy",
            "y",
            "copy",
            "Copy question, answer and model: of the answer on display, or of the earlier question under the cursor.",
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
            "Export the earlier questions with their answers, or those that the filter shows.",
            footer=False,
            palette=True,
            changes=True,
        ),
        Action("images", "i", "images", "Go to the list of images.", footer=False),
    ),
    "question": (
        Action("suggest(-1)", "up", "suggestion", "Fill in a suggested question, or one asked before.", shown="↑↓"),
        Action("suggest(1)", "down", "suggestion", "", footer=False),
        Action("submit", "enter", "ask", "Ask. What you type then is the next question; esc leaves the field."),
    ),
    "images": (
        Action("choose", "enter", "take", "Choose this image and go to the question; open or close a folder."),
        Action("clear_filter", "escape", "close filter", "Close the filter; the image under the cursor keeps it."),
    ),
    "image-filter": (
        Action("close_filter", "escape", "close", "Close the filter; the image under the cursor keeps it."),
        Action("submit", "enter", "keep", "Keep the filter and go to the images."),
        Action("move_image(-1)", "up", "image", "The image above or below.", shown="↑↓"),
        Action("move_image(1)", "down", "image", "", footer=False),
    ),
    "gallery": (
        Action("choose", "enter", "take", "Choose this image and go to the question; open or close a folder."),
        Action("close", "escape", "list", "Show the list again."),
        Action("resize(1)", "plus,equals_sign", "larger", "Make the thumbnails larger or smaller.", shown="+ -"),
        Action("resize(-1)", "minus", "smaller", "", footer=False),
        Action("move(-1)", "left,h", "left", "The image at the left.", footer=False, shown="← h"),
        Action("move(1)", "right,l", "right", "The image at the right.", footer=False, shown="→ l"),
        Action("line(-1)", "up,k", "up", "The image above.", footer=False, shown="↑ k"),
        Action("line(1)", "down,j", "down", "The image below.", footer=False, shown="↓ j"),
        Action("page(-1)", "pageup", "page up", "A page up.", footer=False, shown="PgUp"),
        Action("page(1)", "pagedown", "page down", "A page down.", footer=False, shown="PgDn"),
        Action("jump('first')", "home,g", "first", "The first image.", footer=False, shown="Home g"),
        Action("jump('last')", "end,G", "last", "The last image.", footer=False, shown="End G"),
    ),
    "path": (Action("complete", "tab", "complete", "Complete the path as far as it is clear.", always=True),),
    "history": (
        Action("choose", "enter", "show", "Show this answer again, with its image."),
        Action(
            "search",
            "slash",
            "filter",
            'Filter: model:vqa-3 image:cat.png wrong confidence<0.5 -"some words".',
            shown="/",
        ),
    ),
    "tree": (
        Action("open_folder", "right", "open folder", "Open the folder.", footer=False, shown="→"),
        Action("close_folder", "left", "close folder", "Close the folder, or go to it.", footer=False, shown="←"),
        Action("up_folder", "backspace,u", "folder above", "Show the folder above.", shown="u"),
    ),
}
