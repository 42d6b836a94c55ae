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
        Action("open", "o", "open", "Open an image by its path; a path can also be pasted or dropped.", palette=True),
        Action("filter", "slash", "filter", "Filter the images by name.", shown="/"),
        Action("files", "f", "files", "Change between the benchmark's images and your files.", palette=True),
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
    "images": (Action("choose", "enter", "take", "Choose this image and go to the question."),),
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
    "tree": (Action("up_folder", "backspace,u", "folder above", "Show the folder above.", shown="u"),),
}
