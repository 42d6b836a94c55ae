"""Alerts, raised where training goes wrong without failing: rules by subject, their sentences, what a run does then.

| file | subject |
|---|---|
| `losses`, `gradients`, `accuracy` | what the model learns, from the journal's metrics |
| `speed`, `resources` | the machine, measured while the run trains |
| `sentences` | what each alert says and what to try |
| `listener`, `reaction` | journals the alerts; pauses or stops the run |
"""

from looptop.engine.runs.alerts.accuracy import QUESTION_ONLY as QUESTION_ONLY
from looptop.engine.runs.alerts.accuracy import read_question_only as read_question_only
from looptop.engine.runs.alerts.listener import Alerts as Alerts
from looptop.engine.runs.alerts.records import AlertCode as AlertCode
