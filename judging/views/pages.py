"""Judges: the list, a new one, a judge's page, its versions, runs and training."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from judging.access import judge_for, version_for
from judging.forms import JudgeForm, RunForm, TrainForm, VersionForm, version_initial
from judging.models import Endpoint, EngineKind, JudgeRun, JudgeVersion, Verdict
from judging.selectors.judges import judge_rows, run_rows
from judging.selectors.report import judge_report
from judging.services.judges import judge_create, judge_delete, judge_version_create
from judging.services.runs import run_start
from judging.services.training_start import judge_training_start
from labeling.access import Capability, project_for, reveals_record
from labeling.items.filters import ItemFilterError, filter_from_text
from labeling.models import Project
from labeling.pages import project_context
from labeling.selectors.agreement import project_agreement
from labeling.selectors.reveals import out_of_hand
from webapp.jobs.models import ACTIVE_STATES, Job
from webapp.users.models import User

PAGE_SIZE = 25
SECTION = "judges"


def person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


@login_required
@require_safe
def judge_list(request: HttpRequest, slug: str) -> HttpResponse:
    project = project_for(request.user, slug, Capability.VIEW)
    context = project_context(request, project, SECTION)
    training = Job.objects.filter(project_id=project.pk, kind="judge.train_local", state__in=ACTIVE_STATES)
    return render(
        request,
        "judging/list.html",
        context
        | {
            "rows": judge_rows(project),
            "endpoints": Endpoint.objects.filter(project=project),
            "train_form": TrainForm(project=project) if context["may_manage"] else None,
            "training_jobs": list(training.order_by("-pk")[:5]),
            "engines": EngineKind.choices,
            "filter_query": urlencode({"filter": filter_asked_for(request)})
            if filter_asked_for(request)
            else "",
        },
    )


def filter_asked_for(request: HttpRequest) -> str:
    """A filter of comparisons that came along to be judged, as JSON; "" for none, and for one that cannot be read."""
    text = request.GET.get("filter") or request.POST.get("filter") or ""
    try:
        return filter_from_text(text).to_text() if text else ""
    except ItemFilterError:
        return ""


@login_required
@require_http_methods(["GET", "POST"])
def judge_new(request: HttpRequest, slug: str, engine: str) -> HttpResponse:
    project = project_for(request.user, slug, Capability.MANAGE)
    if engine not in EngineKind.values:
        raise Http404
    form = JudgeForm(request.POST or None, project=project, engine=engine)
    if request.method == "POST" and form.is_valid():
        try:
            version = judge_create(
                project=project,
                name=form.cleaned_data["name"],
                spec=form.spec(),
                created_by=person(request),
            )
        except ValidationError as error:
            form.apply(error)
        else:
            return redirect("judging:judge-detail", slug, version.judge.uid)
    context = {
        "form": form,
        "engine": EngineKind(engine),
        "engines": EngineKind.choices,
        "has_endpoints": Endpoint.objects.filter(project=project).exists(),
    }
    return render(request, "judging/new.html", project_context(request, project, SECTION) | context)


@login_required
@require_safe
def judge_detail(request: HttpRequest, slug: str, uid: UUID, number: int | None = None) -> HttpResponse:
    """One version's page; the newest without a number."""
    judge = judge_for(request.user, slug, uid)
    if number is None:
        number = judge.versions.order_by("-number").values_list("number", flat=True).first() or 0
    version = version_for(request.user, slug, uid, number)
    context = project_context(request, judge.project, SECTION)
    return render(request, "judging/detail.html", context | _detail(request, version))


def _detail(request: HttpRequest, version: JudgeVersion) -> dict[str, Any]:
    project = version.judge.project
    runs = JudgeRun.objects.filter(judge_version=version).select_related("created_by").order_by("-id")[:10]
    shown = Verdict.objects.filter(out_of_hand(person(request), project), judge_version=version)
    verdicts = shown.select_related("comparison").order_by("-id")
    status = request.GET.get("status", "")
    if status:
        verdicts = verdicts.filter(status=status)
    page = Paginator(verdicts, PAGE_SIZE).get_page(request.GET.get("page"))
    reveals_record(person(request), {verdict.comparison for verdict in page})
    return {
        "judge": version.judge,
        "version": version,
        "versions": list(version.judge.versions.order_by("-number")),
        "report": judge_report(version),
        "people": project_agreement(project).pairwise,
        "run_rows": run_rows(list(runs)),
        "run_form": RunForm(project=project, filter_json=filter_asked_for(request)),
        "verdicts": page,
        "status": status,
    }


@login_required
@require_http_methods(["GET", "POST"])
def version_new(request: HttpRequest, slug: str, uid: UUID, number: int) -> HttpResponse:
    """The next version, starting from version `number`."""
    version = version_for(request.user, slug, uid, number, Capability.MANAGE)
    project = version.judge.project
    form = VersionForm(
        request.POST or None, project=project, engine=version.engine, initial=version_initial(version)
    )
    if request.method == "POST" and form.is_valid():
        try:
            made = judge_version_create(judge=version.judge, spec=form.spec(), created_by=person(request))
        except ValidationError as error:
            form.apply(error)
        else:
            return redirect("judging:version-detail", slug, uid, made.number)
    context = {"form": form, "version": version, "judge": version.judge}
    return render(request, "judging/version_new.html", project_context(request, project, SECTION) | context)


@login_required
@require_POST
def run_new(request: HttpRequest, slug: str, uid: UUID, number: int) -> HttpResponse:
    version = version_for(request.user, slug, uid, number, Capability.MANAGE)
    form = RunForm(request.POST, project=version.judge.project, filter_json=filter_asked_for(request))
    if form.is_valid():
        try:
            run_start(version=version, selection=form.selection(), created_by=person(request))
            messages.success(request, _("The run has begun."))
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
    else:
        messages.error(request, _("Choose which comparisons to judge."))
    return redirect("judging:version-detail", slug, uid, number)


@login_required
@require_POST
def judge_train(request: HttpRequest, slug: str) -> HttpResponse:
    project: Project = project_for(request.user, slug, Capability.MANAGE)
    form = TrainForm(request.POST, project=project)
    if form.is_valid():
        judge_training_start(
            project=project,
            name=form.cleaned_data["name"],
            snapshot=form.cleaned_data["snapshot"],
            created_by=person(request),
        )
        messages.success(request, _("The training has begun. The judge appears here when it is done."))
    else:
        messages.error(request, _("Give the judge a name and choose a snapshot."))
    return redirect("judging:judge-list", slug)


@login_required
@require_POST
def judge_remove(request: HttpRequest, slug: str, uid: UUID) -> HttpResponse:
    judge = judge_for(request.user, slug, uid, Capability.MANAGE)
    name = judge.name
    judge_delete(judge, actor=person(request))
    messages.success(request, _("%(name)s and its verdicts were removed.") % {"name": name})
    return redirect("judging:judge-list", slug)
