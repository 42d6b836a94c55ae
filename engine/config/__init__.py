"""The configuration of a run: typed, read from TOML, checked as it is read, and enough to start the run again.

- `vqa`, `ppo`, `reward` the settings of each kind of run; `training` and `types` what they share
- `settings` reads presets, files and `key=value` arguments; `versions` renames the settings of older files
- `setting_keys` lists the keys that can be typed; `validation_messages` says what is wrong with a value
- `differences` compares configurations
- `catalogue` lists everything that can be set, `meanings` what each setting means
"""

from looptop.engine.config.setting_keys import keys as keys
from looptop.engine.config.settings import KINDS as KINDS
from looptop.engine.config.settings import RunConfig as RunConfig
from looptop.engine.config.settings import dump as dump
from looptop.engine.config.settings import from_dict as from_dict
from looptop.engine.config.settings import load as load
from looptop.engine.config.settings import loads as loads
from looptop.engine.config.settings import override as override
from looptop.engine.config.settings import preset as preset
from looptop.engine.config.settings import presets as presets
from looptop.engine.config.settings import save as save
from looptop.engine.config.settings import to_dict as to_dict
