"""The parts of `make gpu`, each a module with `run(checks)`, with the seconds after which it is cut off."""

from __future__ import annotations

from typing import NamedTuple


class Part(NamedTuple):
    """What is known of a part before it is imported."""

    name: str
    shows: str
    """What it shows, in a few words."""
    seconds: float
    """After so many seconds it is cut off."""
    alone: bool = False
    """Whether it measures speed or memory, so that nothing else may use the GPU meanwhile."""


PARTS = (
    Part("recordings", "PPO's arithmetic is that of TRL 0.11.4", 150),
    Part("responses", "the device writes the responses that the processor writes", 100),
    Part("answers", "ask, eval and predict answer as on the processor", 150),
    Part("resuming", "held, edited, stopped and moved runs go on", 200),
    Part("processes", "two processes make the run that one makes, or are refused", 120),
    Part("learning_vqa", "the tiny VQA preset learns, in each precision", 200),
    Part("learning_ppo", "the tiny PPO preset learns, in each precision", 270),
    Part("memory", "what does not fit is refused, what runs out ends in one sentence", 100, alone=True),
    Part("machine", "what doctor and screen 4 tell of the GPU is what NVML tells", 60, alone=True),
    Part("speed_vqa", "seconds a step of the book's VQA model, beside listing 7.4", 150, alone=True),
    Part("speed_ppo", "seconds a PPO batch by stage, beside plain transformers and TRL 0.11.4", 200, alone=True),
    Part("speed_generation", "tokens a second, beside transformers' generate", 90, alone=True),
    Part("waiting", "the share of time in which the GPU waits, and for what", 120, alone=True),
)
