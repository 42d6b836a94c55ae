"""The list of the app's notices, which are short messages over a screen; forgets those that are about to expire."""

from __future__ import annotations

from textual.notifications import Notifications

MIN_SECONDS_LEFT = 0.5
"""A notice with less than this left is forgotten, on every screen."""


class Notices(Notifications):
    """The notices of the app.

    Textual shows every notice again on a screen that is opened or returned to, for the time that it has left. If none
    is left when the notice starts its timer, Textual's timer repeats forever without ever waiting, and the app hangs.
    """

    def _reap(self) -> Notices:
        """Forgets notices that have expired, or are about to."""
        for notice in list(self._notifications.values()):
            if notice.time_left < MIN_SECONDS_LEFT:
                del self._notifications[notice.identity]
        return self
