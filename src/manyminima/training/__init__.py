"""Collecting members while `model.fit` runs."""
