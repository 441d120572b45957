"""Questions to a scene: words, a picture, a click or a point become a vector, and one scorer answers all of them."""
