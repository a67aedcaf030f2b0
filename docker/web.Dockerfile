# Web and beat: no torch in here.
FROM python:3.11-slim-bookworm
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 CHOSEN_DATA_DIR=/data CHOSEN_STATIC_ROOT=/srv/static
WORKDIR /app
COPY requirements/web.txt requirements/web.txt
RUN pip install --no-cache-dir -r requirements/web.txt
COPY . .
RUN SECRET_KEY=only-used-while-the-image-is-built-0123456789 DATABASE_URL=postgresql://build/build CHOSEN_DATA_DIR=/tmp/build \
    python manage.py collectstatic --noinput --verbosity 0 && rm -r /tmp/build
RUN useradd --create-home chosen && mkdir -p /data && chown chosen /data
USER chosen
EXPOSE 8000
ENTRYPOINT ["docker/entrypoint.sh"]
CMD ["web"]
