"""The Django project: settings, URLs, the Celery application, the error base and API plumbing."""
