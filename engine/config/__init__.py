"""A run's whole configuration: typed, read from TOML, checked as it is read, enough to start the run again.

- `vqa`, `ppo`, `reward` what a run of each kind takes; `training` and `types` what they share
- `settings` presets, files and `key=value` words; `versions` what older files called it
"""

from looptop.engine.config.settings import KINDS as KINDS
from looptop.engine.config.settings import RunConfig as RunConfig
from looptop.engine.config.settings import dump as dump
from looptop.engine.config.settings import from_dict as from_dict
from looptop.engine.config.settings import keys as keys
from looptop.engine.config.settings import load as load
from looptop.engine.config.settings import override as override
from looptop.engine.config.settings import preset as preset
from looptop.engine.config.settings import presets as presets
from looptop.engine.config.settings import save as save
from looptop.engine.config.settings import to_dict as to_dict
