"""The sentences of problems: what happened, and the way out, in the active language.

Every code that a parser raises has an entry in `MESSAGES`; a test holds the two together.
"""

from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from labeling.importing.mapping import MappingError
from labeling.importing.problems import ImportProblem, ProblemGroup
from webapp.jobs.messages import Message, message

MESSAGES: dict[str, str] = {
    "gzip_truncated": _("The gzip file is cut off: its end is missing."),
    "gzip_corrupt": _("The gzip file is damaged (%(reason)s)."),
    "too_large": _("The file is larger than %(limit_bytes)s bytes when unpacked."),
    "expands_too_much": _("The file unpacks to more than %(limit_ratio)s times its size."),
    "foreign_format": _("This is a %(format)s file, not JSON, JSONL, CSV or Parquet."),
    "utf16": _("The text is encoded as UTF-16, not as UTF-8."),
    "empty_file": _("The file holds no rows."),
    "line_too_long": _("This row is longer than %(limit_bytes)s bytes."),
    "not_utf8": _("The byte %(byte)s at offset %(offset)s is not UTF-8 text."),
    "cell_not_utf8": _("“%(path)s” holds the byte %(byte)s, which is not UTF-8 text."),
    "bad_json": _("Not valid JSON: %(reason)s."),
    "array_truncated": _("The JSON array is not closed: the end of the file is missing."),
    "array_punctuation": _("Found “%(found)s” where the JSON array needs something else."),
    "after_array": _("There is more text behind the end of the JSON array."),
    "cell_count": _("This row has %(found)s cells; the header has %(expected)s."),
    "quote_open": _("A quote that begins in this row is never closed."),
    "column_twice": _("The column “%(found)s” stands twice in the header."),
    "parquet_damaged": _("The Parquet file is cut off or damaged (%(reason)s)."),
    "arrow_damaged": _("The Arrow file is cut off or damaged (%(reason)s)."),
    "zip_damaged": _("The ZIP archive is cut off or damaged (%(reason)s)."),
    "zip_encrypted": _("“%(found)s” in the archive is encrypted."),
    "zip_no_data": _("The archive holds no data file; it holds: %(found)s."),
    "zip_too_many": _("The archive holds more than %(limit)s files."),
    "not_an_object": _("A row must be a JSON object, not: %(found)s."),
    "too_deep": _("The row nests deeper than %(limit)s levels."),
    "nul_character": _("The text at “%(path)s” holds a NUL character (\\u0000)."),
    "wrong_keys": _(
        "No layout has these keys: %(found)s. The closest is “%(layout)s” and needs: %(expected)s."
    ),
    "mixed_layouts": _(
        "This row has the layout “%(layout)s”, but line %(first_line)s has “%(file_layout)s”."
    ),
    "wrong_type": _("“%(path)s” must be %(expected)s, but is %(found)s."),
    "missing_key": _("“%(path)s” is missing."),
    "empty_text": _("“%(path)s” is empty."),
    "label_too_long": _("“%(path)s” has %(found)s characters; at most %(limit)s are kept."),
    "unknown_role": _("“%(path)s” has the unknown role “%(found)s”. Known: %(expected)s."),
    "not_text": _("“%(path)s” is of type “%(found)s”; only text can be imported."),
    "not_one_answer": _("“%(path)s” must be one assistant message after the prompt, but has: %(found)s."),
    "identical_responses": _("Both responses are the same text (%(paths)s)."),
    "negative_margin": _("“%(path)s” is %(found)s; a margin is 0 or more."),
    "no_shared_prompt": _("The conversations do not start with a common prompt."),
    "not_a_transcript": _("“%(path)s” does not start with a “Human:” turn."),
    "response_count": _("“%(path)s” has %(found)s responses; 1 to %(limit)s are possible."),
    "history_turn": _("“%(path)s” must be a question and an answer, but has %(found)s parts."),
    "too_many_votes": _("“%(path)s” has %(found)s votes; at most %(limit)s are possible."),
    "too_many": _("“%(path)s” has %(found)s entries; at most %(limit)s are possible."),
    "bad_place": _("“%(path)s” is %(found)s; it must be a whole number from 0 to %(limit)s."),
    "unknown_outcome": _("“%(path)s” is “%(found)s”. Known: %(expected)s."),
    "unknown_strength": _("“%(path)s” is %(found)s; a strength is 1, 2, 3 or 4."),
    "bad_duration": _("“%(path)s” is %(found)s; it must be between 0 and %(limit)s seconds."),
    "labeler_twice": _("“%(path)s” repeats the labeler “%(found)s”, who has voted in this row already."),
    "unknown_labeler": _("“%(path)s” names “%(found)s”, who has no vote in this row."),
    "id_reused": _("The id “%(id)s” stands for something else on line %(first_line)s."),
    "missing_group": _("This row has no “%(key)s”, by which the data is to be split."),
    "file_changed": _("The stored file is not the one that was checked."),
}

HINTS: dict[str, str] = {
    "gzip_truncated": _("Copy or download the file again, or pack it again, and upload it anew."),
    "gzip_corrupt": _("Pack the file again, and upload it anew."),
    "too_large": _("Split it into several files."),
    "expands_too_much": _("If the content is meant, upload it without compression."),
    "foreign_format": _(
        "Save the rows as JSONL (one JSON object on each line), as a JSON array, CSV or Parquet."
    ),
    "utf16": _("Save the file again as UTF-8."),
    "empty_file": _("Check that the right file was chosen and that writing it had ended."),
    "line_too_long": _("Each row needs a line of its own. Check that line breaks are not missing."),
    "not_utf8": _("The file looks like Latin-1, GBK or another encoding. Save it again as UTF-8."),
    "cell_not_utf8": _("Write the file again with its texts as UTF-8."),
    "bad_json": _(
        "Each line must be one whole JSON object. A JSON array is read too, if it starts with “[”."
    ),
    "array_truncated": _("Copy or write the file again, and upload it anew."),
    "array_punctuation": _("Elements are separated by one comma, without a comma behind the last one."),
    "after_array": _("Put all rows into one array, or write each on a line of its own."),
    "cell_count": _("Put a text that holds the delimiter or a line break between quotes."),
    "quote_open": _("Close it, and write each quote inside a quoted text twice."),
    "column_twice": _("Rename one of the two."),
    "parquet_damaged": _("Copy or download the file again, or write it again, and upload it anew."),
    "arrow_damaged": _("Copy or download the file again, or write it again, and upload it anew."),
    "zip_damaged": _("Pack the files again, and upload the archive anew."),
    "zip_encrypted": _("Pack the files without a password."),
    "zip_no_data": _("Data files end in .jsonl, .json, .csv, .tsv, .parquet or .arrow, with or without .gz."),
    "zip_too_many": _("Put the rows into fewer files."),
    "nul_character": _("Remove the character: databases cannot keep it in a text."),
    "not_an_object": _("Write each row as “{…}” with the keys of a layout."),
    "too_deep": _("Write what is nested so deep as a text, or leave it out."),
    "wrong_keys": _("Rename the keys, or say in a mapping what each of them holds."),
    "mixed_layouts": _("Put rows of different layouts in different files."),
    "not_one_answer": _("Put all earlier turns in the prompt."),
    "no_shared_prompt": _("Start both with the prompt, or write the row with prompt, chosen and rejected."),
    "id_reused": _("Give each row its own id, or leave ids out."),
    "missing_group": _("Add it to every row, or choose another key."),
    "label_too_long": _("Shorten it, or put it in “metadata”."),
    "file_changed": _("Upload the file again."),
}
ROW_HINT = _("Correct the row, or import the file without its bad rows.")

LAYOUT_NAMES: dict[str, str] = {
    "ms_swift": _("messages with a rejected response"),
    "rewardbench": _("RewardBench: prompt with chosen, rejected and subset"),
    "rewardbench2": _("RewardBench 2: prompt with lists of chosen and rejected"),
    "trl_explicit": _("prompt with chosen and rejected"),
    "trl_implicit": _("chosen and rejected conversations"),
    "message_pairs": _("chosen and rejected lists of messages"),
    "alpaca_pairs": _("instruction with chosen and rejected"),
    "sharegpt_pairs": _("conversation with chosen and rejected"),
    "cvalues": _("prompt with a positive and a negative response"),
    "rm_finetuning": _("messages that end in a chosen and a rejected value"),
    "kto": _("prompt with a completion and a label"),
    "kto_messages": _("messages with a label"),
    "pandalm": _("instruction with two responses and annotators"),
    "responses": _("prompt with a list of responses"),
    "ranked": _("answers ranked best to worst"),
    "votes": _("two responses, with votes if there are any"),
    "mapped": _("columns chosen by hand"),
}


MAPPING_MESSAGES: dict[str, str] = {
    "not_a_mapping": _("A mapping is an object with “columns” and, if one is better, “winner_values”."),
    "unknown_target": _("“%(target)s” is nothing that a key can be mapped to. Known: %(expected)s."),
    "unknown_outcome": _("“%(target)s” is no outcome. Known: %(expected)s."),
    "bad_key": _("A key is a text of at most %(limit)s characters."),
    "no_responses": _("Choose the keys of both responses: chosen and rejected, or A and B."),
    "two_pairs": _("Choose either chosen and rejected, or responses A and B; not both."),
    "one_response": _("Choose the key of this response too."),
    "winner_of_chosen": _("Chosen and rejected say already which one is better."),
    "key_twice": _("This key is chosen for another text already."),
    "value_twice": _("“%(found)s” cannot stand for two outcomes."),
}


def layout_name(key: str) -> str:
    """What people call a layout."""
    return gettext(LAYOUT_NAMES[key]) if key in LAYOUT_NAMES else key


def mapping_message(error: MappingError) -> str:
    """What is wrong with a mapping."""
    values = {name: _shown(value) for name, value in error.params.items()}
    return gettext(MAPPING_MESSAGES[error.code]) % (values | {"target": error.target})


def problem_message(problem: ImportProblem) -> str:
    """What happened."""
    return str(problem_words(problem))


def problem_words(problem: ImportProblem) -> Message:
    """What happened, to be kept and read in any language."""
    values: dict[str, Any] = {name: _shown(value) for name, value in problem.params.items()}
    for name in ("layout", "file_layout"):
        if values.get(name) in LAYOUT_NAMES:
            values[name] = Message(LAYOUT_NAMES[values[name]])
    return message(MESSAGES[problem.code], **values)


def problem_hint(problem: ImportProblem) -> str:
    """The way out; for misspelt keys, what was probably meant. A code without a hint of its own is a single row's."""
    meant = problem.params.get("meant")
    if problem.code == "wrong_keys" and meant:
        renames = [f"{found} → {key}" for key, found in meant.items()]
        return gettext("Probably meant: %(renames)s.") % {"renames": ", ".join(renames)}
    return gettext(HINTS.get(problem.code, ROW_HINT))


def problem_places(group: ProblemGroup) -> str:
    """The lines of the first problems, and how many more; their records in a file that is one long line."""
    lines, rows = zip(*group.places, strict=True)
    shown = ", ".join(map(str, lines))
    if len(lines) > 1 and len({*lines}) == 1 and all(rows):
        shown = gettext("%(line)s (records %(rows)s)") % {
            "line": lines[0],
            "rows": ", ".join(map(str, rows)),
        }
    if group.first.member:
        shown = f"{group.first.member}: {shown}"
    more = group.count - len(lines)
    if not more:
        return shown
    return gettext("%(places)s and %(more)s more") % {"places": shown, "more": _shown(more)}


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) and value > 9999 else str(value)
