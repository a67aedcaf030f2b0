"""Addresses of one comparison and its review."""

from django.urls import path

from labeling.views import again, history, review, review_acts

PROJECT = "projects/<slug:slug>"
COMPARISON = f"{PROJECT}/comparisons/<int:pk>"

urlpatterns = [
    path(f"{PROJECT}/review/", review.review_queue, name="review"),
    path(f"{PROJECT}/review/<int:pk>/", review.review_desk, name="review-desk"),
    path(f"{COMPARISON}/", history.comparison_detail, name="comparison"),
    path(f"{COMPARISON}/adjudicate", review_acts.adjudication, name="adjudicate"),
    path(f"{COMPARISON}/withdraw", review_acts.withdrawal, name="withdraw"),
    path(f"{COMPARISON}/send-back", review_acts.sending_back, name="send-back"),
    path(f"{COMPARISON}/comments", review_acts.comment_new, name="comment"),
    path(f"{PROJECT}/comments/<uuid:uid>/delete", review_acts.comment_remove, name="comment-delete"),
    path(f"{PROJECT}/again/<uuid:uid>/", again.label_again, name="label-again"),
]
