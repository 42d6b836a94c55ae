"""Reinforcement learning from feedback (listing 7.6): the PPO of TRL 0.11.4 on today's transformers.

- `policy` T5 or GPT-2 with a value head; what it says of given responses
- `batch` queries and responses as padded tensors
- `algorithm` rewards, advantages and losses; `kl` the distances and their control; `scores` scaling and clipping
- `compare` the distance to the reference; `update` from there to the optimiser's steps; `statistics` what is reported
"""
