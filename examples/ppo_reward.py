"""Tune a summariser by PPO with a reward that is a Python function: here, summaries of about ten words.

    python examples/ppo_reward.py
    python examples/ppo_reward.py --batches 300

Watch it meanwhile from another terminal, down to one token: looptop attach ppo-1
"""

import argparse

import looptop.engine as looptop


def score(queries: list[str], responses: list[str]) -> list[float]:
    """The reward of each response: highest for ten words, lower for more and for fewer. Write your own here."""
    return [-abs(len(response.split()) - 10) / 5 for response in responses]


def main() -> None:
    """Trains, and prints how the reward went."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=30)
    options = parser.parse_args()

    # For real articles: preset("book", "ppo") with "data.source=articles.csv" and "text_column=article".
    config = looptop.override(
        looptop.preset("tiny", "ppo"),
        [
            f"rewards.ten_words.function={__file__}:score",
            "rewards.neutral.weight=0",  # of the preset's two classifiers one is left out,
            "rewards.grammar.weight=0.5",  # and the other counts half
            f"max_steps={options.batches}",
            "held_out=16",
        ],
    )
    run = looptop.start(config)  # in a thread of this program
    print(f"{run.id} tunes for {options.batches} batches")
    print(f"{run.id} {run.wait()}")
    scores = run.journal.values("scores/ten_words")  # each batch's mean; the run keeps every sample's too
    for point in [scores[0], *scores[9::10]]:
        print(f"batch {point.step}: score {point.value:.2f}")
    print("result:", run.result())


if __name__ == "__main__":
    main()
