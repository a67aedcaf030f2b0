"""REST addresses of this storey."""

from django.urls import path

from workers.api import evaluating, scores, views

urlpatterns = [
    path("projects/<slug:slug>/training-runs", views.TrainingRunsView.as_view()),
    path("projects/<slug:slug>/training-runs/<int:pk>", views.TrainingRunView.as_view()),
    path("projects/<slug:slug>/reward-models", views.RewardModelsView.as_view()),
    path("projects/<slug:slug>/reward-models/rollback", views.RollbackView.as_view()),
    path("projects/<slug:slug>/reward-models/score", views.RescoreView.as_view()),
    path("projects/<slug:slug>/reward-models/<int:number>", views.RewardModelView.as_view()),
    path("projects/<slug:slug>/reward-models/<int:number>/promote", views.PromoteView.as_view()),
    path("projects/<slug:slug>/reward-models/<int:number>/evaluation", evaluating.EvaluationView.as_view()),
    path("projects/<slug:slug>/reward-models/compare", evaluating.CompareView.as_view()),
    path("projects/<slug:slug>/reward-models/preview", evaluating.PreviewView.as_view()),
    path("projects/<slug:slug>/reward-models/preview/<uuid:uid>", evaluating.PreviewResultView.as_view()),
    path("projects/<slug:slug>/reward-models/<int:number>/scores", scores.ScoresFileView.as_view()),
    path("projects/<slug:slug>/scores", views.ScoresView.as_view()),
    path("projects/<slug:slug>/comparisons/<int:pk>/score", views.OpinionView.as_view()),
    path("projects/<slug:slug>/retrain-policy", views.PolicyView.as_view()),
]
