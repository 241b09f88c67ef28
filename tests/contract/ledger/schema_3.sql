-- A ledger of schema 3 as the third release left it: that of schema 2, migrated by it. Never changed: it stands for
-- files that exist.
PRAGMA application_id = 1383036001;
BEGIN TRANSACTION;
CREATE TABLE counters (name TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL);
INSERT INTO "counters" VALUES('serial',7);
INSERT INTO "counters" VALUES('format',1);
CREATE TABLE credentials (
        id TEXT PRIMARY KEY NOT NULL, format INTEGER NOT NULL, definition TEXT NOT NULL, facts TEXT NOT NULL,
        facts_sequence INTEGER NOT NULL, managed INTEGER NOT NULL CHECK (managed IN (0, 1)), adopted_at INTEGER,
        last_success_at INTEGER, next_due_at INTEGER, due_why TEXT NOT NULL, pause TEXT, open_run TEXT);
INSERT INTO "credentials" VALUES('alpha',1,'{"is":"Credential","id":"alpha","owner":"team@x.example","purpose":"keeps “orders” in step – ünïcode","workflows":["orders","alerts"],"expires":1710000000000,"tier":"T1","policy":{"is":"Policy","name":"standard","schedule":{"is":"Schedule","every":86400000,"window":{"is":"Window","start":60,"end":300,"zone":"Europe/Berlin","missed":"now"},"jitter":7200000,"missed":"now","min_age":60000},"overlap":1000,"keep_history":true,"pause":{"is":"Pause","by":"ann","reason":"freeze","until":1700000000000}},"authorities":[{"is":"AuthorityRef","endpoint":"api","kind":"key","principals":["svc"],"scopes":["read"],"params":[["a","b"]],"handle":"h-0"}],"store":{"is":"StoreRef","store":"main","path":"app/alpha","value":"key","fields":[{"is":"FieldMap","name":"user","source":"principal"}]},"consumers":[{"is":"ConsumerRef","id":"c1","endpoint":"files","kind":"file","target":"a.env","fields":[{"is":"FieldMap","name":"V","source":"value"}]}],"labels":[["team","red"]]}','{"is":"Facts","top":1,"homes":[[1,[{"is":"Home","endpoint":"api","principal":"svc"}]]],"placements":[[[1,{"is":"Home","endpoint":"api","principal":"svc"}],{"is":"Placement","state":"maybe"}]],"intent":{"is":"Intent","step":{"is":"Step","kind":"read_current"},"at":1700000000101,"deadline":1700000000111,"quiet_until":1700000000101,"fence":1},"undo":{"is":"Undo","kept":[],"stored":[],"current":[],"held":[],"placements":[[[1,{"is":"Home","endpoint":"api","principal":"svc"}],{"is":"Placement","state":"maybe"}]],"listing":[]},"run":{"is":"Run","kind":"rotate","legs":["repair","advance"],"opened_at":1700000000100}}',4,1,1700000000050,NULL,1701000000000,'policy',NULL,'r-alpha');
INSERT INTO "credentials" VALUES('beta',1,'{"is":"Credential","id":"beta","owner":"team@x.example","purpose":"keeps “orders” in step – ünïcode","workflows":["orders","alerts"],"expires":1710000000000,"tier":"T1","policy":{"is":"Policy","name":"standard","schedule":{"is":"Schedule","every":86400000,"window":{"is":"Window","start":60,"end":300,"zone":"Europe/Berlin","missed":"now"},"jitter":7200000,"missed":"now","min_age":60000},"overlap":1000,"keep_history":true,"pause":{"is":"Pause","by":"ann","reason":"freeze","until":1700000000000}},"authorities":[{"is":"AuthorityRef","endpoint":"api","kind":"key","principals":["svc"],"scopes":["read"],"params":[["a","b"]],"handle":"h-0"}],"store":{"is":"StoreRef","store":"main","path":"app/beta","value":"key","fields":[{"is":"FieldMap","name":"user","source":"principal"}]},"consumers":[{"is":"ConsumerRef","id":"c1","endpoint":"files","kind":"file","target":"a.env","fields":[{"is":"FieldMap","name":"V","source":"value"}]}],"labels":[["team","red"]]}','{"is":"Facts","top":3,"homes":[[1,[{"is":"Home","endpoint":"api","principal":"svc"}]]],"labels":[[3,"rot-x-3"]],"placements":[[[3,{"is":"Home","endpoint":"api","principal":"svc"}],{"is":"Placement","state":"lingers"}]],"handles":[[[3,{"is":"Home","endpoint":"api","principal":"svc"}],"h-3"]],"run":{"is":"Run","kind":"rotate","legs":["repair","advance"],"opened_at":1700000000200}}',6,1,NULL,NULL,NULL,'',NULL,'r-beta');
INSERT INTO "credentials" VALUES('gamma',1,'{"is":"Credential","id":"gamma","owner":"team@x.example","purpose":"keeps “orders” in step – ünïcode","workflows":["orders","alerts"],"expires":1710000000000,"tier":"T1","policy":{"is":"Policy","name":"standard","schedule":{"is":"Schedule","every":86400000,"window":{"is":"Window","start":60,"end":300,"zone":"Europe/Berlin","missed":"now"},"jitter":7200000,"missed":"now","min_age":60000},"overlap":1000,"keep_history":true,"pause":{"is":"Pause","by":"ann","reason":"freeze","until":1700000000000}},"authorities":[{"is":"AuthorityRef","endpoint":"api","kind":"key","principals":["svc"],"scopes":["read"],"params":[["a","b"]],"handle":"h-0"}],"store":{"is":"StoreRef","store":"main","path":"app/gamma","value":"key","fields":[{"is":"FieldMap","name":"user","source":"principal"}]},"consumers":[{"is":"ConsumerRef","id":"c1","endpoint":"files","kind":"file","target":"a.env","fields":[{"is":"FieldMap","name":"V","source":"value"}]}],"labels":[["team","red"]]}','{"is":"Facts"}',0,1,NULL,NULL,NULL,'',NULL,NULL);
CREATE TABLE deliveries (
        id INTEGER PRIMARY KEY AUTOINCREMENT, notice INTEGER NOT NULL REFERENCES notices (sequence),
        channel TEXT NOT NULL, route TEXT NOT NULL, state TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'dead')),
        attempts INTEGER NOT NULL, first_at INTEGER NOT NULL, next_at INTEGER, last_at INTEGER, code TEXT NOT NULL);
CREATE TABLE digests (file TEXT PRIMARY KEY NOT NULL, digest TEXT NOT NULL);
INSERT INTO "digests" VALUES('a.yaml','d1');
CREATE TABLE documents (name TEXT PRIMARY KEY NOT NULL, text TEXT NOT NULL);
INSERT INTO "documents" VALUES('effective','{}');
CREATE TABLE fingerprints (
        credential TEXT NOT NULL REFERENCES credentials (id), gen INTEGER NOT NULL, text TEXT NOT NULL,
        PRIMARY KEY (credential, gen)) WITHOUT ROWID;
INSERT INTO "fingerprints" VALUES('beta',3,'k1:cc');
CREATE TABLE installation (
        id INTEGER PRIMARY KEY CHECK (id = 1), name TEXT NOT NULL, epoch TEXT NOT NULL,
        fingerprint_check TEXT NOT NULL);
INSERT INTO "installation" VALUES(1,'acme','e1','check');
CREATE TABLE journal (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL REFERENCES runs (id), at INTEGER NOT NULL,
        fence INTEGER NOT NULL, actor TEXT NOT NULL, format INTEGER NOT NULL, event TEXT NOT NULL, observed TEXT);
INSERT INTO "journal" VALUES(1,'adopt-alpha',1700000000000,1,'ann',1,'{"is":"Opened","kind":"adopt"}',NULL);
INSERT INTO "journal" VALUES(2,'adopt-alpha',1700000000050,1,'',1,'{"is":"Finished","ending":"succeeded"}',NULL);
INSERT INTO "journal" VALUES(3,'r-alpha',1700000000100,1,'ann',1,'{"is":"Opened","kind":"rotate"}',NULL);
INSERT INTO "journal" VALUES(4,'r-alpha',1700000000101,1,'',1,'{"is":"Intended","step":{"is":"Step","kind":"read_current"},"deadline":1700000000111,"quiet_until":1700000000101,"fence":1}',NULL);
INSERT INTO "journal" VALUES(5,'r-beta',1700000000200,1,'ann',1,'{"is":"Opened","kind":"rotate"}',NULL);
INSERT INTO "journal" VALUES(6,'r-beta',1700000000210,1,'ann: ticket',1,'{"is":"Intended","step":{"is":"Step","kind":"prove","gen":3,"home":{"is":"Home","endpoint":"api","principal":"svc"}},"deadline":1700000000000,"quiet_until":1700000000000,"fence":1}','{"is":"Observed","gen":3,"home":{"is":"Home","endpoint":"api","principal":"svc"},"refusal":"bad_key","fingerprint":"k1:cc"}');
CREATE TABLE notices (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, event TEXT NOT NULL, at INTEGER NOT NULL,
        credential TEXT, run TEXT NOT NULL, about TEXT NOT NULL, facts TEXT NOT NULL, routed_at INTEGER, body TEXT,
        CHECK ((routed_at IS NULL) = (body IS NULL)));
CREATE TABLE placements (
        credential TEXT NOT NULL REFERENCES credentials (id), gen INTEGER NOT NULL, endpoint TEXT NOT NULL,
        principal TEXT NOT NULL, state TEXT NOT NULL, since INTEGER NOT NULL, owed_since INTEGER, label TEXT,
        handle TEXT, PRIMARY KEY (credential, gen, endpoint, principal)) WITHOUT ROWID;
INSERT INTO "placements" VALUES('alpha',1,'api','svc','maybe',1700000000000,1700000000050,NULL,NULL);
INSERT INTO "placements" VALUES('beta',3,'api','svc','lingers',1700000000210,1700000000210,'rot-x-3','h-3');
CREATE TABLE probes (
        sequence INTEGER PRIMARY KEY, endpoint TEXT NOT NULL, principal TEXT NOT NULL, at INTEGER NOT NULL);
INSERT INTO "probes" VALUES(6,'api','svc',1700000000210);
CREATE TABLE runs (
        id TEXT PRIMARY KEY NOT NULL, credential TEXT NOT NULL REFERENCES credentials (id), kind TEXT NOT NULL,
        format INTEGER NOT NULL, definition TEXT NOT NULL, plan TEXT NOT NULL, actor TEXT NOT NULL,
        reason TEXT NOT NULL, campaign TEXT NOT NULL, opened_at INTEGER NOT NULL, ended_at INTEGER, ending TEXT,
        wake_at INTEGER, held_why TEXT NOT NULL, owner TEXT NOT NULL, fence INTEGER NOT NULL,
        lease_until INTEGER, last_sequence INTEGER NOT NULL, woken_at INTEGER, CHECK ((ended_at IS NULL) = (ending IS NULL)));
INSERT INTO "runs" VALUES('adopt-alpha','alpha','adopt',1,'{"is":"Credential","id":"alpha","owner":"team@x.example","purpose":"keeps “orders” in step – ünïcode","workflows":["orders","alerts"],"expires":1710000000000,"tier":"T1","policy":{"is":"Policy","name":"standard","schedule":{"is":"Schedule","every":86400000,"window":{"is":"Window","start":60,"end":300,"zone":"Europe/Berlin","missed":"now"},"jitter":7200000,"missed":"now","min_age":60000},"overlap":1000,"keep_history":true,"pause":{"is":"Pause","by":"ann","reason":"freeze","until":1700000000000}},"authorities":[{"is":"AuthorityRef","endpoint":"api","kind":"key","principals":["svc"],"scopes":["read"],"params":[["a","b"]],"handle":"h-0"}],"store":{"is":"StoreRef","store":"main","path":"app/alpha","value":"key","fields":[{"is":"FieldMap","name":"user","source":"principal"}]},"consumers":[{"is":"ConsumerRef","id":"c1","endpoint":"files","kind":"file","target":"a.env","fields":[{"is":"FieldMap","name":"V","source":"value"}]}],"labels":[["team","red"]]}','{"is":"Plan","kind":"adopt","authorities":[{"is":"Authority","endpoint":"api","principals":["svc"],"slots":null}],"consumers":[{"is":"Consumer","id":"c1"}],"clocks":{"is":"Clocks","settle":5,"overlap":10}}','ann','drill','c-1',1700000000000,1700000000050,'succeeded',NULL,'','',1,NULL,2,NULL);
INSERT INTO "runs" VALUES('r-alpha','alpha','rotate',1,'{"is":"Credential","id":"alpha","owner":"team@x.example","purpose":"keeps “orders” in step – ünïcode","workflows":["orders","alerts"],"expires":1710000000000,"tier":"T1","policy":{"is":"Policy","name":"standard","schedule":{"is":"Schedule","every":86400000,"window":{"is":"Window","start":60,"end":300,"zone":"Europe/Berlin","missed":"now"},"jitter":7200000,"missed":"now","min_age":60000},"overlap":1000,"keep_history":true,"pause":{"is":"Pause","by":"ann","reason":"freeze","until":1700000000000}},"authorities":[{"is":"AuthorityRef","endpoint":"api","kind":"key","principals":["svc"],"scopes":["read"],"params":[["a","b"]],"handle":"h-0"}],"store":{"is":"StoreRef","store":"main","path":"app/alpha","value":"key","fields":[{"is":"FieldMap","name":"user","source":"principal"}]},"consumers":[{"is":"ConsumerRef","id":"c1","endpoint":"files","kind":"file","target":"a.env","fields":[{"is":"FieldMap","name":"V","source":"value"}]}],"labels":[["team","red"]]}','{"is":"Plan","kind":"rotate","authorities":[{"is":"Authority","endpoint":"api","principals":["svc"],"slots":null}],"consumers":[{"is":"Consumer","id":"c1"}],"clocks":{"is":"Clocks","settle":5,"overlap":10}}','ann','drill','c-1',1700000000100,NULL,NULL,1700000000100,'','w1',1,1700000060000,4,1800000000070);
INSERT INTO "runs" VALUES('r-beta','beta','rotate',1,'{"is":"Credential","id":"beta","owner":"team@x.example","purpose":"keeps “orders” in step – ünïcode","workflows":["orders","alerts"],"expires":1710000000000,"tier":"T1","policy":{"is":"Policy","name":"standard","schedule":{"is":"Schedule","every":86400000,"window":{"is":"Window","start":60,"end":300,"zone":"Europe/Berlin","missed":"now"},"jitter":7200000,"missed":"now","min_age":60000},"overlap":1000,"keep_history":true,"pause":{"is":"Pause","by":"ann","reason":"freeze","until":1700000000000}},"authorities":[{"is":"AuthorityRef","endpoint":"api","kind":"key","principals":["svc"],"scopes":["read"],"params":[["a","b"]],"handle":"h-0"}],"store":{"is":"StoreRef","store":"main","path":"app/beta","value":"key","fields":[{"is":"FieldMap","name":"user","source":"principal"}]},"consumers":[{"is":"ConsumerRef","id":"c1","endpoint":"files","kind":"file","target":"a.env","fields":[{"is":"FieldMap","name":"V","source":"value"}]}],"labels":[["team","red"]]}','{"is":"Plan","kind":"rotate","authorities":[{"is":"Authority","endpoint":"api","principals":["svc"],"slots":null}],"consumers":[{"is":"Consumer","id":"c1"}],"clocks":{"is":"Clocks","settle":5,"overlap":10}}','ann','drill','c-1',1700000000200,NULL,NULL,NULL,'waiting_for_you','',1,NULL,6,NULL);
CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at INTEGER);
INSERT INTO "schema_version" VALUES(1,1700000000000);
INSERT INTO "schema_version" VALUES(2,NULL);
INSERT INTO "schema_version" VALUES(3,NULL);
CREATE INDEX credentials_due ON credentials (next_due_at, id)
        WHERE managed = 1 AND adopted_at IS NOT NULL AND open_run IS NULL AND next_due_at IS NOT NULL;
CREATE UNIQUE INDEX runs_one_open ON runs (credential) WHERE ended_at IS NULL;
CREATE INDEX runs_wake ON runs (wake_at, id) WHERE ended_at IS NULL;
CREATE INDEX runs_of_credential ON runs (credential, opened_at, id);
CREATE INDEX journal_of_run ON journal (run, sequence);
CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal
        BEGIN SELECT RAISE(ABORT, 'append_only'); END;
CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal
        BEGIN SELECT RAISE(ABORT, 'append_only'); END;
CREATE INDEX placements_owed ON placements (owed_since) WHERE owed_since IS NOT NULL;
CREATE INDEX probes_of_home ON probes (endpoint, principal, at);
CREATE INDEX runs_newest ON runs (opened_at, id);
CREATE UNIQUE INDEX notices_key ON notices (key);
CREATE INDEX notices_unrouted ON notices (sequence) WHERE routed_at IS NULL;
CREATE INDEX notices_routed ON notices (routed_at) WHERE routed_at IS NOT NULL;
CREATE UNIQUE INDEX deliveries_once ON deliveries (notice, channel);
CREATE INDEX deliveries_waiting ON deliveries (channel, id, next_at) WHERE state = 'waiting';
CREATE INDEX deliveries_of_channel ON deliveries (channel, state);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('journal',6);
COMMIT;
