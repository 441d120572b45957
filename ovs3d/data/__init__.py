"""Scenes on disk: photographs, cameras, words, labels, and the tables that training draws its rays from."""
