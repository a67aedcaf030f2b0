"""Items: the comparisons of a project as people look for them, page through them and treat many at once."""
