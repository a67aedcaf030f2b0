"""REST addresses of comparisons, saved filters and bulk actions."""

from django.urls import path

from labeling.api import bulk, items

PROJECT = "projects/<slug:slug>"

urlpatterns = [
    path(f"{PROJECT}/comparisons", items.ComparisonsView.as_view(), name="api-comparisons"),
    path(f"{PROJECT}/comparisons/bulk", bulk.BulkView.as_view(), name="api-comparisons-bulk"),
    path(f"{PROJECT}/comparisons/<int:pk>", items.ComparisonView.as_view(), name="api-comparison"),
    path(f"{PROJECT}/saved-filters", bulk.SavedFiltersView.as_view(), name="api-saved-filters"),
    path(f"{PROJECT}/saved-filters/<int:pk>", bulk.SavedFilterView.as_view(), name="api-saved-filter"),
]
