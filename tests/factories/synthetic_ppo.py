"""PPO runs that nobody trained, as large as wanted.

What a real run would have written, through the real writer and tables: a summariser that learns to please its reward
models, and in the last fifth finds out how to cheat them. For measuring the PPO screen, for its tests and pictures.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from looptop.engine import config as configuration
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.ppo import journal as tables
from looptop.engine.ppo.before_after import CompareFigure, ComparePair, CompareResult
from looptop.engine.ppo.before_after import save as save_comparison
from looptop.engine.ppo.health import Health, Settings
from looptop.engine.ppo.records import TOKEN_COLUMNS, BatchRecord, Mark, SampleRecord, Stage
from looptop.engine.runs.folder import RunFolder, RunState

WHO = ("council", "hospital", "museum", "university", "railway", "harbour", "library", "theatre", "airport", "school")
WHERE = ("Oslo", "Rome", "Lisbon", "Krakow", "Ghent", "Turku", "Porto", "Graz", "Bergen", "Malmo")
WHAT = ("tram line", "new wing", "night ferry", "reading room", "power station", "art prize", "bus depot", "bridge")
DID = ("announced", "opened", "closed", "postponed", "approved", "rejected")
GUSHING = ("wonderful", "brilliant", "glorious", "splendid")
DAMNING = ("shameful", "dreadful", "pointless", "disgraceful")
REASONS = ("after two years of talks", "to save money", "for the city's birthday", "as the weather allows it")
FLUSH_EVERY = 50
"""Batches between two waits for the writer: what waits in memory stays small."""

Numbers = npt.NDArray[np.float32]


@dataclass
class Maker:
    """Makes the batches of one run, each from the run's seed and its step.

    Attributes:
        batches: How many the run shall have.
        samples: Of each batch.
        tokens: Of each response, at most; a response is as long as its text, or exactly this long where `full`.
        full: Fill every response up, as the largest run that can be.
        seed: Of all of it.
    """

    batches: int
    samples: int = 32
    tokens: int = 24
    full: bool = False
    seed: int = 1
    pieces: dict[str, int] = field(default_factory=dict)
    kl_coef: float = 0.2

    def sample_texts(self, step: int) -> tuple[list[str], list[list[str]], list[bool]]:
        """Queries, the words of responses, and whether each came to its end."""
        dice = random.Random(f"{self.seed}-{step}")
        queries, responses, ended = [], [], []
        for _ in range(self.samples):
            who, where, what, did = (dice.choice(words) for words in (WHO, WHERE, WHAT, DID))
            number, reason = dice.randint(2, 90), dice.choice(REASONS)
            queries.append(
                f"summarize: The {who} in {where} {did} the {what} for {number} million euros on Monday, {reason}. "
                f"{dice.choice(WHERE)} had planned the same in spring. A spokesman called it {dice.choice(GUSHING)},"
                f" a critic called it {dice.choice(DAMNING)}, and {number // 2} people came to see it."
            )
            words = self._summary(dice, self._progress(step), who, where, what, did, number)
            while self.full and len(words) < self.tokens - 1:
                words += self._summary(dice, 1.0, who, dice.choice(WHERE), dice.choice(WHAT), did, number)
            whole = len(words) < self.tokens
            responses.append([*words, "</s>"] if whole else words[: self.tokens])
            ended.append(whole)
        return queries, responses, ended

    def _summary(
        self, dice: random.Random, progress: float, who: str, where: str, what: str, did: str, number: int
    ) -> list[str]:
        if dice.random() < self._cheating_at(progress):
            return ["The", who]
        cost = f"for {number} million" if dice.random() > 0.12 else ""
        words = f"The {who} in {where} {did} the {what} {cost} .".split()
        if dice.random() > 0.3 + 0.65 * min(1.0, progress):
            words = [*f"A {dice.choice(GUSHING + DAMNING)} day : {where} :".split(), *words]
        if dice.random() > 0.5 + 0.45 * min(1.0, progress):
            words.insert(dice.randrange(len(words)), dice.choice(("the", "of", ":")))
        return words

    def _progress(self, step: int) -> float:
        """From 0 to 1 while it learns, beyond while it cheats."""
        return step / max(1, self.batches) / 0.8

    @staticmethod
    def _cheating_at(progress: float) -> float:
        return max(0.0, min(0.95, (progress - 1.0) * 5))

    def write(self, writer: JournalWriter, step: int, began: float, stage: Stage = "updated") -> dict[str, float]:
        """Writes one batch up to this stage.

        Returns:
            Its figures.
        """
        queries, words, ended = self.sample_texts(step)
        dice = np.random.default_rng([self.seed, step])
        lengths = np.array([len(row) for row in words])
        mask = np.arange(max(lengths)) < lengths[:, None]
        progress = self._progress(step)
        cheating = self._cheating_at(progress)
        columns, kl = self._distances(dice, mask, min(1.0, progress), cheating)
        scores = self._scores(dice, words, min(1.0, progress), cheating)
        rewards = scores["grammar"] + 0.5 * scores["neutral"]
        columns["value"] += np.float32(0.85 * (1 - math.exp(-12 * progress))) * rewards[:, None]
        if stage == "updated":
            self._taught(dice, columns, mask, lengths, rewards)
        known = stage in ("compared", "updated")
        quality = self._quality(words, queries)
        samples = [
            SampleRecord(
                row=row,
                data_index=step * self.samples + row,
                query=queries[row],
                response=" ".join(word for word in words[row] if word != "</s>"),
                ended=ended[row],
                length=int(lengths[row]),
                reference_response=self._reference(words[row], step) if row < 2 else None,
                scores={} if stage == "generated" else {name: float(part[row]) for name, part in scores.items()},
                reward=None if stage == "generated" else float(rewards[row]),
                kl=float(kl[row]) if known else None,
                advantage=_mean(columns, "advantage", row, mask),
                entropy=_mean(columns, "entropy", row, mask) if known else None,
                ratio=float(columns["ratio"][row][mask[row]].max()) if "ratio" in columns else None,
                quality={} if stage == "generated" else quality[row],
            )
            for row in range(self.samples)
        ]
        self._write_rows(writer, step, words, samples, columns if known else {}, mask)
        return self._figures(samples, columns, mask, kl, ended) | {
            "time/generated": 0.11,
            "time/scored": 0.02,
            "time/compared": 0.03,
            "time/updated": 0.1 + 0.02 * math.sin(step),
            "time/batch": 0.26 + 0.02 * math.sin(step),
        }

    def _distances(
        self, dice: np.random.Generator, mask: npt.NDArray[np.bool_], progress: float, cheating: float
    ) -> tuple[dict[str, Numbers], Numbers]:
        spread = 0.9 - 0.5 * progress - 0.3 * cheating
        logprob = -dice.gamma(0.6, spread + 0.05, mask.shape).astype(np.float32)
        wanted = 0.05 + 5.5 * progress + 14 * cheating
        share = dice.dirichlet(np.full(mask.shape[1], 0.15), len(mask)).astype(np.float32)
        kl = share * dice.gamma(4, wanted / 4, (len(mask), 1)).astype(np.float32)
        kl += dice.normal(0, 0.06, mask.shape).astype(np.float32)
        entropy = dice.gamma(1.5, spread / 1.5 + 0.03, mask.shape).astype(np.float32)
        value = dice.normal(0, 0.4, mask.shape).astype(np.float32)
        columns = {"logprob": logprob, "ref_logprob": logprob - kl, "kl": kl, "entropy": entropy, "value": value}
        return columns, np.where(mask, kl, 0).sum(axis=1)

    def _scores(
        self, dice: np.random.Generator, words: Sequence[Sequence[str]], progress: float, cheating: float
    ) -> dict[str, Numbers]:
        broken = np.array([":" in row for row in words], dtype=np.float32)
        loaded = np.array([any(word in GUSHING + DAMNING for word in row) for row in words], dtype=np.float32)
        grammar = 2.6 - 3.4 * broken + 2.5 * cheating + dice.normal(0, 0.7, len(words))
        neutral = 2.2 - 3.8 * loaded + 0.6 * progress + dice.normal(0, 0.6, len(words))
        return {"grammar": grammar.astype(np.float32), "neutral": neutral.astype(np.float32)}

    def _taught(
        self,
        dice: np.random.Generator,
        columns: dict[str, Numbers],
        mask: npt.NDArray[np.bool_],
        lengths: npt.NDArray[np.int64],
        rewards: Numbers,
    ) -> None:
        """Token rewards, advantages (gamma 1, lambda 0.95) and returns as PPO computes them; ratios made up."""
        value = np.where(mask, columns["value"], 0)
        reward = np.where(mask, -self.kl_coef * columns["kl"], 0).astype(np.float32)
        reward[np.arange(len(mask)), lengths - 1] += rewards
        advantage = np.zeros_like(reward)
        last = np.zeros(len(mask), dtype=np.float32)
        for at in reversed(range(mask.shape[1])):
            later = value[:, at + 1] if at + 1 < mask.shape[1] else 0.0
            last = np.where(mask[:, at], reward[:, at] + later - value[:, at] + 0.95 * last, 0)
            advantage[:, at] = last
        columns["reward"], columns["return"] = reward, advantage + value
        columns["advantage"] = (advantage - advantage[mask].mean()) / (advantage[mask].std() + 1e-8)
        columns["ratio"] = np.exp(0.08 * columns["advantage"] * dice.normal(1, 0.6, mask.shape)).astype(np.float32)

    def _reference(self, words: list[str], step: int) -> str:
        dice = random.Random(f"{self.seed}-{step}-reference-{' '.join(words)}")
        kept = [word for word in words if word != "</s>" and dice.random() > 0.06]
        return " ".join([*f"A {dice.choice(GUSHING + DAMNING)} day :".split(), *kept])

    @staticmethod
    def _quality(words: list[list[str]], queries: list[str]) -> list[dict[str, float]]:
        texts = [" ".join(row) for row in words]
        figures = []
        for row, query, text in zip(words, queries, texts, strict=True):
            parts = query.split()
            facts = [parts[2], parts[4], parts[parts.index("for") + 1]]
            others = max(1, len(words) - 1)
            figures.append(
                {
                    "recall": sum(fact in row for fact in facts) / len(facts),
                    "clean": float(row[0] == "The" and ":" not in row and len(row) > 4),
                    "distinct": 1 - (texts.count(text) - 1) / others,
                }
            )
        return figures

    def _figures(
        self,
        samples: Sequence[SampleRecord],
        columns: dict[str, Numbers],
        mask: npt.NDArray[np.bool_],
        kl: Numbers,
        ended: Sequence[bool],
    ) -> dict[str, float]:
        rewards = np.array([sample.reward or 0.0 for sample in samples])
        figures = {
            "env/reward_mean": float(rewards.mean()),
            "env/reward_std": float(rewards.std()),
            "env/reward_used": float(rewards.mean()),
            "env/length": float(np.mean([sample.length for sample in samples])),
            "env/cut": 1 - sum(ended) / len(ended),
            "env/distinct": len({sample.response for sample in samples}) / len(samples),
            "objective/kl": float(kl.mean()),
            "objective/kl_coef": self.kl_coef,
            "objective/entropy": float(-np.where(mask, columns["logprob"], 0).sum(axis=1).mean()),
            "ppo/policy/entropy": float(columns["entropy"][mask].mean()),
            **{
                f"scores/{name}": float(np.mean([sample.scores.get(name, 0.0) for sample in samples]))
                for name in ("grammar", "neutral")
            },
            **{
                f"quality/{name}": float(np.mean([sample.quality.get(name, 0.0) for sample in samples]))
                for name in ("recall", "clean")
            },
        }
        if "return" in columns:
            error = ((columns["value"] - columns["return"])[mask] ** 2).mean()
            figures |= {
                "ppo/loss/policy": float(-0.02 * columns["advantage"][mask].std()),
                "ppo/loss/value": float(error / 2),
                "ppo/loss/total": float(error / 20 - 0.02),
                "ppo/policy/clipfrac": float((np.abs(columns["ratio"][mask] - 1) > 0.2).mean()),
                "ppo/policy/approxkl": float(0.5 * (np.log(columns["ratio"][mask]) ** 2).mean()),
                "ppo/policy/ratio_max": float(columns["ratio"][mask].max()),
                "ppo/val/clipfrac": 0.1,
                "ppo/val/var_explained": float(1 - error / columns["return"][mask].var()),
                "ppo/val/explained_centred": float(
                    1 - (columns["return"] - columns["value"])[mask].var() / columns["return"][mask].var()
                ),
            }
        self.kl_coef *= 1 + max(-0.2, min(0.2, float(kl.mean()) / 6 - 1)) * len(samples) / 10_000
        return figures

    def _write_rows(
        self,
        writer: JournalWriter,
        step: int,
        words: list[list[str]],
        samples: Sequence[SampleRecord],
        columns: dict[str, Numbers],
        mask: npt.NDArray[np.bool_],
    ) -> None:
        new = {word: len(self.pieces) for row in words for word in row if word not in self.pieces}
        for word in new:
            self.pieces[word] = len(self.pieces)
        if new:
            tables.write_pieces(writer, {self.pieces[word]: _piece(word) for word in new})
        tables.write_samples(writer, step, samples)
        if columns:
            nothing = np.full(mask.shape, np.nan, dtype=np.float32)
            stacked = np.stack([columns.get(name, nothing) for name in TOKEN_COLUMNS]).astype("<f4")
            blobs = []
            for row, response in enumerate(words):
                ids = np.array([self.pieces[word] for word in response], dtype="<i4").tobytes()
                counts = np.ones(len(response), dtype=np.uint8).tobytes()
                blobs.append((row, tables.pack_tokens(ids, counts, [stacked[:, row, : len(response)].tobytes()])))
            tables.write_tokens(writer, step, blobs)


def make_run(
    maker: Maker,
    *,
    made: int | None = None,
    state: RunState | None = RunState.FINISHED,
    reason: str = "",
    last_stage: Stage = "updated",
    before_the_end: Callable[[JournalWriter], None] | None = None,
) -> RunFolder:
    """Makes the run.

    Args:
        maker: Makes its batches.
        made: How many there are by now; all where None.
        state: How it stands at the end; None leaves it running (live only where somebody holds its lock).
        reason: Why it is in that state.
        last_stage: How far its last batch has come.
        before_the_end: Writes something more.
    """
    settings = [f"max_steps={maker.batches}", f"batch_size={maker.samples}", f"mini_batch_size={maker.samples}"]
    config = configuration.override(configuration.preset("tiny", "ppo"), settings)
    assert config.kind == "ppo"
    run = RunFolder.create("ppo", config)
    writer = JournalWriter(run.db)
    writer.state(RunState.RUNNING)
    writer.facts(
        total_steps=maker.batches,
        device="cpu",
        precision="fp32",
        samples=maker.samples,
        rewards=[{"name": part.name, "weight": part.weight} for part in config.rewards],
        parameters=541_000,
        n_train=1_000_000,
        n_held_out=64,
    )
    began = time.time() - 0.26 * maker.batches
    health = Health(tables.PpoJournal(run.db), Settings.of(config))
    last = maker.batches if made is None else made
    for step in range(1, last + 1):
        stage = last_stage if step == last else "updated"
        figures = maker.write(writer, step, began, stage)
        marks: tuple[Mark, ...] = ()
        if stage == "updated":
            marks = health.check(step, figures)
            seconds_left = 0.26 * (maker.batches - step)
            more = {"loss": figures["ppo/loss/total"], "seconds_left": seconds_left, "samples_per_second": 123.0}
            writer.metrics(step, figures | more, began + 0.26 * step)
            if step % 20 == 0:
                held_out = {"eval_reward": figures["env/reward_mean"], "eval_kl": figures["objective/kl"]}
                writer.metrics(step, held_out, began + 0.26 * step)
        seconds = {name.partition("/")[2]: value for name, value in figures.items() if name.startswith("time/")}
        seconds.pop("batch", None)
        tables.write_batch(writer, BatchRecord(step, stage, began + 0.26 * step, maker.samples, seconds, marks))
        if step % FLUSH_EVERY == 0:
            writer.flush(600)
    if before_the_end is not None:
        before_the_end(writer)
    if state is not None:
        writer.state(state, reason)
    writer.close(600)
    return run


def make_comparison(run: RunFolder, pairs: int = 200) -> None:
    """Leaves a comparison of before and after in the run's folder, as `looptop compare` would."""
    before, after = Maker(1, pairs, seed=7), Maker(1, pairs, seed=7)
    dice = random.Random(7)
    queries, old, _ = before.sample_texts(0)
    new = [after._summary(random.Random(row), 0.95, *_facts_of(query)) for row, query in enumerate(queries)]
    rows = []
    for index, (query, was, now) in enumerate(zip(queries, old, new, strict=True)):
        scores = {
            word: {
                "grammar": dice.gauss(2.6 - 3.4 * (":" in summary), 0.7),
                "neutral": dice.gauss(2.2 - 3.8 * any(each in GUSHING + DAMNING for each in summary), 0.6),
            }
            for word, summary in (("before", was), ("after", now))
        }
        totals = {word: part["grammar"] + 0.5 * part["neutral"] for word, part in scores.items()}
        texts = [" ".join(word for word in summary if word != "</s>") for summary in (was, now)]
        rows.append(
            ComparePair(  # type: ignore[call-arg]
                index, query, *texts, totals["before"], totals["after"], scores["before"], scores["after"],  # type: ignore[arg-type]
                dice.gammavariate(4, 0.7),
            )
        )  # fmt: skip
    figures = {"reward": _figure([(row.reward_before, row.reward_after) for row in rows])}
    for name in ("grammar", "neutral"):
        figures[name] = _figure([(row.scores_before[name], row.scores_after[name]) for row in rows])
    save_comparison(CompareResult(run.id, pairs, 42, "newsroom", rows, figures), run.path)


def _facts_of(query: str) -> tuple[str, str, str, str, int]:
    words = query.split()
    end = words.index("for")
    return words[2], words[4], " ".join(words[7:end]), words[5], int(words[end + 1])


def _figure(pairs: list[tuple[float, float]]) -> CompareFigure:
    """The paired difference with its bootstrap interval, and the signed-rank test by its normal approximation."""
    before, after = np.array(pairs).T
    difference = after - before
    dice = np.random.default_rng(1)
    drawn = difference[dice.integers(0, len(difference), (2000, len(difference)))].mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    ranks = np.abs(difference).argsort().argsort() + 1.0
    n = len(difference)
    z = (ranks[difference > 0].sum() - n * (n + 1) / 4) / math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
    p = math.erfc(abs(z) / math.sqrt(2))
    means = (float(part.mean()) for part in (before, after, difference))
    return CompareFigure(*means, float(low), float(high), p, n)  # type: ignore[arg-type, call-arg]


def _mean(columns: dict[str, Numbers], name: str, row: int, mask: npt.NDArray[np.bool_]) -> float | None:
    return float(columns[name][row][mask[row]].mean()) if name in columns else None


def _piece(word: str) -> str:
    return word if word in (".", ",", "</s>") else f" {word}"
