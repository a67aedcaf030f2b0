"""The events that a webhook can ask for, by the name that goes out as `type`."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

TEST = "webhook.test"
KINDS = (
    ("label.created", _("A label was given, or a comparison skipped")),
    ("label.changed", _("A label was changed")),
    ("label.withdrawn", _("A label was undone")),
    ("resolution.changed", _("A comparison's settled outcome or its votes changed")),
    ("snapshot.ready", _("A snapshot is ready")),
    ("snapshot.failed", _("A snapshot failed")),
    ("model.trained", _("A reward model was trained")),
    ("model.promoted", _("A reward model became champion")),
    ("model.refused", _("The gate refused a reward model")),
    ("model.rolled_back", _("An earlier champion was taken back")),
    ("model.stale", _("Labels that a reward model was trained on were revised")),
)
NAMES = frozenset(name for name, _words in KINDS)
