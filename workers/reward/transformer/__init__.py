"""The transformer: a Hugging Face sequence classifier with one output, trained on pairs.

Read in this order: ``losses``, ``template`` (text to tokens), ``batches``, ``pooling``, ``build``, ``loop``,
``checkpoint``, ``train``, ``scorer``.
"""
