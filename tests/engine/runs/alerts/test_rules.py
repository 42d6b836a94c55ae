"""Each alert is raised by a run that goes wrong in its way, once, with its figures and what to try."""

from __future__ import annotations

import math

import pytest

from looptop.engine.runs.alerts.listener import Alerts
from looptop.engine.runs.alerts.records import AlertCode, Resources
from looptop.engine.runs.alerts.sentences import SETTINGS, Settings
from tests.engine.runs.alerts.courses import Raised, Values, judged, losses, timed

MIB, GIB = 2**20, 2**30


def only(raised: Raised) -> tuple[str, int, str]:
    (alert,) = raised.alerts
    return alert


def test_nan_and_infinity_are_alerted_once_for_each_metric() -> None:
    values: Values = [(step, {"loss": math.nan, "eval_loss": math.inf, "grad_norm": 1.0}) for step in range(1, 4)]
    raised = judged(values)
    assert raised.codes == ["not_finite", "not_finite"]
    assert [text.partition(".")[0] for _, _, text in raised.alerts] == [
        "loss is nan at step 1",
        "eval_loss is inf at step 1",
    ]


def test_in_fp16_a_gradient_norm_may_be_infinite_while_its_loss_scale_falls() -> None:
    def norms(infinite: int) -> Values:
        return [(step, {"grad_norm": math.inf if step <= infinite else 1.0}) for step in range(1, 60)]

    assert judged(norms(1), precision="bf16").codes == ["not_finite"]
    assert judged(norms(16), precision="fp16").codes == []
    assert judged(norms(40), precision="fp16").codes == ["not_finite"]


def test_everything_that_somebodys_own_trainer_logs_must_be_finite() -> None:
    values: Values = [(1, {"my/metric": math.nan})]
    assert judged(values, kind="trainer").codes == ["not_finite"]
    assert judged(values, kind="ppo").codes == []


def test_a_loss_that_diverges_stays_above_its_start() -> None:
    course = losses(lambda step: 0.83 if step == 1 else 0.83 * 1.2**step, 80, before=0.84)
    code, step, text = only(judged(course, total_steps=80))
    assert (code, step) == ("loss_above_start", 31)
    assert text.startswith(
        "the training loss is still above its start: 236.4 at step 31, 0.84 before training. To try: "
    )
    assert "training.learning_rate" in text


def test_a_loss_that_has_fallen_and_rises_for_long_is_alerted() -> None:
    course = losses(lambda step: 1 - step / 250 if step <= 200 else 0.2 + (step - 200) / 800, 600, before=1.0)
    code, step, text = only(judged(course, total_steps=600))
    assert (code, step) == ("loss_rising", 560)
    assert text.startswith(
        "the training loss has been rising for a long time: 0.6256 at step 560, 0.2256 at step 240. To try: "
    )


def test_a_validation_loss_worse_than_before_training_is_alerted() -> None:
    course: Values = [
        (step, {"eval_loss": loss}) for step, loss in ((0, 0.84), (4, 0.9), (40, 0.845), (60, 2345.0), (80, 3000.0))
    ]
    code, step, text = only(judged(course, total_steps=80))
    assert (code, step) == ("eval_loss_worse", 60)
    assert text.startswith("the validation loss is worse than before training: 2345 at step 60, 0.84 before. To try: ")


def test_a_validation_loss_that_rises_while_the_training_loss_falls_is_overfitting() -> None:
    course: list[tuple[int, dict[str, float]]] = [(0, {"eval_loss": 2.0})]
    for step in range(1, 81):
        course.append((step, {"loss": 2 / step}))
        if step % 10 == 0:
            course.append((step, {"eval_loss": max(1.0, 2 - step / 20) + max(0, step - 30) / 100}))
    code, step, text = only(judged(course, total_steps=80))
    assert (code, step) == ("overfitting", 60)
    assert "while the training loss falls, 1.3 at step 60, 1 at step 20" in text and "early_stopping_patience" in text


def test_a_gradient_norm_that_explodes_is_alerted() -> None:
    course: Values = [(step, {"loss": 1.0, "grad_norm": 0.5 if step <= 400 else 8.0}) for step in range(1, 600)]
    code, step, text = only(judged(course, total_steps=600))
    assert (code, step) == ("gradient_exploding", 440)
    assert text.startswith("the gradient norm explodes: 8 at step 440, 0.5 usually. To try: ")


@pytest.mark.parametrize("left", [1e-5, 0.0])
def test_a_gradient_norm_that_vanishes_before_the_loss_has_fallen_is_alerted(left: float) -> None:
    course: Values = [(step, {"loss": 2.0, "grad_norm": 0.5 if step <= 80 else left}) for step in range(1, 200)]
    code, step, text = only(judged(course, total_steps=200))
    assert (code, step) == ("gradient_vanishing", 120)
    assert f"{left:g} at step 120, 0.5 usually" in text


def test_a_gradient_norm_that_is_nothing_from_the_start_is_not_compared_with_an_earlier_one() -> None:
    course: Values = [(step, {"loss": 2.0, "grad_norm": 1e-9}) for step in range(1, 200)]
    code, step, text = only(judged(course, total_steps=200))
    assert (code, step) == ("gradient_vanishing", 40)
    assert "no longer learns: 1e-09 at step 40. To try: " in text


def test_an_accuracy_no_better_than_the_question_alone_is_alerted_in_the_second_half() -> None:
    course: Values = [
        (step, {"eval_accuracy": value}) for step, value in ((0, 0.36), (20, 0.51), (60, 0.67), (80, 0.2))
    ]
    code, step, text = only(judged(course, total_steps=80, question_only_accuracy=0.67))
    assert (code, step) == ("no_better_than_question", 60)
    assert "question alone: 67.0 % at step 60, 67.0 % without the image" in text and "model.freeze" in text


def test_a_run_that_ends_early_is_judged_by_its_last_evaluation() -> None:
    course: Values = [(20, {"eval_accuracy": 0.4})]
    assert judged(course, finish=False, total_steps=1000, question_only_accuracy=0.67).codes == []
    assert judged(course, total_steps=1000, question_only_accuracy=0.67).codes == ["no_better_than_question"]


def test_throughput_that_has_fallen_for_a_minute_is_alerted_and_says_what_slows_it() -> None:
    code, step, text = only(timed([1123.0] * 700 + [730.0] * 700, what_slows=lambda: "vqa-2 trains beside it"))
    assert code == "throughput_fallen" and 700 + 50 * 7.3 <= step <= 700 + 90 * 7.3
    assert text.startswith("training has slowed down to 65 % of its best: 730 samples a second at step")
    assert "1123 at best; vqa-2 trains beside it. To try: " in text


def test_a_healthy_run_whose_cores_others_take_says_so() -> None:
    fallen = [1000.0] * 700 + [520.0] * 700
    _, _, text = only(timed(fallen, cores=lambda throughput: throughput / 1000, loading=0.2))
    assert "1000 at best; it computes on 0.52 CPU cores now and did on 1 then, so something else may be using" in text
    _, _, text = only(timed(fallen, cores=lambda throughput: 1.9 if throughput > 600 else 1.8))
    assert "520 samples a second" in text and "something else" not in text, "it has its cores, and is slower itself"


def test_steps_that_mostly_wait_for_their_data_are_alerted() -> None:
    code, step, text = only(timed([100.0] * 100, loading=0.62))
    assert (code, step) == ("loading_bottleneck", 40)
    assert text.startswith("steps wait for their data 62 % of the time at step 40. To try: raise training.dataloader")


def resources(kind: str = "vqa", **left: int) -> Raised:
    raised = Raised()
    alerts = Alerts(raised, kind)
    for step in (5, 6):
        alerts.on_resources(Resources(step, **({"disk_free": GIB, "checkpoint_bytes": MIB} | left)))
    return raised


def test_a_disk_without_room_for_two_more_checkpoints_is_alerted() -> None:
    code, step, text = only(resources(disk_free=550 * MIB, checkpoint_bytes=250 * MIB))
    assert (code, step) == ("disk_nearly_full", 5)
    assert "550.0 MiB free at step 5, and a checkpoint takes 250.0 MiB. To try: make room" in text
    assert resources(disk_free=600 * MIB, checkpoint_bytes=250 * MIB).codes == []


def test_a_gpu_whose_memory_is_nearly_full_is_alerted() -> None:
    code, _, text = only(resources(gpu_used=77 * GIB, gpu_total=80 * GIB))
    assert code == "gpu_memory_nearly_full"
    assert "77.0 GiB of 80.0 GiB in use at its peak" in text and "training.per_device_train_batch_size" in text
    assert "ppo.mini_batch_size" in resources("ppo", gpu_used=77 * GIB, gpu_total=80 * GIB).alerts[0][2]
    assert resources(gpu_used=70 * GIB, gpu_total=80 * GIB).codes == [] == resources().codes


@pytest.mark.parametrize(
    ("metric", "count"), [("reward", 0), ("objective/kl", 0), ("rewards/chosen", 1), ("mean_reward", 1)]
)
def test_a_trainer_that_maximises_a_reward_may_have_a_loss_that_rises(metric: str, count: int) -> None:
    values: Values = [(step, {"loss": step / 100, metric: 1.0}) for step in range(1, 100)]
    assert len(judged(values, kind="trainer").alerts) == count


def test_each_alert_says_what_to_try_in_every_kind_of_run() -> None:
    from looptop.engine.runs.alerts.sentences import _SENTENCES

    assert set(_SENTENCES) == set(AlertCode)
    for settings in (*SETTINGS.values(), Settings()):
        for _, advice in _SENTENCES.values():
            assert len(advice(settings)) > 20
            assert settings.table or "training." not in advice(settings)
