"""The tables of the local platform. Times are Unix seconds; secrets are stored as digests."""

from __future__ import annotations

from typing import Final

APPLICATION_ID: Final = 0x62626C70
"""SQLite's mark of whose file this is, so that no other program's database is written to."""

VERSION: Final = 1
"""SQLite's `user_version`; raise it with every change of the tables."""

TABLES: Final = """
CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE products (
  slug TEXT PRIMARY KEY, name TEXT NOT NULL, key_digest BLOB NOT NULL UNIQUE
) WITHOUT ROWID;
CREATE TABLE orgs (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, plan TEXT NOT NULL, created_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE entitlements (
  org_id TEXT NOT NULL REFERENCES orgs, product TEXT NOT NULL REFERENCES products,
  PRIMARY KEY (org_id, product)
) WITHOUT ROWID;
CREATE TABLE limits (
  org_id TEXT NOT NULL REFERENCES orgs, resource TEXT NOT NULL, units INTEGER NOT NULL,
  PRIMARY KEY (org_id, resource)
) WITHOUT ROWID;
CREATE TABLE members (
  org_id TEXT NOT NULL REFERENCES orgs, user_id TEXT NOT NULL, email TEXT NOT NULL,
  full_name TEXT NOT NULL, role TEXT NOT NULL,
  PRIMARY KEY (org_id, user_id)
) WITHOUT ROWID;
CREATE TABLE api_keys (
  digest BLOB PRIMARY KEY, org_id TEXT NOT NULL REFERENCES orgs,
  can_read INTEGER NOT NULL, can_write INTEGER NOT NULL, product TEXT REFERENCES products
) WITHOUT ROWID;
CREATE TABLE signing_keys (
  kid TEXT PRIMARY KEY, pem BLOB NOT NULL, made_at REAL NOT NULL, withdrawn_at REAL
);

CREATE TABLE usage (
  org_id TEXT NOT NULL, resource TEXT NOT NULL, month TEXT NOT NULL, product TEXT NOT NULL,
  used INTEGER NOT NULL,
  PRIMARY KEY (org_id, resource, month, product)
) WITHOUT ROWID;
CREATE TABLE consumes (
  id INTEGER PRIMARY KEY, key TEXT, org_id TEXT NOT NULL, product TEXT NOT NULL,
  resource TEXT NOT NULL, amount INTEGER NOT NULL, at REAL NOT NULL
);
CREATE INDEX consumes_of_org ON consumes (org_id);
CREATE TABLE answers (
  id INTEGER PRIMARY KEY, product TEXT NOT NULL, org_id TEXT NOT NULL, key TEXT NOT NULL,
  resource TEXT NOT NULL, amount INTEGER NOT NULL, body TEXT NOT NULL, at REAL NOT NULL,
  UNIQUE (product, org_id, key)
);
CREATE INDEX answers_by_age ON answers (at);
"""
