"""Reinforcement learning from feedback (listings 7.5 and 7.6): the PPO of TRL 0.11.4 on today's transformers.

One batch, in the order of reading:

- `step` one PPO batch from top to bottom; `algorithm` its arithmetic as pure functions
- `rollout` writes responses; `rewards` scores them; `policy` the model with its value head; `batch` padded tensors
- `statistics` what TRL reports; `sharing` divides a batch among several processes

A run:

- `training` from a configuration to a result; `trainer` fits steps into transformers' Trainer
- `data` queries; `tables` the files and data sets that texts come from
- `loading` policy, `reference` and tokenizer; `fast_t5` kernels for CPUs; `policy_evaluator` evaluation
- `stages` holds, records and checks a batch; `recorder`, `journal` and `records` what is recorded; `health` its checks
- `judgements` and `breakpoints` (with `breakpoint_conditions`) what a person does while it runs
- `preferences` and `reward_training` a reward model from pairs or ratings; `reward_function` a Python function as one

What uses finished runs:

- `paired_comparison` compares a tuned model with its reference, `before_after` is the result
- `responding` lets a tuned model respond to texts
- `sample_filter` chooses samples; `sample_export` writes a batch's samples to a file
"""
