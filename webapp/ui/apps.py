from __future__ import annotations

import json
from typing import Any

from django.apps import AppConfig
from django.utils.html import format_html
from django.utils.safestring import SafeString


def plain_json(value: Any, encoder: type[json.JSONEncoder] | None) -> SafeString:
    """A JSON field of the admin as indented text, without the style attributes that the policy forbids."""
    text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, cls=encoder)
    return format_html('<pre class="json">{}</pre>', text)


class UiConfig(AppConfig):
    name = "webapp.ui"
    label = "ui"

    def ready(self) -> None:
        from unfold import fields

        fields.prettify_json = plain_json
