"""REST of endpoints, for managers. The key is write-only."""

from __future__ import annotations

from uuid import UUID

from django.views.decorators.debug import sensitive_variables
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from judging.access import endpoint_for
from judging.api.serializers import EndpointSerializer, EndpointWriteSerializer
from judging.api.views import ListView, checked, person
from judging.models import Endpoint
from judging.services.endpoints import (
    EndpointChange,
    endpoint_create,
    endpoint_delete,
    endpoint_probe,
    endpoint_update,
)
from labeling.access import Capability, project_for


class EndpointsView(ListView):
    @extend_schema(responses=EndpointSerializer(many=True), operation_id="judge_endpoints_list")
    def get(self, request: Request, slug: str) -> Response:
        """Servers that judges ask, newest first; their keys are never told."""
        project = project_for(person(request), slug, Capability.MANAGE)
        return self.paged(request, Endpoint.objects.filter(project=project), EndpointSerializer)

    @extend_schema(
        request=EndpointWriteSerializer,
        responses={201: EndpointSerializer},
        operation_id="judge_endpoints_create",
    )
    @sensitive_variables()
    def post(self, request: Request, slug: str) -> Response:
        """A new server, with its key. `probe` says what it supports."""
        project = project_for(person(request), slug, Capability.MANAGE)
        values = checked(EndpointWriteSerializer(data=request.data)).values()
        endpoint = endpoint_create(project=project, created_by=person(request), **values)
        return Response(EndpointSerializer(endpoint).data, status=status.HTTP_201_CREATED)


class EndpointView(APIView):
    @extend_schema(responses=EndpointSerializer, operation_id="judge_endpoints_retrieve")
    def get(self, request: Request, slug: str, uid: UUID) -> Response:
        """One server; its key is never told."""
        return Response(EndpointSerializer(endpoint_for(person(request), slug, uid)).data)

    @extend_schema(
        request=EndpointWriteSerializer, responses=EndpointSerializer, operation_id="judge_endpoints_update"
    )
    @sensitive_variables()
    def patch(self, request: Request, slug: str, uid: UUID) -> Response:
        """Change what is sent. A new base URL forgets the key unless a new one comes with it."""
        endpoint = endpoint_for(person(request), slug, uid)
        values = checked(EndpointWriteSerializer(data=request.data, partial=True)).values()
        endpoint_update(endpoint, EndpointChange(**values), actor=person(request))
        return Response(EndpointSerializer(endpoint).data)

    @extend_schema(responses={204: None}, operation_id="judge_endpoints_delete")
    def delete(self, request: Request, slug: str, uid: UUID) -> Response:
        """Delete a server with its key. Versions that asked it keep their verdicts, and can no longer run."""
        endpoint_delete(endpoint_for(person(request), slug, uid), actor=person(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class EndpointProbeView(APIView):
    @extend_schema(request=None, responses=EndpointSerializer, operation_id="judge_endpoints_probe")
    def post(self, request: Request, slug: str, uid: UUID) -> Response:
        """Ask one small question and say what the server supports; `probe_error` says what went wrong."""
        endpoint = endpoint_probe(endpoint_for(person(request), slug, uid))
        return Response(EndpointSerializer(endpoint).data)
