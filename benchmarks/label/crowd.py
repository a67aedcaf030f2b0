"""One process of the crowd (see `database.crowd`): python -m benchmarks.label.crowd SLUG CLIENTS NUMBER"""

from __future__ import annotations

import sys

import django


def main(slug: str, clients: str, number: str) -> None:
    django.setup()
    from benchmarks.label.database import label_to_the_end

    label_to_the_end(slug, int(clients), int(number))


if __name__ == "__main__":
    main(*sys.argv[1:])
