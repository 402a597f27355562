"""Corrections of label images: frozen values, and pure functions of a part that is cut out."""
