"""The admin port: health, readiness, metrics, views of what is in force, reload and drain."""
