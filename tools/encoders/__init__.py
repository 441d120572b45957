"""What the trainers of the tiny encoders share: the corpus of rendered rooms, its windows, captions and measurements."""
