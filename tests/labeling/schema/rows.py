"""One row in every table of labeling."""

from __future__ import annotations

from django.utils import timezone

from labeling.models import (
    Adjudication,
    Assignment,
    Batch,
    BatchPerson,
    Comment,
    CommentMention,
    Disagreement,
    Import,
    Invitation,
    ItemDeed,
    ItemFacet,
    Ranking,
    RankingTask,
    ReliabilityFit,
    Reveal,
    SavedFilter,
    SearchText,
    SentBack,
    Snapshot,
    SnapshotDiff,
    Voice,
)
from labeling.services.resolution import resolve_comparisons
from tests.factories import Team, make_comparison, make_labeler, make_preference, make_response, make_team


def fill_every_table() -> Team:
    """A project whose manager has put something into each table; two votes differ, one is part of a ranking."""
    team = make_team(overlap=3)
    project, now, manager = team.project, timezone.now(), team.manager
    comparison = make_comparison(project, gold_outcome="a", use="gold")
    prompt, labeler = comparison.prompt, make_labeler(project, user=team.labeler)
    by = {"project": project, "comparison": comparison}
    Invitation.objects.create(project=project, token_hash="x", invited_by=manager, expires_at=now)
    Import.objects.create(project=project, file_name="f", path="p", size_bytes=1, sha256="s")
    batch = Batch.objects.create(project=project, name="medical", deadline=now, created_by=manager)
    BatchPerson.objects.create(batch=batch, labeler=labeler)
    make_comparison(project, batch=batch)
    rewrite = make_response(prompt)
    type(rewrite).objects.filter(pk=rewrite.pk).update(parent=comparison.response_a, author=labeler)
    Assignment.objects.create(
        comparison=comparison, labeler=labeler, swapped=False, drawn="ranking", lease_expires_at=now
    )
    task = RankingTask.objects.create(project=project, prompt=prompt, labeler=labeler, lease_expires_at=now)
    ranking = Ranking.objects.create(
        project=project, prompt=prompt, labeler=labeler, task=task, source="web", created_at=now
    )
    make_preference(
        comparison, labeler, "a", ranking=ranking, spans=[{"quote": "x"}], aspect_strengths={"safe": 3}
    )
    make_preference(comparison, outcome="b")
    resolve_comparisons([comparison.pk])
    Reveal.objects.create(user=manager, comparison=comparison)
    Voice.objects.create(**by, kind="judge", source="j", name="Judge v1", outcome="a", p_a=0.9)
    Disagreement.objects.create(**by, kind="people", size=1.0)
    Adjudication.objects.create(**by, reviewer=manager, outcome="a", strength=2, reason="Because.")
    SentBack.objects.create(**by, actor=manager, to="others", more=1, note="n")
    ItemDeed.objects.create(comparison=comparison, actor=manager, kind="priority", value=2.0)
    comment = Comment.objects.create(**by, author=manager, text="@viewer is this right?")
    CommentMention.objects.create(comment=comment, user=team.viewer)
    older, newer = (Snapshot.objects.create(project=project, number=number) for number in (1, 2))
    SnapshotDiff.objects.create(project=project, older=older, newer=newer)
    SearchText.objects.create(prompt=prompt, project=project, words=" one two ")
    ItemFacet.objects.create(**by, kind="model", value="alpha-7b")
    SavedFilter.objects.create(project=project, owner=manager, name="hard", query={"state": "review"})
    ReliabilityFit.objects.create(project=project, log_likelihood=-1.5)
    return team
