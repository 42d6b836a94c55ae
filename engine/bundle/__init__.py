"""Rebuilds the bundled models: `python -m looptop.engine.bundle PART`, one module a part.

- `image_encoder` a small ViT that was taught on generated images to tell shape and color
- `text_encoder` a small DistilBERT that was taught on questions alone what they ask for
- `decoder` a small GPT-2 that was taught on answers alone to write one and stop
- `vqa` the finished model: the preset `tiny` run to its end, from those three

The first three are what the preset `tiny` starts from, as the book starts from DINO, DistilBERT and GPT-2. None of them
has seen an image together with its question and answer, and none has seen the benchmark's images. Seeds are fixed; the
figures on each card are measured at the end of its build. It takes about ten minutes on two cores.
"""
