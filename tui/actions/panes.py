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
    "Everything that a run can be told, group by group: the value, the preset's value, and what the setting does."
    " ● marks what differs from the preset, ✗ what is wrong. The whole text of the setting under the cursor stands"
    " below. Nothing is started before ^s.",
)
_CHARTS = Pane(
    "The charts",
    "Each title has the values at the reading cursor. Smoothed is an exponential average of a step and those before"
    " it, never of later ones; the raw curve stays visible. Below the curves ○ is an evaluation, ◆ a checkpoint, ★ the"
    " best one, which the model is loaded from at the end. Dashed lines are the loss before training and the accuracy"
    " of answering from the question alone. NaN and infinity are gaps.",
)
_RESPONSES = Pane(
    "A sample",
    "The query, what the policy wrote, and what the reference, the model before tuning, wrote to the same query;"
    " differing words are underlined. Below, the reward is added up: the scores times their weights, less the penalty"
    " of a response that was cut. KL is how far the response is from what the reference would have written, in nats.",
)
_PAIRS = Pane(
    "Before and after",
    "The reference and the tuned model respond to the same queries, which neither has seen, with the same random"
    " numbers. Change is the reward after less the reward before. Differing words of the two texts are underlined.",
)
_HISTOGRAM = Pane(
    "A histogram of the batch",
    "How many samples of the batch have a reward, or a KL, in each range; the ends of the axis are the smallest and"
    " the largest. A chosen bar leaves only its samples in the table.",
)
_HARDEST = (
    "Confidence is the probability of the model's answer, p(right) that of the right one. Neighbours: of the most"
    " similar images with the same question, how many have the model's answer as their right one."
)

PANES = {
    # Ask
    "images": Pane(
        "The images",
        "The images to ask about: of the benchmark, of a folder, of a run's data, or those that another screen gave."
        " The words beside a thumbnail are the data's answers about the image. The one under the cursor is shown at"
        " once; enter goes to the question.",
    ),
    "image-filter": Pane(
        "The filter of the images",
        "Words are searched in names, in folders, and in the data's answers other than yes and no; question:dog"
        " searches the questions instead. right, wrong and confidence<50% are about the answers of the chosen model,"
        " once it is evaluated (e). All conditions about a question must hold for one and the same question.",
    ),
    "gallery": Pane(
        "The gallery",
        "The images of the list, as large as you like. ✓ and ✗ say whether the model answered every question about an"
        " image right, if an evaluation of it is kept.",
    ),
    "answers": Pane(
        "The answer",
        "Confidence is the model's probability of its whole answer, corrected with a temperature that was fitted on"
        " validation questions: of many answers with 80 %, about 80 % are right. Raw confidence (%) is the probability"
        " as the model computes it; most models are surer than they are right. Candidates are the likeliest answers;"
        " tokens are the pieces of the answer, each with its probability, and after it those that could have come"
        " instead. ! says what speaks against the answer: words that training never saw, an image unlike all of"
        " training's. None of this makes an answer right: ✓ and ✗ do where the data knows.",
    ),
    "question": Pane(
        "The question",
        "What you ask about the image on display, in your own words. The model answers in the words that it was trained"
        " on, and answers always, also what it cannot know.",
    ),
    "history": Pane(
        "The earlier questions",
        "Every question with its answer, confidence, image and model, the newest first; they are kept when you leave."
        " ✓ and ✗ say whether the answer is right by the data, ✓✎ and ✗✎ as you marked it. h leaves only those about"
        " the image on display.",
    ),
    "LargeView": Pane(
        "The large view",
        "The image, or one of its views; the words below say what it is. Attention is where the image encoder's last"
        " layer looks, the same for every question. Occlusion is the probability of the answer with each patch greyed"
        " out: the bright patches are those that the answer to your question depends on.",
    ),
    "CardView": Pane(
        "The card of a model",
        "What the model is made of and trained on, and how good it is: of which checkpoint, on which questions."
        " Question alone is the accuracy of the most frequent training answer to each question, without the image."
        " Expected error is the expected calibration error: the mean distance between confidence and accuracy. A"
        " temperature above 1 lowers confidences, one below 1 raises them.",
    ),
    "ModelPicker": Pane(
        "The models",
        "Every model that can be asked: the bundled one, runs and their checkpoints. The accuracy is that of its newest"
        " evaluation, else the test accuracy of the run, or the validation accuracy at the checkpoint's step.",
    ),
    "ManyPage": Pane(
        "The table of answers",
        "One question about every image of the list, or the list's own questions; it fills as the answers come, and"
        " each is kept. Each model has a column of answers, and a line below that counts those on display, and how many"
        " are right of those that the data or you have judged. A filter keeps the rows of which it accepts an answer:"
        " model:vqa-3 wrong those that vqa-3 answered wrong.",
    ),
    "ManyQuestion": Pane(
        "A question about every image",
        "The question is asked about each image of the list as it is filtered. Without a question, each image is asked"
        " the questions that its data has.",
    ),
    "PathQuestion": Pane(
        "The path",
        "An image is opened in its folder; a folder becomes the list of images.",
    ),
    # Train
    "run": Pane(
        "A run",
        "A run, live or not, as its journal has it. The validation accuracy is of the last evaluation, at the step"
        " below it. The test accuracy is measured once at the end, with the best checkpoint, at the step below it."
        " Question alone is the accuracy of the most frequent training answer to each question, without the image."
        " Sample answers are to the same questions at each evaluation; conf. is the raw confidence.",
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
        "What is known before the start: rows and images of the data, steps, parameters, and the memory of one process."
        " Activations are what a step holds besides weights, gradients and the optimiser. The sum is compared with what"
        " is free now.",
    ),
    "runs": Pane("The runs", "The existing runs of this kind, the newest first; enter shows the one under the cursor."),
    "QuestionsPage": Pane(
        "The training questions",
        "Loss is the label's cross-entropy in the last epoch, in nats. Sure is the probability of the label, as a mean"
        " over the epochs: low is hard to learn, and often mislabelled. Vary is its standard deviation over the epochs:"
        " high means that the model keeps changing its mind. The bars are the probability in each epoch. → marks a"
        " question with another answer, ✗ one that is left out of training.",
    ),
    # PPO
    "prompt": Pane("A line to type in", "The number of a batch or a sample to go to, a filter, or a reward."),
    "ppo-charts": Pane(
        "The charts of a PPO run",
        "Each title has the values of the batch under the cursor. In a good run reward rises while KL stays near its"
        " target (dotted), explained variance comes near 1, and quality stays where it was. Quality is the data's own"
        " judgement, which the policy never sees, and the share of responses that differ. Reward that rises while"
        " quality falls is a reward that is cheated.",
    ),
    "batches": Pane(
        "The batches",
        "One step of PPO each. KL is the mean distance of a response from the reference, summed over its tokens, in"
        " nats. Clip % is the share of tokens whose update was clipped; expl. is how much of the returns the value head"
        " explains (1 all, below 0 worse than nothing); entropy is how undecided the policy is. ! before a mark is what"
        " looks wrong from this batch on; i explains it.",
    ),
    "ppo-events": Pane(
        "The last events",
        "What happened to the run: controls, breakpoints, checkpoints, warnings and alerts, the newest last. Enter"
        " shows all of them in full.",
    ),
    "samples-table": Pane(
        "The samples of a batch",
        "Reward is the weighted sum of the scores beside it; KL the distance from the reference over the response, in"
        " nats; len its tokens (… if it was cut). Adv. is the mean advantage of its tokens: above 0 the update makes"
        " the response likelier, below 0 less likely. Ratio is the largest new to old probability of a token. Edits are"
        " yours: = another reward, x left out, +1 a rating.",
    ),
    "reward-bars": _HISTOGRAM,
    "kl-bars": _HISTOGRAM,
    "query": _RESPONSES,
    "response": _RESPONSES,
    "reference": _RESPONSES,
    "token-view": Pane(
        "The tokens of a response",
        "Each token is shaded by one figure, which v changes: blue is above, orange below, and the signs say the same"
        " without colour. KL is where the policy has left its reference. Advantage is how much better than expected it"
        " went on from here, value what the value head expected, return what came. The line below the tokens explains"
        " the figure, and all figures of the token under the cursor stand under it.",
    ),
    "token-table": Pane(
        "The tokens of a response, as a table",
        "Prob. is the policy's probability when it wrote the token, ref. the reference's, lp-ref the difference of"
        " their logarithms. Reward is the token's share: minus beta times KL, and at the last token the sample's"
        " reward. Adv. is how much better than expected it went on from here, value what was expected, return what"
        " came. Ratio is new to old probability in the last pass.",
    ),
    "compare-figures": Pane(
        "Before and after, in figures",
        "The mean of each figure for the reference and for the tuned model on the same queries, and the change with its"
        " 95 % interval. p is the probability of so large a change if tuning did nothing. Chance? stands where the"
        " interval includes 0.",
    ),
    "pairs": _PAIRS,
    "compare-query": _PAIRS,
    "compare-before": _PAIRS,
    "compare-after": _PAIRS,
    "Breakpoints": Pane(
        "The breakpoints",
        "A batch that meets a condition is held before its update, so that you can look at it and judge it. A condition"
        " on what is known only after the update holds the run then.",
    ),
    "Health": Pane(
        "The health of a batch",
        "Each mark: what the figures show, what it usually means, and what to try. A mark is a reason to look at the"
        " samples, and no proof.",
    ),
    # Runs and charts
    "runs-filter": Pane(
        "The filter of the runs",
        "Words are searched in a run's id, kind, state, title, note, device and preset; kind: and state: search one of"
        " these only. A figure is compared: loss<0.5, took>1h.",
    ),
    "run-table": Pane(
        "All runs",
        "Every run of this looptop's home, live or not. Figure is the run's main figure: of its last evaluation, or of"
        " the test of its best checkpoint, as its word says. A state of interrupted means that its process is gone; r"
        " resumes it from its last checkpoint.",
    ),
    "chart-filter": Pane(
        "The filter of the metrics", "Only metrics whose names match are drawn; a regular expression will do."
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
        "What the model wrote at a step to each prompt, with its rewards. The advantage says how much better than the"
        " other completions of the same prompt it was.",
    ),
    # Evaluations
    "EvaluationScreen": Pane(
        "The evaluation of a model",
        "How good the model is on all questions of a split, and how far the figures can be trusted. Nothing is shown"
        " before it was evaluated once: r does it.",
    ),
    "figures-page": Pane(
        "The figures",
        "Accuracy is the official VQA accuracy; the 95 % interval is where it would lie for other images of the same"
        " kind. Question only is the most frequent training answer without the image; shuffled is the model's own"
        " accuracy with another question's image: a model that gains little over them hardly looks. Calibration error"
        " (ECE) is the mean distance between confidence and accuracy; at 0 %, answers with 70 % are right in 70 % of"
        " cases. Covered at 1 % risk is the share of questions that it can answer if it keeps silent when unsure, and"
        " may be wrong in 1 % of its answers. The line below says what the figure under the cursor means.",
    ),
    "bins": Pane(
        "The reliability of the confidence",
        "Answers are sorted into bins by their confidence, and each point is a bin's accuracy with its 95 % interval."
        " On the dotted line confidence would be true; points below it are answers that are surer than right. The bars"
        " under the chart say how many answers a bin has: one with few says little.",
    ),
    "confusion-page": Pane(
        "The confusion table",
        "Right answers in rows, given answers in columns, so right answers are on the diagonal and a row shows what"
        " was answered instead. ▲ and ▼ are the change since the evaluation before, where there is one. Enter opens the"
        " images of a cell.",
    ),
    "hardest-page": Pane(
        "The hardest questions",
        f"The questions to whose right answer the model gives the least probability. {_HARDEST}",
    ),
    "mislabelled-page": Pane(
        "The likely mislabelled questions",
        "Wrong answers of at least 90 % confidence that most of the similar images confirm: here the data, not the"
        f" model, may be wrong. {_HARDEST}",
    ),
    "compare-page": Pane(
        "Two models on the same questions",
        "Difference is the mean difference of the scores of each question, with a 95 % interval clustered by image; an"
        " interval without 0 is no chance. McNemar's p is how likely so uneven a split of the questions that only one"
        " answers right is, if both models are equally good. The table lists these questions: won are right with the"
        " second model only, lost with the first only.",
    ),
    "TimelineScreen": Pane(
        "The evaluations of a run", "What the run answered at each of its evaluations. The first one is not made yet."
    ),
    "samples-page": Pane(
        "The sample answers",
        "The same questions at each evaluation: the right answer, the model's answer with its raw confidence, what it"
        " was at the evaluation before, and ✓ or ✗ for each evaluation, the shown one marked.",
    ),
    "types-page": Pane(
        "The accuracy by type",
        "The validation accuracy by answer type and question type at this evaluation, and its change since the one"
        " before in percentage points. Each bar is an evaluation, from 0 to 100 %; ▾ is the shown one.",
    ),
    # Overlays of several screens
    "Log": Pane(
        "The log of a run",
        "What the run's process printed, the newest last, with warnings and errors marked. The title counts them; the"
        " lower border says which levels are shown and whether the end is followed.",
    ),
    "Events": Pane(
        "The events of a run",
        "What happened to the run, with times: evaluations, checkpoints, controls, warnings, alerts. An alert says what"
        " is wrong, since which step, and what to try.",
    ),
    "Picker": Pane("A list to choose from", "What you type leaves only the lines with these words."),
    "Question": Pane("A question to you", "Nothing is done before you choose an answer."),
    "TextQuestion": Pane("A text to type", "Nothing changes before you keep the text."),
}
"""All panes."""


def pane_of(node: DOMNode | None) -> Pane | None:
    """What is said of a widget or a screen; None if nothing is."""
    while node is not None:
        pane = PANES.get(node.id or "") or PANES.get(type(node).__name__)
        if pane is not None:
            return pane
        node = node.parent
    return None
