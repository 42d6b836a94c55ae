"""Reads questions, images and answers from easy-VQA, VQA v2, tables and prepared data sets."""
