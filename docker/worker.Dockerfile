# Workers: torch and transformers on top of the web image's packages.
FROM python:3.11-slim-bookworm
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 CHOSEN_DATA_DIR=/data
WORKDIR /app
COPY requirements/web.txt requirements/worker.txt requirements/
RUN pip install --no-cache-dir -r requirements/worker.txt
COPY . .
RUN useradd --create-home chosen && mkdir -p /data && chown chosen /data
USER chosen
ENTRYPOINT ["docker/entrypoint.sh"]
CMD ["worker", "default"]
