"""The PPO screen: the data that it reads, and the pages that show it.

- `screen` owns `navigation` (which batch, sample and token), `controls` (what changes the run) and `saving`
- `snapshot` the data of a run; `batch_reader` of one batch; `batch_rows` the rows of the batch list, loaded when shown
- `screen_widgets` holds all widgets: `run_page` (charts and batches), `batch_page`, `sample_page`, `token_page`,
  `before_after_page`; `comparer` starts the comparison that the last one shows
- `charts` which curves are drawn; `columns` the columns of the tables; `text` and `sample_text` lines of text
- `shading` colours and signs of tokens; `differences` what differs between two texts
"""
