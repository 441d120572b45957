"""What the trainers of the tiny encoders share: rendered rooms, their windows and captions, and measurements."""
