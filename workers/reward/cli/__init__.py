"""The command line: ``python -m workers.reward``. Read in this order: ``main``, ``settings``, ``commands``."""
