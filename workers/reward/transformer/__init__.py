"""The transformer: a Hugging Face sequence classifier with one output, trained on pairs.

Read in this order: ``losses``, ``objective``, ``heads``, ``template`` (text to tokens), ``trees``, ``attention``,
``layers``, ``plan``, ``batches``, ``pooling``, ``packed``, ``build``, ``adapters``, ``optimizer``, ``loop``,
``checkpoint``, ``train``, ``inference``, ``scorer``. Over several processes: ``distributed``, ``sharding``,
``sequence``. Beside them: ``preview`` (what the model reads) and ``vllm``.
"""
