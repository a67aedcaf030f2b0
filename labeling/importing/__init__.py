"""Import: files of prompts, responses and labels become comparisons and preferences.

The reading half (`problems`, `sources`, `json_array`, `reader`, `records`, `fields`, `layouts`, `scan`) is
pure Python: bytes in, records or problems out, in constant memory. The writing half (`services`, `tasks`,
`views`, `api`) puts records in the database and shows them to people.
"""
