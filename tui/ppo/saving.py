"""What the PPO screen saves: a sample or its tokens to the clipboard, a batch as a file, the screen as a picture."""

from __future__ import annotations

from pathlib import Path

from looptop.engine.errors import LooptopError
from looptop.engine.text import counted, visible
from looptop.tui.ppo.navigation import Navigation
from looptop.tui.ppo.sample_text import sample_as_text, tokens_as_text
from looptop.tui.ppo.snapshot import ShownRun
from looptop.tui.screens.base import MainScreen


def copy(screen: MainScreen, shown: ShownRun, navigation: Navigation) -> None:
    """Copies the tokens on the screen, or else the sample."""
    chosen_sample, tokens, run = navigation.chosen_sample, navigation.chosen_tokens, shown.folder
    if run is None or chosen_sample is None:
        return
    if tokens is not None:
        screen.app.copy_to_clipboard(tokens_as_text(tokens))
        screen.show_status(f"copied as a table: {counted(len(tokens.ids), 'token')}", "$text-success")
    else:
        step, sample, reference, _ = chosen_sample
        screen.app.copy_to_clipboard(sample_as_text(run.id, step, sample, reference))
        screen.show_status(f"sample {sample.record.row} is copied", "$text-success")


def export_batch(screen: MainScreen, shown: ShownRun, navigation: Navigation) -> None:
    """Writes the batch on the screen to a file, and shows its path."""
    from looptop.engine.ppo.sample_export import write_batch_file

    run, step = shown.folder, navigation.chosen_step
    if run is None or step is None:
        return

    screen.services.fetch(
        lambda: write_batch_file(run, step), lambda path: screen.services.show_notice(f"batch {step} is in {path}")
    )


def save_picture(screen: MainScreen, shown: ShownRun, navigation: Navigation) -> None:
    """Saves the screen as an SVG picture, and shows its path."""
    from looptop.engine.files.exports import new_path
    from looptop.engine.files.private import write_private

    run = shown.folder
    name = f"{run.file_name}-batch-{navigation.chosen_step or 0}" if run is not None else "ppo"
    svg = screen.app.export_screenshot(title="looptop").encode()

    def write() -> Path:
        path = new_path(name, ".svg")
        try:
            write_private(path, svg)
        except OSError as error:
            raise LooptopError(f"the picture cannot be written: {error.strerror}") from None
        return path

    screen.services.fetch(write, lambda path: screen.services.show_notice(f"the screen is in {visible(path)}"))
