"""What each pane shows and what its figures mean, which the help says first about the pane that has the focus.

A pane is known by the id of its widget, or of one around it; an overlay that is explained as a whole, and a screen
without a focus, by the name of its class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from textual.dom import DOMNode


class Pane(NamedTuple):
    """A pane's name, and one to five sentences about it."""

    title: str
    text: str


_SETTINGS = Pane(
    "The settings of a new run",
    "All settings of a run, group by group: the value, the preset's value, and what the setting does. ● marks a value"
    " that differs from the preset, ✗ one that is invalid. Below the list is the full description of the setting under"
    " the cursor. Nothing starts until you press ^s.",
)
_CHARTS = Pane(
    "The charts",
    "Each title shows the values at the reading cursor. Smoothing is an exponential average of a step and those before"
    " it, never of later ones; the raw curve stays visible. Below the curves ○ marks an evaluation, ◆ a checkpoint, ★"
    " the best checkpoint, from which the final model is loaded. Dashed lines are the loss before training and the"
    " question-only accuracy, which needs no image. NaN and infinity leave gaps.",
)
_RESPONSES = Pane(
    "A sample",
    "The query, what the policy wrote, and what the reference, the model before tuning, wrote to the same query;"
    " differing words are underlined. Below them is how the reward adds up: each score times its weight, minus the"
    " penalty if the response was cut off. KL is how far the response is from what the reference would have written,"
    " in nats.",
)
_PAIRS = Pane(
    "Before and after",
    "The reference and the tuned model respond to the same queries, which neither has seen, with the same random"
    " numbers. Change is the reward after tuning minus the reward before. Differing words of the two texts are"
    " underlined.",
)
_HISTOGRAM = Pane(
    "A histogram of the batch",
    "How many samples of the batch have a reward, or a KL, in each range; the ends of the axis are the smallest and"
    " the largest. Choose a bar to show only its samples in the table.",
)
_HARDEST = (
    "Confidence is the probability of the model's answer, p(right) that of the right answer. Neighbours: of the most"
    " similar images with the same question, how many have the model's answer as their right answer."
)

PANES = {
    # Ask
    "images": Pane(
        "The images",
        "The images to ask about: those of the benchmark, a folder or a run's data, or those that another screen"
        " opened here. The words beside a thumbnail are the data's answers about the image. The image under the cursor"
        " is shown at once; enter goes to the question.",
    ),
    "image-filter": Pane(
        "The filter of the images",
        "Words are matched with names, folders, and the data's answers other than yes and no; question:dog searches"
        " the questions instead. right, wrong and confidence<50% refer to the answers of the chosen model, once it has"
        " been evaluated (e). All conditions about a question must hold for the same question.",
    ),
    "gallery": Pane(
        "The gallery",
        "The images of the list, as large as you like. ✓ and ✗ say whether the model answered every question about an"
        " image right, if it has been evaluated on them.",
    ),
    "answers": Pane(
        "The answer",
        "Confidence is the probability of the whole answer, corrected by a temperature that was fitted on validation"
        " questions: of all answers with 80 %, about 80 % are right. Raw confidence (press %) is the probability as"
        " the model computes it; most models are overconfident. Candidates are the likeliest answers; tokens are the"
        " pieces of the answer, each with its probability, followed by the tokens that could have come instead. !"
        " names a reason to doubt the answer: words that were not in training, an image unlike the training images."
        " Only ✓ and ✗ say whether the answer is right, where the data has it.",
    ),
    "question": Pane(
        "The question",
        "What you ask about the image on display, in your own words. The model answers with the words that it was"
        " trained on. It always answers, even when it cannot know.",
    ),
    "history": Pane(
        "The earlier questions",
        "Every question with its answer, confidence, image and model, the newest first. They are kept when you quit. ✓"
        " and ✗ say whether the answer is right according to the data, ✓✎ and ✗✎ according to you. h shows only those"
        " about the image on display.",
    ),
    "LargeView": Pane(
        "The large view",
        "The image, or a view of it; the text below says which. Attention is where the image encoder's last layer"
        " looks; it is the same for every question. Occlusion greys out one patch after another and shows how probable"
        " the answer still is; the bright patches are those that the answer to your question depends on.",
    ),
    "CardView": Pane(
        "The card of a model",
        "What the model consists of, what it was trained on, and how good it is, with the checkpoint and the questions"
        " that were used to measure it. Question only is the accuracy of the most frequent training answer to each"
        " question, without the image. Calibration error (ECE) is the mean distance between confidence and accuracy. A"
        " temperature above 1 lowers confidences, one below 1 raises them.",
    ),
    "ModelPicker": Pane(
        "The models",
        "Every model that can be asked: the bundled one, runs and their checkpoints. The accuracy is that of the"
        " model's newest evaluation. Without one it is the test accuracy of the run, or the validation accuracy at the"
        " checkpoint's step.",
    ),
    "ManyPage": Pane(
        "The table of answers",
        "One question about every image of the list, or each image's own questions. The table fills as answers arrive,"
        " and every answer is kept. Each model has a column of answers, and a line below the table that counts the"
        " answers on display and, of those marked by the data or by you, the right ones. A filter shows the rows in"
        " which some answer matches: model:vqa-3 wrong shows what vqa-3 answered wrong.",
    ),
    "ManyQuestion": Pane(
        "A question about every image",
        "The question is asked about every image of the filtered list. Leave it empty to ask the data's own questions"
        " about each image.",
    ),
    "PathQuestion": Pane(
        "The path",
        "The path of an image opens its folder with the image selected; the path of a folder makes its images the"
        " list.",
    ),
    # Train
    "run": Pane(
        "A run",
        "A run, live or not, as its journal records it. The validation accuracy is that of the last evaluation, at the"
        " step below it. The test accuracy is measured once, at the end, with the best checkpoint, at the step below"
        " it. Question only is the accuracy of the most frequent training answer to each question, without the image."
        " Every evaluation asks the same sample questions; conf. is the raw confidence.",
    ),
    "train-charts": _CHARTS,
    "events": Pane(
        "The last events",
        "What happened to the run: evaluations, checkpoints, controls, warnings and alerts, the newest last. Enter"
        " shows all of them in full.",
    ),
    "settings": _SETTINGS,
    "value": _SETTINGS,
    "form-search": _SETTINGS,
    "form-pane": Pane(
        "About the run",
        "What is known before the start: rows and images of the data, steps, parameters, and the memory of one"
        " process. Activations are what a step holds besides weights, gradients and the optimiser's state. The total"
        " is compared with the memory that is free now.",
    ),
    "runs": Pane("The runs", "The existing runs of this kind, the newest first; enter shows the one under the cursor."),
    "QuestionsPage": Pane(
        "The training questions",
        "Loss is the label's cross-entropy in the last epoch, in nats. “Sure” (confidence) is the probability of the"
        " label, averaged over the epochs: a low one means hard to learn, and often mislabelled. “Vary” (variability)"
        " is its standard deviation over the epochs: a high one means that the model keeps changing its mind. The bars"
        " are the probability in each epoch. → marks a question with another answer, ✗ one that is left out of"
        " training.",
    ),
    # PPO
    "input-line": Pane("The input line", "Type the number of a batch or a sample to go to, a filter, or a reward."),
    "ppo-charts": Pane(
        "The charts of a PPO run",
        "Each title has the values of the batch under the cursor; ± and the band around reward are the standard"
        " deviation of its samples. In a good run, reward rises while KL stays near its"
        " target (dotted), explained variance approaches 1, and quality holds. Quality is the data's own score, which"
        " the policy never sees, and the share of responses that differ from each other. If reward rises while quality"
        " falls, the policy is cheating the reward.",
    ),
    "batches": Pane(
        "The batches",
        "One step of PPO each. KL is the mean distance of a response from the reference, summed over its tokens, in"
        " nats. Clip % is the share of tokens whose update was clipped; expl. is the share of the returns' variance"
        " that the value head explains (1 is all of it, below 0 is worse than a constant); entropy is how undecided"
        " the policy is. ! names what looks wrong from this batch on; i explains it.",
    ),
    "ppo-events": Pane(
        "The last events",
        "What happened to the run: controls, breakpoints, checkpoints, warnings and alerts, the newest last. Enter"
        " shows all of them in full.",
    ),
    "samples-table": Pane(
        "The samples of a batch",
        "Reward is the weighted sum of the scores beside it; KL is the distance from the reference over the response,"
        " in nats; len is its number of tokens (… if it was cut off). Adv. is the mean advantage of its tokens: above"
        " 0 the update makes the response likelier, below 0 less likely. Ratio is the largest ratio of new to old"
        " probability of a token. Edits are yours: = another reward, x left out, +1 a rating.",
    ),
    "reward-bars": _HISTOGRAM,
    "kl-bars": _HISTOGRAM,
    "query": _RESPONSES,
    "response": _RESPONSES,
    "reference": _RESPONSES,
    "token-view": Pane(
        "The tokens of a response",
        "Each token is shaded by one figure; v changes which. Blue is above, orange below, and the signs say the same"
        " without colour. KL shows where the policy has left its reference. Advantage is how much better than expected"
        " things went from this token on, value is what the value head expected, return is what came. The line below"
        " the tokens explains the figure, and under it are all figures of the token under the cursor.",
    ),
    "token-table": Pane(
        "The tokens of a response, as a table",
        "Prob. is the policy's probability when it wrote the token, ref. the reference's, lp-ref the difference of"
        " their logarithms. Reward is the token's share: minus beta times KL, plus the sample's reward at the last"
        " token. Adv. is how much better than expected things went from this token on, value what was expected, return"
        " what came. Ratio is the new probability divided by the old one in the last pass.",
    ),
    "compare-figures": Pane(
        "Before and after, in figures",
        "The mean of each figure for the reference and for the tuned model on the same queries, and the change with"
        " its 95 % interval. p is the probability of a change at least as large if tuning did nothing. “Chance?” marks"
        " a change whose interval includes 0.",
    ),
    "pairs": _PAIRS,
    "compare-query": _PAIRS,
    "compare-before": _PAIRS,
    "compare-after": _PAIRS,
    "Breakpoints": Pane(
        "The breakpoints",
        "A batch that meets a condition is held before its update, so that you can look at it and edit its rewards. If"
        " a condition uses a figure that is known only after the update, the run is held then.",
    ),
    "Health": Pane(
        "The health of a batch",
        "For each mark: what the figures show, what that usually means, and what to try. A mark is a reason to look at"
        " the samples, not proof of a fault.",
    ),
    # Runs and charts
    "runs-filter": Pane(
        "The filter of the runs",
        "Words are matched with a run's id, kind, state, title, note, device and preset; kind:vqa and state:failed"
        " look at one of these only. Figures are compared: loss<0.5, took>1h.",
    ),
    "run-table": Pane(
        "All runs",
        "Every run in looptop's home, live or not. Figure is the run's main figure: “last” is that of the last"
        " evaluation, “best” that of the best checkpoint. Interrupted means that the run's process ended unexpectedly;"
        " r resumes it from its last checkpoint.",
    ),
    "chart-filter": Pane(
        "The filter of the metrics", "Only metrics whose names match are drawn. Regular expressions work too."
    ),
    "wall": _CHARTS,
    "charts-events": Pane(
        "The last events",
        "What happened to the runs on display, the newest last. Enter shows all of them in full.",
    ),
    "Configurations": Pane(
        "The configurations",
        "The settings of the runs on display, side by side; ≠ marks those that differ.",
    ),
    "Completions": Pane(
        "The completions",
        "What the model wrote for each prompt at one step, with its rewards. The advantage says how much better it was"
        " than the other completions of the same prompt.",
    ),
    # Evaluations
    "EvaluationScreen": Pane(
        "The evaluation of a model",
        "How good the model is on all questions of a split, and how far the figures can be trusted. The pages are"
        " empty until the model has been evaluated once; r does that.",
    ),
    "figures-page": Pane(
        "The figures",
        "Accuracy is the official VQA accuracy; the 95 % interval is where it would lie for other images of the same"
        " kind. Question only is the accuracy of the most frequent training answer to each question, shuffled that of"
        " the model with another question's image; a model that is hardly better than these hardly uses the image."
        " Calibration error (ECE) is the mean distance between confidence and accuracy. Covered at 1 % risk is the"
        " share of questions that it can answer if it skips those it is unsure of, so that at most 1 % of its answers"
        " are wrong. The line below explains the figure under the cursor.",
    ),
    "bins": Pane(
        "The reliability of the confidence",
        "Answers are sorted into bins by their confidence, and each point is a bin's accuracy with its 95 % interval."
        " On the dotted line, confidence equals accuracy; below it, the model is overconfident. The bars under the"
        " chart say how many answers a bin has: a bin with few says little.",
    ),
    "confusion-page": Pane(
        "The confusion table",
        "A row is a right answer, a column an answer that the model gave. The diagonal counts what it answered right;"
        " the rest of a row is what it answered instead. ▲ and ▼ are the change since the previous evaluation, if"
        " there is one. Enter opens the images of a cell.",
    ),
    "hardest-page": Pane(
        "The hardest questions",
        f"The questions to whose right answer the model gives the lowest probability. {_HARDEST}",
    ),
    "mislabelled-page": Pane(
        "Questions that are probably mislabelled",
        "Answers of at least 90 % confidence that count as wrong, although most of the similar images have the same"
        f" answer: here the data may be wrong, not the model. {_HARDEST}",
    ),
    "compare-page": Pane(
        "Two models on the same questions",
        "Difference is the mean difference between the two models' scores on each question, with a 95 % interval"
        " clustered by image; if the interval leaves out 0, chance hardly explains the difference. McNemar's p is"
        " about the questions that exactly one model answers right: how likely so uneven a split is if both models are"
        " equally good. The table lists these questions: won means that only the second model is right, lost that only"
        " the first is.",
    ),
    "TimelineScreen": Pane(
        "The evaluations of a run",
        "What the run answered at each of its evaluations. The first evaluation is still to come.",
    ),
    "samples-page": Pane(
        "The sample answers",
        "The same questions at each evaluation: the right answer, the model's answer with its raw confidence, its"
        " answer at the previous evaluation, and ✓ or ✗ for every evaluation, with the one on display marked.",
    ),
    "types-page": Pane(
        "The accuracy by type",
        "The validation accuracy by answer type and question type at this evaluation, and its change in percentage"
        " points since the previous one. Each bar is an evaluation, from 0 to 100 %; ▾ marks the one on display.",
    ),
    # Overlays of several screens
    "run-log": Pane(
        "The log of a run",
        "What the run's process printed, the newest last, with warnings and errors marked. The title counts them; the"
        " lower border says which levels are shown and whether the end is followed.",
    ),
    "all-events": Pane(
        "The events of a run",
        "What happened to the run, with times: evaluations, checkpoints, controls, warnings, alerts. An alert says what"
        " is wrong, since which step, and what to try.",
    ),
    "Picker": Pane("A list to choose from", "Type to show only the lines with these words."),
    "Question": Pane("A question for you", "Nothing happens until you choose an answer."),
    "TextQuestion": Pane("A text to type", "Nothing changes until you press enter."),
}
"""All panes."""


def pane_of(node: DOMNode | None) -> Pane | None:
    """The text about a widget or a screen; None if there is none."""
    while node is not None:
        pane = PANES.get(node.id or "") or PANES.get(type(node).__name__)
        if pane is not None:
            return pane
        node = node.parent
    return None
