-- The tables of the local platform. Times are Unix seconds.
-- Keys are stored as digests. A webhook's secret and a signing key are stored as they are, because
-- the platform itself must use them.

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
CREATE TABLE refusals (
  id INTEGER PRIMARY KEY, key TEXT, org_id TEXT NOT NULL, product TEXT NOT NULL,
  resource TEXT NOT NULL, amount INTEGER NOT NULL, at REAL NOT NULL
);
CREATE TABLE answers (
  id INTEGER PRIMARY KEY, product TEXT NOT NULL, org_id TEXT NOT NULL, key TEXT NOT NULL,
  resource TEXT NOT NULL, amount INTEGER NOT NULL, body TEXT NOT NULL, at REAL NOT NULL,
  UNIQUE (product, org_id, key)
);
CREATE INDEX answers_by_age ON answers (at);

CREATE TABLE records (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, org_id TEXT NOT NULL,
  source_product TEXT NOT NULL, record_type TEXT NOT NULL, source_ref TEXT NOT NULL,
  title TEXT NOT NULL, subtitle TEXT, summary_text TEXT, app_href TEXT,
  status TEXT NOT NULL, meta TEXT NOT NULL, created_at REAL NOT NULL, updated_at REAL NOT NULL,
  UNIQUE (org_id, source_product, record_type, source_ref)
);
CREATE INDEX records_of_org ON records (org_id, updated_at);
CREATE VIRTUAL TABLE records_text USING fts5 (
  title, subtitle, summary_text, content = 'records', content_rowid = 'number',
  tokenize = 'unicode61 remove_diacritics 2'
);
CREATE TRIGGER record_made AFTER INSERT ON records BEGIN
  INSERT INTO records_text (rowid, title, subtitle, summary_text)
  VALUES (new.number, new.title, new.subtitle, new.summary_text);
END;
CREATE TRIGGER record_changed AFTER UPDATE ON records BEGIN
  INSERT INTO records_text (records_text, rowid, title, subtitle, summary_text)
  VALUES ('delete', old.number, old.title, old.subtitle, old.summary_text);
  INSERT INTO records_text (rowid, title, subtitle, summary_text)
  VALUES (new.number, new.title, new.subtitle, new.summary_text);
END;

CREATE TABLE webhooks (
  id TEXT PRIMARY KEY, product TEXT NOT NULL, url TEXT NOT NULL, event_types TEXT NOT NULL,
  secret TEXT NOT NULL, failures INTEGER NOT NULL, disabled INTEGER NOT NULL,
  created_at REAL NOT NULL, UNIQUE (product, url)
) WITHOUT ROWID;
CREATE TABLE deliveries (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
  endpoint_id TEXT NOT NULL REFERENCES webhooks, org_id TEXT, event TEXT NOT NULL,
  payload BLOB NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL, due_at REAL,
  last_status INTEGER, last_error TEXT, created_at REAL NOT NULL, updated_at REAL NOT NULL
);
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE state = 'pending';

CREATE TABLE api_requests (
  id INTEGER PRIMARY KEY, credential TEXT NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL,
  status INTEGER NOT NULL, duration_ms REAL NOT NULL, at REAL NOT NULL
);
CREATE INDEX api_requests_of_caller ON api_requests (credential, id);
