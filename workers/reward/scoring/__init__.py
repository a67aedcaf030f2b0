"""Scoring files of responses: resumable, in bounded memory.

Read in this order: ``source`` (rows to responses), ``parts`` (files of scores), ``run``.
"""

from .run import FileScores, score_file

__all__ = ["FileScores", "score_file"]
