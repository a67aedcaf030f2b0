"""Addresses of the list of comparisons, its filters and bulk actions."""

from django.urls import path

from labeling.views import bulk, items

LIST = "projects/<slug:slug>/comparisons"

urlpatterns = [
    path(f"{LIST}/", items.comparison_list, name="comparison-list"),
    path(f"{LIST}/filters/", items.saved_filter_new, name="saved-filter-new"),
    path(f"{LIST}/filters/<int:pk>/", items.saved_filter_change, name="saved-filter"),
    path(f"{LIST}/bulk/", bulk.bulk, name="comparisons-bulk"),
]
