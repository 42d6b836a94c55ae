"""The list of the parts of `make gpu`; each part is a module with `run(checks)`."""

from __future__ import annotations

from typing import NamedTuple


class Part(NamedTuple):
    """A part, as it is known before its module is imported."""

    name: str
    shows: str
    """What it shows, in a few words."""
    seconds: float
    """Its time limit, after which it is cut off."""
    alone: bool = False
    """Whether it measures speed or memory, so that nothing else may use the GPU at the same time."""


PARTS = (
    Part("recordings", "PPO's arithmetic is that of TRL 0.11.4", 150),
    Part("responses", "the device writes the same responses as the CPU", 100),
    Part("answers", "ask, eval and predict answer as on the CPU", 150),
    Part("resuming", "held, edited, stopped and moved runs continue correctly", 200),
    Part("processes", "two processes give the same run as one, or are refused", 120),
    Part("learning_vqa", "the tiny VQA preset learns, in each precision", 200),
    Part("learning_ppo", "the tiny PPO preset learns, in each precision", 270),
    Part("memory", "models that do not fit are refused; out of memory ends in one sentence", 100, alone=True),
    Part("machine", "doctor and screen 4 show the same figures of the GPU as NVML", 60, alone=True),
    Part("speed_vqa", "seconds a step of the book's VQA model, beside listing 7.4", 150, alone=True),
    Part("speed_ppo", "seconds a PPO batch by stage, beside plain transformers and TRL 0.11.4", 200, alone=True),
    Part("speed_generation", "tokens a second, beside transformers' generate", 90, alone=True),
    Part("waiting", "the share of time in which the GPU waits, and why", 120, alone=True),
)
