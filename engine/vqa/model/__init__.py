"""The VQA model and its parts, text and images as tensors, decoding, saved models, sizes and memory."""
