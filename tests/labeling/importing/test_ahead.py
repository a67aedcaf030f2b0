"""Reading ahead: the same things in the same order, one at a time, and errors where they belong."""

import threading

import pytest

from labeling.importing.ahead import ahead


def test_the_next_is_made_while_one_is_in_use():
    made = threading.Semaphore(0)

    def source():
        for number in range(4):
            yield number
            made.release()

    found = []
    for number in ahead(source()):
        found.append(number)
        assert made.acquire(timeout=10)  # it asked for the next one before this one was done with
    assert found == [0, 1, 2, 3]


def test_no_more_than_one_is_made_ahead():
    made = []
    for number in ahead(made.append(number) or number for number in range(9)):
        assert len(made) <= number + 2


def test_an_error_comes_behind_what_was_made_before_it():
    def source():
        yield 1
        raise ValueError("second")

    found = ahead(source())
    assert next(found) == 1
    with pytest.raises(ValueError, match="second"):
        next(found)


def test_leaving_early_ends_the_thread():
    found = ahead(iter(range(100)))
    next(found)
    found.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("import-ahead")]
    assert list(ahead([])) == []
