"""Forms of the project pages. Constraints live in the models; the forms add words."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.utils.functional import lazy
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _

from labeling.models import Project, Role
from labeling.scheme import SIDES_ONLY, WHY_CASES, Aspect, LabelScheme, read_scheme
from webapp.users.models import User
from webapp.users.passwords import password_help


class ProjectForm(forms.ModelForm):
    """A new project: a name is enough, everything else has a default that can be changed later."""

    class Meta:
        model = Project
        fields = ["name", "slug", "description"]
        widgets = {"description": forms.Textarea(attrs={"rows": 3})}
        help_texts = {"slug": _("Part of the web address. Left empty, it is made from the name.")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["slug"].required = False

    def clean_slug(self) -> str:
        slug: str = self.cleaned_data.get("slug") or slugify(
            self.cleaned_data.get("name", ""), allow_unicode=False
        )
        if not slug:
            raise forms.ValidationError(_("Write an address of Latin letters, digits and hyphens."))
        if Project.objects.filter(slug=slug).exists():
            raise forms.ValidationError(
                _("A project with this address exists already; choose another address.")
            )
        return slug


def aspect_line(aspect: Aspect) -> str:
    """One aspect as managers write it: key, name, and the steps of its bar where it has more than two sides."""
    steps = f": {aspect.steps}" if aspect.steps != SIDES_ONLY else ""
    return f"{aspect.key}: {aspect.name}{steps}"


def read_aspect(line: str) -> dict[str, Any]:
    """The aspect of such a line, for `read_scheme` to check. A name may hold colons itself."""
    key, _colon, name = (part.strip() for part in line.partition(":"))
    head, _last, steps = name.rpartition(":")
    if head.strip() and steps.strip().isascii() and steps.strip().isdigit():
        return {"key": key, "name": head.strip(), "steps": int(steps)}
    return {"key": key, "name": name or key}


class ProjectSettingsForm(forms.ModelForm):
    """Guidelines, label scheme and allocation of a project."""

    CHOICES = ("steps", "reasons_rule", "rationale", "screen")
    SWITCHES = ("allow_tie", "allow_both_bad", "rewrites", "spans")

    allow_tie = forms.BooleanField(label=_("A tie is allowed"), required=False)
    allow_both_bad = forms.BooleanField(label=_("“Both bad” is allowed"), required=False)
    steps = forms.TypedChoiceField(
        label=_("Steps of the bar"),
        coerce=int,
        required=False,
        choices=[
            (8, _("8: much, better, slightly, barely")),
            (6, _("6: much, better, slightly")),
            (4, _("4: much, slightly")),
            (2, _("2: A or B alone")),
        ],
    )
    aspects = forms.CharField(
        label=_("Aspects"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_(
            "One a line: key, colon, name. For example “safe: Safer”. For a bar of its own add its steps, "
            "2, 4, 6 or 8: “safe: Safer: 6”."
        ),
    )
    reasons = forms.CharField(
        label=_("Reason chips"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("One a line. For pairs: rankings have none."),
    )
    reasons_rule = forms.ChoiceField(
        label=_("Reasons"),
        required=False,
        choices=[
            ("optional", _("optional")),
            ("when", _("required for some answers")),
            ("required", _("required")),
        ],
    )
    rationale = forms.ChoiceField(
        label=_("Rationale"),
        choices=[
            ("optional", _("optional")),
            ("when", _("required for some answers")),
            ("required", _("required")),
            ("off", _("not asked")),
        ],
    )
    ask_when = forms.MultipleChoiceField(
        label=_("Answers that need a why"),
        required=False,
        choices=list(WHY_CASES.items()),
        widget=forms.CheckboxSelectMultiple,
        help_text=_(
            "For what is required for some answers. Told from the labeler's own answer alone. A ranking needs a "
            "rationale only where every answer does."
        ),
    )
    screen = forms.ChoiceField(
        label=_("Labelers"),
        required=False,
        choices=[
            ("pairs", _("compare pairs")),
            ("ranking", _("rank all responses of a prompt")),
            ("both", _("do either")),
        ],
        help_text=_(
            "The qualification, batches and what cannot be ranked are pairs for those who rank, too. Gold needs people"
            " who compare pairs as well."
        ),
    )
    rewrites = forms.BooleanField(label=_("Responses may be rewritten into better ones"), required=False)
    spans = forms.BooleanField(label=_("Passages may be marked as the reason"), required=False)

    class Meta:
        model = Project
        fields = [
            "name",
            "description",
            "guidelines",
            "overlap",
            "random_share",
            "lease_s",
            "skip_limit",
            "reveal_after_vote",
            "is_paused",
        ]
        widgets = {"description": forms.Textarea(attrs={"rows": 3})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        scheme: LabelScheme = read_scheme(self.instance.scheme)
        for name in self.CHOICES + self.SWITCHES:
            self.initial.setdefault(name, getattr(scheme, name))
        self.initial.setdefault("ask_when", scheme.ask_when)
        self.initial.setdefault("aspects", "\n".join(aspect_line(aspect) for aspect in scheme.aspects))
        self.initial.setdefault("reasons", "\n".join(scheme.reasons))

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if data.get("screen") == "ranking" and self.instance.gold_share > 0:
            self.add_error(
                "screen",
                _(
                    "A single pair among rankings would be known as gold. Set the gold share to 0 first, on the page"
                    " Gold and qualification, or let people do either."
                ),
            )
        # A choice that was not sent stays as it is.
        raw = self.instance.scheme | {name: data[name] for name in self.CHOICES if data.get(name)}
        raw |= {name: data.get(name, False) for name in self.SWITCHES}
        raw |= {
            "ask_when": data.get("ask_when", []),
            "aspects": [read_aspect(line) for line in data.get("aspects", "").splitlines() if line.strip()],
            "reasons": [line for line in data.get("reasons", "").splitlines() if line.strip()],
        }
        data["scheme"] = read_scheme(raw).to_json()
        return data

    def previewed(self) -> tuple[LabelScheme, list[str]]:
        """The label scheme as the form stands, whatever its other fields hold; the saved one, and why, where it is
        none."""
        names = (*self.CHOICES, *self.SWITCHES, "ask_when", "aspects", "reasons")
        texts = [text for name in names for text in self.errors.get(name, ())]
        problems = [str(text) for text in [*self.non_field_errors(), *texts]]
        scheme = getattr(self, "cleaned_data", {}).get("scheme", self.instance.scheme)
        return read_scheme(scheme), problems


class InviteForm(forms.Form):
    email = forms.EmailField(
        label=_("E-mail"), required=False, help_text=_("Only to remember whom the link is for.")
    )
    role = forms.ChoiceField(label=_("Role"), choices=Role.choices, initial=Role.LABELER)


class RoleForm(forms.Form):
    role = forms.ChoiceField(label=_("Role"), choices=Role.choices)


class AcceptForm(forms.Form):
    """A new account for somebody who was invited."""

    username = forms.CharField(label=_("User name"), max_length=150, validators=[User.username_validator])
    display_name = forms.CharField(label=_("Name shown to others"), max_length=120, required=False)
    password = forms.CharField(
        label=_("Password"),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        strip=False,
        help_text=lazy(password_help, str)(),
    )

    def clean_username(self) -> str:
        username: str = self.cleaned_data["username"]
        if User.objects.filter(username__iexact=username).exists():
            raise forms.ValidationError(
                _("This user name is taken. If it is yours, log in and open the link again.")
            )
        return username

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        validate_password(password, User(username=self.data.get("username", "")))
        return password
