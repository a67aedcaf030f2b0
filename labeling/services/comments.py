"""Comments on a comparison, and who is told of them."""

from __future__ import annotations

import re

from django.core.exceptions import ValidationError
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from labeling.access import Capability
from labeling.models import Comment, CommentMention, Comparison
from labeling.texts import clean_text
from webapp.jobs.messages import message
from webapp.notices.services import notice_send
from webapp.users.models import User

TEXT_MAX = 5000
MENTIONS_MAX = 20
CODE = re.compile(r"```.*?(?:```|\Z)|``.*?``|`[^`\n]*`", re.DOTALL)
# The characters of an account's name; not after a letter, so that an e-mail address names nobody.
NAME = re.compile(r"(?<![\w.+-])@([\w.+-]+)")


def names_in(text: str) -> list[str]:
    """Accounts that a text names by `@name`, in their order; names in code are code, a full stop ends a sentence."""
    names = [name.rstrip(".") for name in NAME.findall(CODE.sub(" ", text))]
    return list(dict.fromkeys(name for name in names if name))[:MENTIONS_MAX]


@transaction.atomic
def comment_create(*, comparison: Comparison, author: User, text: str) -> Comment:
    """A comment; members whom it names and who may see others' voices get a notice, which holds none of the text.

    Raises ValidationError.
    """
    text = clean_text(text)
    if not text:
        raise ValidationError({"text": _("Write something first.")})
    if len(text) > TEXT_MAX:
        raise ValidationError({"text": _("At most %(most)d characters.") % {"most": TEXT_MAX}})
    comment = Comment.objects.create(
        project_id=comparison.project_id, comparison=comparison, author=author, text=text
    )
    people = list(
        User.objects.filter(
            username__in=names_in(text),
            is_active=True,
            memberships__project_id=comparison.project_id,
            memberships__role__in=Capability.VIEW.value,
        ).order_by("pk")
    )
    CommentMention.objects.bulk_create(CommentMention(comment=comment, user=user) for user in people)
    notice_send(
        users=[user for user in people if user.pk != author.pk],
        kind="comment.mention",
        text=message(
            gettext_noop("%(person)s mentions you in a comment on comparison #%(number)d."),
            person=author,
            number=comparison.pk,
        ),
        url=reverse("labeling:comparison", args=[comparison.project.slug, comparison.pk]) + "#comments",
        project_id=comparison.project_id,
    )
    return comment


def comment_delete(*, comment: Comment) -> None:
    """Empty the comment; that there was one stays."""
    Comment.objects.filter(pk=comment.pk, deleted_at__isnull=True).update(text="", deleted_at=timezone.now())
