"""REST addresses of review."""

from django.urls import path

from labeling.api import history, review

PROJECT = "projects/<slug:slug>"
COMPARISON = f"{PROJECT}/comparisons/<int:pk>"

urlpatterns = [
    path(f"{PROJECT}/review", review.ReviewView.as_view(), name="api-review"),
    path(f"{COMPARISON}/adjudication", review.AdjudicationView.as_view(), name="api-adjudication"),
    path(f"{COMPARISON}/send-back", review.SendBackView.as_view(), name="api-send-back"),
    path(f"{COMPARISON}/comments", history.CommentsView.as_view(), name="api-comments"),
    path(f"{PROJECT}/comments/<uuid:uid>", history.CommentView.as_view(), name="api-comment"),
    path(f"{COMPARISON}/history", history.HistoryView.as_view(), name="api-history"),
]
