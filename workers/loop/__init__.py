"""Once round the loop without a browser: what `manage.py close_loop` and the demo run."""
