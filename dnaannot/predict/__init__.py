"""Prediction: sequences in, scored values out."""
