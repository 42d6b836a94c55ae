"""The PPO screen: what is read of a run, and the pages that show it.

- `screen` owns `navigation` (which batch, sample and token), `controls` (what changes the run) and `saving`
- `snapshot` a run as it stands now; `batch_data` one batch; `batches` rows of the list of batches, read when seen
- `pages` all widgets: `run_page` (charts and batches), `batch_page`, `sample_page`, `token_page`, `before_after_page`
- `charts` which curves are drawn; `columns` the columns of the tables; `text` and `sample_text` lines of text
- `shading` colours and signs of tokens; `differences` what differs between two texts
"""
