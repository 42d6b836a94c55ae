"""What each alert says, and what to try: one table."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from looptop.engine.machine.free_memory import bytes_text
from looptop.engine.runs.alerts.records import Alert, AlertCode


class Settings(Struct, frozen=True):
    """The settings of a kind of run that the sentences name."""

    table: str = "training."
    """In front of the settings of training; empty where they have no table."""
    less_gpu_memory: str = "training.per_device_train_batch_size"
    """The setting to lower if a GPU's memory is nearly full."""
    loads_images: bool = False
    """Whether the run is of VQA, with images to load."""


OTHER_TRAINER = Settings("", "per_device_train_batch_size")
"""The settings of somebody's own Trainer."""
SETTINGS = {
    "vqa": Settings(loads_images=True),
    "ppo": Settings(less_gpu_memory="ppo.mini_batch_size"),
    "trainer": OTHER_TRAINER,
}
"""By kind of run; for others, the defaults."""


def alert_text(alert: Alert, settings: Settings, cause: str = "") -> str:
    """An alert for people: what is wrong, with its figures, and what to try.

    Args:
        alert: The alert.
        settings: The settings to name.
        cause: Its likely cause; empty if unknown.
    """
    what, advice = _SENTENCES[alert.code]
    return f"{what(alert)}{'; ' * bool(cause)}{cause}. To try: {advice(settings)}."


def _values(alert: Alert, name: str, other: str) -> str:
    return f"{alert.figures[name]:.4g} at step {alert.step:,}, {alert.figures[other]:.4g}"


def _throughput(alert: Alert) -> str:
    now, best, unit = alert.figures["now"], alert.figures["best"], alert.metric
    slow = (
        f"training has slowed down to {100 * now / best:.0f} % of its best: {now:.4g} {unit} a second at step"
        f" {alert.step:,}, {best:.4g} at best"
    )
    if "cores" not in alert.figures:
        return slow
    cores, best_cores = alert.figures["cores"], alert.figures["best_cores"]
    return (
        f"{slow}; it computes on {cores:.2g} CPU cores now and did on {best_cores:.2g} then, so something else may be"
        " using them"
    )


def _least(alert: Alert) -> str:
    return f"{_values(alert, 'loss', 'least')} at step {alert.figures['least_step']:,.0f}"


def _loading_advice(settings: Settings) -> str:
    if not settings.loads_images:
        return "raise the number of dataloader workers, or prepare the data beforehand"
    return (
        "raise training.dataloader_num_workers, set training.keep_features, or put the images on a faster disk or make"
        " them smaller"
    )


_SENTENCES: dict[AlertCode, tuple[Callable[[Alert], str], Callable[[Settings], str]]] = {
    AlertCode.NOT_FINITE: (
        lambda alert: f"{alert.metric} is {alert.figures['value']:g} at step {alert.step:,}",
        lambda use: (
            f"lower {use.table}learning_rate, clip the gradients ({use.table}max_grad_norm), or train in fp32; look at"
            " the data of that step"
        ),
    ),
    AlertCode.LOSS_ABOVE_START: (
        lambda alert: f"the training loss is still above its start: {_values(alert, 'loss', 'start')} before training",
        lambda use: f"lower {use.table}learning_rate, or lengthen {use.table}warmup_steps",
    ),
    AlertCode.LOSS_RISING: (
        lambda alert: f"the training loss has been rising for a long time: {_least(alert)}",
        lambda use: f"lower {use.table}learning_rate, and train again, or continue from an earlier checkpoint",
    ),
    AlertCode.EVAL_LOSS_WORSE: (
        lambda alert: f"the validation loss is worse than before training: {_values(alert, 'loss', 'start')} before",
        lambda use: (
            f"lower {use.table}learning_rate, or check that the training data are of the same kind as the validation"
            " data"
        ),
    ),
    AlertCode.OVERFITTING: (
        lambda alert: f"the model overfits: the validation loss rises while the training loss falls, {_least(alert)}",
        lambda use: (
            f"stop early ({use.table}early_stopping_patience), train on more data, raise {use.table}weight_decay, or"
            " train fewer weights"
        ),
    ),
    AlertCode.GRADIENT_EXPLODING: (
        lambda alert: f"the gradient norm explodes: {_values(alert, 'norm', 'usual')} usually",
        lambda use: (
            f"lower {use.table}learning_rate, lengthen {use.table}warmup_steps, or clip the gradients lower"
            f" ({use.table}max_grad_norm)"
        ),
    ),
    AlertCode.GRADIENT_VANISHING: (
        lambda alert: (
            "the gradient norm has vanished and the model no longer learns:"
            f" {alert.figures['norm']:.4g} at step {alert.step:,}"
            + (f", {alert.figures['usual']:.4g} usually" if "usual" in alert.figures else "")
        ),
        lambda use: (
            f"train in bf16 or fp32 instead of fp16, raise {use.table}learning_rate, train more of the model, and check"
            " that loss and rewards differ between samples"
        ),
    ),
    AlertCode.NO_BETTER_THAN_QUESTION: (
        lambda alert: (
            "the validation accuracy is no better than answering from the question alone:"
            f" {100 * alert.figures['accuracy']:.1f} % at step {alert.step:,},"
            f" {100 * alert.figures['question_only']:.1f} % without the image"
        ),
        lambda use: (
            f"train longer, change {use.table}learning_rate, train the image encoder too (model.freeze), and check that"
            " the images belong to their questions"
        ),
    ),
    AlertCode.THROUGHPUT_FALLEN: (
        _throughput,
        lambda use: (
            "check what else is running on this machine (`looptop runs state:running`, screen 4), and whether it is"
            " overheating"
        ),
    ),
    AlertCode.LOADING_BOTTLENECK: (
        lambda alert: (
            f"steps wait for their data {100 * alert.figures['share']:.0f} % of the time at step {alert.step:,}"
        ),
        _loading_advice,
    ),
    AlertCode.DISK_NEARLY_FULL: (
        lambda alert: (
            f"the disk is nearly full: {bytes_text(int(alert.figures['free']))} free at step {alert.step:,}, and a"
            f" checkpoint takes {bytes_text(int(alert.figures['checkpoint']))}"
        ),
        lambda use: "make room, for example by deleting runs that you no longer need (`looptop delete`)",
    ),
    AlertCode.GPU_MEMORY_NEARLY_FULL: (
        lambda alert: (
            f"the GPU's memory is nearly full: {bytes_text(int(alert.figures['used']))} of"
            f" {bytes_text(int(alert.figures['total']))} in use at its peak, by step {alert.step:,}"
        ),
        lambda use: f"lower {use.less_gpu_memory}, or close other programs on this GPU",
    ),
}
