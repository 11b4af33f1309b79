"""Meters a WebSocket of the OpenAI Realtime API, response by response. No I/O and no clock."""
