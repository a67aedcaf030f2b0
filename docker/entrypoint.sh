#!/bin/sh
# The one way in for every container: migrate, web, beat, or worker QUEUE.
set -eu
role="${1:-web}"
case "$role" in
  migrate) exec python manage.py migrate --noinput ;;
  web) exec gunicorn webapp.wsgi:application --bind "0.0.0.0:${PORT:-8000}" \
         --workers "${WEB_WORKERS:-2}" --threads "${WEB_THREADS:-4}" --timeout 60 --no-control-socket --access-logfile - ;;
  beat) exec celery -A webapp beat --loglevel "${LOG_LEVEL:-info}" ;;
  worker)
    queue="${2:-default}"
    # A model job runs in a process of its own; the gpu queue takes one at a time.
    case "$queue" in gpu) pool="--pool solo" ;; *) pool="--pool threads --concurrency ${WORKER_THREADS:-4}" ;; esac
    # shellcheck disable=SC2086
    exec celery -A webapp worker $pool --without-gossip --without-mingle --queues "$queue" --hostname "$queue@%h" --loglevel "${LOG_LEVEL:-info}" ;;
  *) exec "$@" ;;
esac
