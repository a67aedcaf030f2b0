"""The transformer: a Hugging Face sequence classifier with one output, trained on pairs.

Read in this order: ``losses``, ``objective``, ``heads``, ``template`` (text to tokens), ``trees``, ``attention``,
``plan``, ``batches``, ``pooling``, ``packed``, ``build``, ``loop``, ``checkpoint``, ``train``, ``inference``, ``scorer``.
"""
