//! Several processes and machines: how they meet, their settings, and files that start them.
//!
//! # How they meet
//!
//! | part | what for | how many |
//! |---|---|---|
//! | PostgreSQL 15 or newer | the ledger, the only truth | one, with a standby that it commits to |
//! | NATS 2.12 or newer with JetStream | hands out work at once. If it loses everything, the ledger fills it again. Without it, processes look for work in the ledger | one, or a cluster |
//! | `oms serve --no-worker` | the API; brings the ledger up to date | one or more |
//! | `oms worker` | work | any number |
//!
//! Any of them may be killed, cut off or added at any time. `oms serve` with a PostgreSQL ledger and without `--no-worker` is the
//! API and a worker in one process.
//!
//! # Settings
//!
//! Each stands in the file of `--config`, or in a variable (`OMS_LEDGER_URL` for `ledger_url`). Three of them are also flags.
//!
//! | setting | default | meaning |
//! |---|---|---|
//! | `ledger_url`, `--ledger-url` | SQLite in `data_dir` | `postgres://user:password@host/database?sslmode=verify-full` |
//! | `nats_url`, `--nats-url` | none | `nats://host:4222` or `tls://host:4222`; needs a PostgreSQL ledger, because NATS only hands out work and the ledger is the truth that workers share |
//! | `nats_creds_file` or `nats_nkey_file` | none | who we are to NATS: a JWT with its seed, or the seed of an nkey |
//! | `nats_ca_file` | none | PEM file of authorities that are trusted beside the roots of the machine |
//! | `lease_seconds` | 20 | how long a worker may be silent before another one takes over its work: 2 to 3600, the same everywhere |
//! | `seal_key` | made in `data_dir` | 64 hexadecimal digits, the same everywhere. They seal credentials in the ledger |
//! | `work`, `--no-worker` | `here` | `elsewhere`: this `serve` has no worker; needs a PostgreSQL ledger |
//! | `worker_name` | host and process | name of a worker in logs and lists |
//! | `token_file`, `seal_key_file`, `ledger_url_file` | none | files that hold `token`, `seal_key`, `ledger_url` and nothing else |
//!
//! * With a PostgreSQL ledger nothing is made in the data folder: `seal_key` must be set, and for `serve` also `token`.
//! * A secret stands in its setting or in its file, not in both. Secrets and URLs are never shown, neither in logs nor in messages.
//!   Flags are visible to other users of a machine: give a URL with a password by a variable or a file.
//!
//! # Files
//!
//! | command | prints |
//! |---|---|
//! | `oms deploy compose` | PostgreSQL, NATS, the API and workers on one machine; only 127.0.0.1:8080 is published |
//! | `oms deploy systemd` | hardened units of the API and of workers, for machines that reach PostgreSQL and NATS |
//! | `oms deploy kubernetes` | the API, workers, and who may reach whom; PostgreSQL and NATS are elsewhere |
//!
//! Each file begins with what to do before it is used. None contains a secret. A worker needs fewer permissions at NATS than the API;
//! the file of Compose has them.
