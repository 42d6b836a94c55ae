"""Visual question answering: model, data, training, answers, accuracy."""
