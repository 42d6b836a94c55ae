"""Reinforcement learning from feedback (listings 7.5 and 7.6): the PPO of TRL 0.11.4 on today's transformers.

The arithmetic:

- `policy` T5 or GPT-2 with a value head; `reference` the frozen model that it is held to; `batch` padded tensors
- `algorithm` rewards, advantages and losses; `kl` the distances and their control; `scores` scaling and clipping
- `compare` the distance to the reference; `update` from there to the optimiser's steps; `statistics` what is reported

A run:

- `data` the queries; `generation` and `rollout` the responses; `rewards` what they are worth
- `trainer` the loop, one Trainer step a batch; `training` a run from its configuration to its result
- `recorder`, `journal` and `records` what is kept of it; `judging` what a person says while it runs
- `breakpoint_conditions` at which it is held
- `preferences` and `reward_training` a reward model from pairs or ratings

What is made of runs:

- `comparison` before and after, its result in `comparison_result`; `generating` uses a tuned model
- `health` what a practitioner would look at; `sample_filter` chooses samples; `batch_file` writes a batch
- `reference_process` asks the reference on demand, in the process of `reference_server`
"""
