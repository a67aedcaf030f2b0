"""Forms of training and retraining: the few settings people change, in safe ranges."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.text import format_lazy
from django.utils.timezone import get_default_timezone_name
from django.utils.translation import gettext_lazy as _

from workers.models import ModelKind
from workers.reward.scorers import SCORER_KINDS, settings_from_dict, settings_to_dict

NAMES = {
    ModelKind.STARTER: ("heads", "seed"),
    ModelKind.EMBEDDING: ("base", "hub", "pool", "max_length", "heads", "seed"),
    ModelKind.TRANSFORMER: (
        "base",
        "hub",
        "ranking",
        "epochs",
        "learning_rate",
        "max_length",
        "batch_tokens",
        "label_smoothing",
        "focal",
        "centering",
        "barrier",
        "heads",
        "seed",
    ),
    ModelKind.DPO: ("model", "reference", "beta", "reduction"),
    ModelKind.PERPLEXITY: ("model",),
    ModelKind.PAIR: ("model", "architecture", "template"),
    ModelKind.LONGEST: (),
    ModelKind.RANDOM: ("seed",),
}


class KindForm(forms.Form):
    """Kind of model and its settings. Empty fields keep the defaults; `config` is what the library reads."""

    kind = forms.ChoiceField(
        label=_("Kind"),
        choices=ModelKind.choices,
        widget=forms.RadioSelect,
        initial=ModelKind.STARTER,
        help_text=_(
            "The starter needs no download and trains in seconds. A head on a frozen base model reads each text "
            "once and keeps what it read, so it trains again in seconds. A transformer trains the whole model and "
            "takes longest."
        ),
    )
    heads = forms.IntegerField(
        label=_("Bootstrap heads"),
        required=False,
        min_value=1,
        max_value=64,
        help_text=_(
            "More heads, a steadier uncertainty; one head gives none. Left empty: 8, or 1 for a transformer."
        ),
    )
    base = forms.CharField(
        label=_("Base model"),
        required=False,
        max_length=300,
        help_text=_(
            "A local folder, a hub id such as Qwen/Qwen3-0.6B, or tiny / tiny-encoder for a "
            "small one built from this project's own text. In production a folder must lie in one of those "
            "listed in the setting CHOSEN_MODEL_DIRS, or be a model of this project."
        ),
    )
    hub = forms.ChoiceField(
        label=_("Hub"),
        required=False,
        choices=[("huggingface", "Hugging Face"), ("modelscope", "ModelScope")],
        help_text=_("Where a hub id is looked up."),
    )
    pool = forms.ChoiceField(
        label=_("What stands for a text"),
        required=False,
        choices=[
            ("auto", _("what suits the base model")),
            ("last", _("its last token")),
            ("mean", _("the mean of its tokens")),
            ("first", _("its first token (encoders)")),
            ("pooler", _("the base model's own pooler (encoders)")),
        ],
    )
    ranking = forms.ChoiceField(
        label=_("Ties"),
        required=False,
        choices=[
            ("bradley_terry", _("half a win for each side")),
            ("rao_kupper", _("an outcome of their own")),
        ],
        help_text=_(
            "As an outcome of their own they also get a probability, learned from the votes for a tie."
        ),
    )
    epochs = forms.FloatField(label=_("Epochs"), required=False, min_value=0.1, max_value=20)
    learning_rate = forms.FloatField(
        label=_("Learning rate"),
        required=False,
        min_value=1e-7,
        max_value=1e-2,
        help_text=_("0.001 suits a tiny model, 0.00001 a pretrained one."),
    )
    max_length = forms.IntegerField(
        label=_("Longest text in tokens"), required=False, min_value=64, max_value=32768
    )
    batch_tokens = forms.IntegerField(
        label=_("Tokens in a batch"), required=False, min_value=256, max_value=262144
    )
    label_smoothing = forms.FloatField(
        label=_("Label smoothing"),
        required=False,
        min_value=0,
        max_value=0.5,
        help_text=_("The share of an even outcome that is mixed into every label."),
    )
    focal = forms.FloatField(
        label=_("Focal weight"),
        required=False,
        min_value=0,
        max_value=10,
        help_text=_("0 is off; with 2, pairs that the model is sure of count less."),
    )
    centering = forms.FloatField(
        label=_("Centering"),
        required=False,
        min_value=0,
        max_value=10,
        help_text=_("Keeps the scores of a pair around 0."),
    )
    barrier = forms.FloatField(
        label=_("Barrier"),
        required=False,
        min_value=0,
        max_value=10,
        help_text=_("0 is off; 0.01 keeps scores between -5 and 5."),
    )
    model = forms.CharField(
        label=_("Model"),
        required=False,
        max_length=300,
        help_text=_(
            "A local folder or a hub id. Nothing of it is trained: the run fits its temperature, evaluates it, and "
            "the gate judges it like any candidate. In production a folder must lie in one of those listed in the "
            "setting CHOSEN_MODEL_DIRS."
        ),
    )
    reference = forms.CharField(
        label=_("Reference model"),
        required=False,
        max_length=300,
        help_text=_("What the policy was trained from. Left empty, the policy's own log-probability counts."),
    )
    beta = forms.FloatField(label=_("Beta"), required=False, min_value=1e-9, max_value=1e6)
    reduction = forms.ChoiceField(
        label=_("Over the tokens of an answer"),
        required=False,
        choices=[("sum", _("sum")), ("avg", _("mean")), ("norm", _("minus the norm"))],
    )
    architecture = forms.ChoiceField(
        label=_("How it answers"),
        required=False,
        choices=[("classifier", _("by a score")), ("seq2seq", _("by writing A or B")), ("pairrm", "PairRM")],
        help_text=_("It is asked in both orders, so that what it prefers by position cancels."),
    )
    template = forms.CharField(
        label=_("Template"),
        required=False,
        max_length=4000,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("With {prompt}, {first} and {second}, in this order."),
    )
    seed = forms.IntegerField(label=_("Seed"), required=False, min_value=0, max_value=2**31 - 1)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        defaults: dict[str, set[str]] = {}
        for kind, names in NAMES.items():
            # Scorers share their defaults; only some can do without a model.
            values = settings_to_dict(settings_from_dict("longest" if kind in SCORER_KINDS else kind, {}))
            for name in names:
                defaults.setdefault(name, set()).add(str(values[name]))
        for name, found in defaults.items():
            if len(found) == 1:  # where kinds differ, the help says how
                self.fields[name].widget.attrs["placeholder"] = found.pop()

    def config(self) -> dict[str, Any]:
        """The chosen kind's settings that were filled in."""
        wanted = NAMES[ModelKind(self.cleaned_data["kind"])]
        return {name: self.cleaned_data[name] for name in wanted if self.cleaned_data[name] not in (None, "")}


class PolicyForm(KindForm):
    """When to train again, and what."""

    is_enabled = forms.BooleanField(label=_("Train again by itself"), required=False)
    every_n_labels = forms.IntegerField(
        label=_("After this many new labels"), required=False, min_value=1, max_value=10_000_000
    )
    cron = forms.CharField(
        label=_("By schedule"),
        required=False,
        max_length=120,
        help_text=format_lazy(
            "{} {}",
            _("Cron: minute hour day month weekday. 0 3 * * * is every night at three."),
            format_lazy(_("Time zone: {zone}."), zone=get_default_timezone_name()),
        ),
    )
    field_order = ("is_enabled", "every_n_labels", "cron")

    def values(self) -> dict[str, Any]:
        """Fields of RetrainPolicy."""
        return {
            "is_enabled": self.cleaned_data["is_enabled"],
            "every_n_labels": self.cleaned_data["every_n_labels"],
            "cron": " ".join(self.cleaned_data["cron"].split()),
            "kind": self.cleaned_data["kind"],
            "config": self.config(),
        }
