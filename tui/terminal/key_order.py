"""Makes keys act in the order in which they were typed.

Textual passes a key to the widget with the focus, from which it goes up to the app, whose bindings act on it last. A
key that comes at the same moment is passed on before the first key has moved the focus or opened a screen. If `a` and
`q` arrive together, on a slow link, the `q` then quits instead of being typed into the field that `a` opens.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from textual.app import App
from textual.events import Event, Key, Paste
from textual.message import Message
from textual.message_pump import MessagePump
from textual.widget import Widget

from looptop.tui.actions import actions_of

KEY_TIMEOUT = 2.0
"""Seconds after which the next key acts, even if the previous one has not finished."""

MAX_ROUNDS = 6
"""How many rounds of messages, each set off by the round before, a key may cause before the next key acts."""

WORK_TIMEOUT = 0.5
"""Seconds that the next key waits for what a key reads from files: a disk that does not answer holds it up so long."""

QUIT_KEYS = {key for action in actions_of(["app"]) if action.name == "quit_now" for key in action.keys.split(",")}


class KeyDone(Message):
    """Follows a key up to the app. When it arrives there, the key has acted."""

    def __init__(self, arrived: asyncio.Event) -> None:
        super().__init__()
        self.arrived = arrived


class KeyOrder:
    """Holds each key and each paste back until the previous one has acted."""

    def __init__(self, app: App[Any]) -> None:
        self._app = app
        self._waiting: deque[Event] = deque()
        self._turn: Event | None = None
        self._busy = False
        self._following: asyncio.Task[None] | None = None
        self._work: set[asyncio.Future[None]] = set()

    def wait_for(self, done: asyncio.Future[None]) -> None:
        """Holds the next key back until work that a key has begun in a thread is done, but for a moment at most."""
        self._work.add(done)
        done.add_done_callback(self._work.discard)

    async def take(self, event: Event, deliver: Callable[[Event], Awaitable[None]]) -> None:
        """Delivers an event now, or keeps it and posts it to the app again when its turn comes."""
        if isinstance(event, Key) and event.key in QUIT_KEYS:
            await deliver(event)
            return
        if self._busy and event is not self._turn:
            self._waiting.append(event)
            return
        self._busy = True
        target = self._target()
        await deliver(event)
        if (
            isinstance(event, Key)
            and isinstance(target, Widget)
            and target.check_consume_key(event.key, event.character)
        ):
            self._next()  # Text for a field: a field handles its keys in order itself.
        else:
            self._following = asyncio.create_task(self._follow(target))

    def _target(self) -> MessagePump:
        """The widget, screen or app that gets an event now."""
        stack = self._app.screen_stack
        return self._app.focused or (stack[-1] if stack else self._app)

    async def _follow(self, target: MessagePump) -> None:
        seen: MessagePump | None = None
        for _ in range(MAX_ROUNDS):
            # At least twice: a message that the key makes a widget post arrives after the first.
            await self._acted(target)
            if self._work:
                await asyncio.wait(self._work, timeout=WORK_TIMEOUT)
                self._work.clear()
                seen = None
            target = self._target()
            if target is seen:
                break
            seen = target
        self._next()

    def _next(self) -> None:
        self._busy = bool(self._waiting)
        if self._waiting:
            self._turn = self._waiting.popleft()
            self._app.post_message(self._turn)

    async def _acted(self, target: MessagePump) -> None:
        arrived = asyncio.Event()
        task = target._task
        if not target.post_message(KeyDone(arrived)):  # The target has been closed.
            self._app.post_message(KeyDone(arrived))
            task = None
        # A closing target drops the messages on their way up, so its end counts as arrival, too.
        arrival = asyncio.create_task(arrived.wait())
        ends = [arrival] if task is None else [arrival, task]
        await asyncio.wait(ends, timeout=KEY_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        arrival.cancel()


def is_key_input(event: Event) -> bool:
    """Whether the event comes from the keyboard and has not been forwarded yet."""
    return isinstance(event, Key | Paste) and not event.is_forwarded
