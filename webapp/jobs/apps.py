from django.apps import AppConfig
from django.core.checks import register
from django.utils.translation import gettext_lazy as _


class JobsConfig(AppConfig):
    name = "webapp.jobs"
    label = "jobs"
    verbose_name = _("Jobs")

    def ready(self) -> None:
        from webapp.jobs.kinds import check_job_kinds

        register(check_job_kinds)
