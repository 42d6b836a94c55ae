"""The parts of the PPO screen: what is read of a run, and what its pages show.

- `watching` the run as it stands now; `batches` the rows of the list of batches, read when they are seen
- `charts` what is drawn; `columns` the columns of the tables; `words` heads, samples and scores as text
- `shading` colours and signs of tokens; `differences` what differs between two texts
- the pages: `run_page` (charts and batches), `batch_page`, `sample_page`, `token_page`, `compare_page`
"""
