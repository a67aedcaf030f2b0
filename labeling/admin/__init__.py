"""Operators' view of labeling. What services write is read-only."""

from labeling.admin import items, labels, projects, review

__all__ = ["items", "labels", "projects", "review"]
