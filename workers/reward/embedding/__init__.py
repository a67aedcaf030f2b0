"""A linear Bradley-Terry head on the states of a frozen backbone, which are kept between trainings.

Read in this order: ``embed`` (text to states), ``cache``, ``train``, ``model``.
"""
