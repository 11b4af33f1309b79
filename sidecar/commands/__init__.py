"""The commands that ask the platform for people: quotas, records, webhooks, and the doctor."""
