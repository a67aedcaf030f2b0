"""One shape for every error: {"error": {"code", "message", "detail"}}."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler


class Conflict(exceptions.APIException):
    """409: the request cannot be done in the present state; the message says which state that is."""

    status_code = 409
    default_code = "conflict"


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    if isinstance(error, DjangoValidationError):
        error = exceptions.ValidationError(
            error.message_dict if hasattr(error, "error_dict") else {"non_field_errors": error.messages}
        )
    response = drf_exception_handler(error, context)
    if response is None:
        return None
    data = response.data
    if isinstance(error, exceptions.ValidationError):
        code, message, detail = "invalid", "Some values are not accepted.", data
    else:
        detail = None
        message = str(data.get("detail", data)) if isinstance(data, dict) else str(data)
        code = str(
            getattr(error, "default_code", "")
            or {404: "not_found", 403: "denied"}.get(response.status_code, "error")
        )
    response.data = {"error": {"code": code, "message": message, "detail": detail}}
    return response
