"""Forms of training and retraining: the settings people change, in the library's ranges."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.text import format_lazy
from django.utils.timezone import get_default_timezone_name
from django.utils.translation import gettext_lazy as _

from labeling.models import Project
from workers.fields import (
    ADVANCED,
    DEFAULTS,
    NAMES,
    SETTINGS,
    NamesField,
    TemplateField,
    number,
    shared_default,
    written,
)
from workers.models import ModelKind
from workers.reward.config import LONGEST_NAME, LONGEST_TEMPLATE
from workers.reward.errors import ConfigError
from workers.reward.scorers import settings_from_dict
from workers.selectors.judged import judge_choices, judge_settings


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
    heads = number(
        "heads",
        label=_("Bootstrap heads"),
        help_text=_(
            "More heads, a steadier uncertainty; one head gives none. Left empty: 8, or 1 for a transformer."
        ),
    )
    base = forms.CharField(
        label=_("Base model"),
        required=False,
        max_length=LONGEST_NAME,
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
    epochs = number("epochs", label=_("Epochs"))
    learning_rate = number(
        "learning_rate",
        label=_("Learning rate"),
        help_text=_("0.001 suits a tiny model, 0.0002 adapters, 0.00001 all weights of a pretrained one."),
    )
    max_length = number("max_length", label=_("Longest text in tokens"))
    batch_tokens = number("batch_tokens", label=_("Tokens in a batch"))
    revision = forms.CharField(
        label=_("Revision"),
        required=False,
        max_length=LONGEST_NAME,
        help_text=_("A branch, tag or commit of a hub id. Left empty: its main branch."),
    )
    chat_template = TemplateField(
        label=_("Text template"),
        required=False,
        max_length=LONGEST_TEMPLATE,
        widget=forms.Textarea(attrs={"rows": 4, "class": "mono", "spellcheck": "false"}),
        help_text=_(
            "A Jinja chat template of your own: it is given messages, each with a role and content, and the special "
            "tokens. Left empty: the base model's own, or a plain one. “Show what it reads” shows the text it makes."
        ),
    )
    lora_rank = number(
        "lora_rank",
        label=_("Adapter rank"),
        help_text=_(
            "0 trains all weights; 8 to 64 train adapters of this rank and leave the base model as it is. Not for a "
            "tiny base."
        ),
    )
    lora_alpha = number(
        "lora_alpha",
        label=_("Adapter alpha"),
        help_text=_("What an adapter adds is multiplied by alpha / rank."),
    )
    lora_dropout = number("lora_dropout", label=_("Adapter dropout"))
    quantize = forms.ChoiceField(
        label=_("Base model under the adapters"),
        required=False,
        choices=[("none", _("as it is")), ("nf4", _("in 4 bits (QLoRA)"))],
        help_text=_("4 bits need a rank, an NVIDIA GPU and bitsandbytes."),
    )
    lora_targets = NamesField(
        label=_("Adapted layers"),
        required=False,
        help_text=_(
            "Linear layers by the end of their name, such as q_proj, v_proj. Left empty: all of the base model's."
        ),
    )
    dtype = forms.ChoiceField(
        label=_("Precision of the weights"),
        required=False,
        choices=[("float32", "float32"), ("bfloat16", "bfloat16")],
        help_text=_(
            "bfloat16 takes half the memory, and is slow on most CPUs. Heads and scores are float32 always."
        ),
    )
    gradient_checkpointing = forms.BooleanField(
        label=_("Gradient checkpointing"),
        required=False,
        help_text=_("Computes activations twice rather than keep them: less memory, slower steps."),
    )
    torch_compile = forms.BooleanField(
        label=_("Compile the layers"),
        required=False,
        help_text=_("With torch.compile; on an NVIDIA GPU alone."),
    )
    weight_decay = number("weight_decay", label=_("Weight decay"))
    warmup_share = number(
        "warmup_share",
        label=_("Warm-up"),
        help_text=_("The share of the steps in which the learning rate rises to its full value."),
    )
    clip_norm = number(
        "clip_norm", label=_("Gradient clipping"), help_text=_("The longest gradient norm of a step.")
    )
    accumulate = number(
        "accumulate", label=_("Batches in a step"), help_text=_("Gradients of so many batches are added up.")
    )
    dropout = number("dropout", label=_("Dropout"))
    patience = number(
        "patience",
        label=_("Patience"),
        help_text=_("Training ends after so many evaluations without a better validation loss."),
    )
    margin_scale = number(
        "margin_scale",
        label=_("Margin"),
        help_text=_(
            "By how much the scores of a pair with the strongest vote are to differ at least; 0 is off."
        ),
    )
    label_smoothing = number(
        "label_smoothing",
        label=_("Label smoothing"),
        help_text=_("The share of an even outcome that is mixed into every label."),
    )
    focal = number(
        "focal",
        label=_("Focal weight"),
        help_text=_("0 is off; with 2, pairs that the model is sure of count less."),
    )
    centering = number("centering", label=_("Centering"), help_text=_("Keeps the scores of a pair around 0."))
    barrier = number(
        "barrier", label=_("Barrier"), help_text=_("0 is off; 0.01 keeps scores between -5 and 5.")
    )
    aspects = NamesField(
        label=_("Aspects"),
        required=False,
        help_text=_(
            "Keys of aspects that labelers compare responses by, such as safe, helpful. The model learns to rate each "
            "beside its score."
        ),
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
    beta = number("beta", label=_("Beta"))
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
    template = TemplateField(
        label=_("Template"),
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("With {prompt}, {first} and {second}, in this order."),
    )
    judge = forms.ChoiceField(
        label=_("Judge"),
        required=False,
        help_text=_(
            "A version that has given verdicts. They are held against people's votes on the validation and held-out "
            "pairs; pairs that it did not judge count in no figure. It can be no champion: it has no score for one "
            "response."
        ),
    )
    seed = number("seed", label=_("Seed"))

    def __init__(self, *args: Any, project: Project | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["judge"].choices = judge_choices(project) if project else []  # type: ignore[attr-defined]
        for name in SETTINGS:
            default, field = shared_default(name), self.fields[name]
            if isinstance(field, forms.ChoiceField):
                field.initial = default
            elif text := written(default):  # where kinds differ, the help says how
                field.widget.attrs["placeholder"] = text

    def clean(self) -> dict[str, Any]:
        """What the chosen kind does not have is not looked at; what the library refuses is said at its field."""
        data = super().clean() or {}
        kind = data.get("kind")
        if kind is None:
            return data
        for name in SETTINGS.difference(NAMES[kind]):
            self.errors.pop(name, None)
        if not self.errors.keys() & {*NAMES[kind]}:
            try:
                settings_from_dict(kind, self.config())
            except ConfigError as error:
                self.refuse(error.setting, str(error))
        return data

    def refuse(self, setting: str, said: str) -> None:
        """Say what is wrong at the setting's field, or above all where it has none of its own."""
        self.add_error(setting if setting in NAMES[self.cleaned_data["kind"]] else None, said)

    def config(self) -> dict[str, Any]:
        """The chosen kind's settings that were filled in or ticked: what the library reads."""
        given = {name: self.cleaned_data.get(name) for name in NAMES[self.cleaned_data["kind"]]}
        found = {
            name: value for name, value in given.items() if value not in (None, "", []) and value is not False
        }
        return found | (judge_settings(found["judge"]) if "judge" in found else {})

    @property
    def is_advanced_open(self) -> bool:
        """Whether a folded setting of the chosen kind is wrong, or is not what it is by itself."""
        kind = self["kind"].value()
        names = [name for name in ADVANCED if name in NAMES.get(kind, ())]
        return any(self[name].errors or self._differs(name, DEFAULTS[kind][name]) for name in names)

    def _differs(self, name: str, default: Any) -> bool:
        value = self[name].value()
        return value not in (None, "") and value != default and str(value) != str(default)


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
