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
//! # When to leave SQLite
//!
//! One process with the ledger in its data folder needs nothing else, is the fastest for one machine, and survives kills and
//! restarts. Move to PostgreSQL when
//!
//! * one machine's network or processor is the limit: workers share a task, down to ranges of one prefix;
//! * work must go on although a machine is gone;
//! * the API must be up while workers are replaced.
//!
//! `oms ledger copy --from FOLDER --to URL` moves the ledger of a stopped service. Tasks go on where they stood.
//!
//! # Who does what
//!
//! A running task has one **coordinator**: the worker that leased the task. It checks both sides, opens the pass, counts the scope,
//! writes the reports, and ends the task. Every worker, the coordinator too, leases **shards** and works on them. While a worker
//! has nothing to do, it says so in the ledger, and a worker that holds shards splits one for it. Shards are ranges of a prefix,
//! or of the recorded failures. The names of a manifest, and the parts of one large object, stay with one worker.
//!
//! `GET .../task/{id}` shows the workers of a running task, `oms workers` all workers.
//!
//! * `thread_num` and `max_requests` hold for each worker. `parallel_tasks` is also, for the API's process, the number of tasks that
//!   NATS hands out to the whole fleet at a time.
//! * Bandwidth windows hold for the task: the workers share the limit, by what each of them has used.
//! * A stop reaches every worker within about a second, also without NATS. The task is paused when the last worker has left.
//! * What a worker cannot do for reasons that concern the whole task (wrong credentials, a full target) ends the task for all.
//!
//! # Leases
//!
//! A lease lasts `lease_seconds` from its holder's last commit. A holder commits every second, and at least every fifth of the lease. After three
//! fifths of it without the ledger it writes nothing more to the target: bodies that are on their way end with an error. Each lease
//! has a random fencing token, and every commit carries it, so a worker that comes back late changes nothing. All processes judge
//! leases by the clock of PostgreSQL. A commit whose answer is lost is repeated and counted once.
//!
//! Several leases of a shard that end without a word and without progress end the task, and its reason names the shard: perhaps an
//! object in it ends the process that copies it.
//!
//! # What happens when a part is gone
//!
//! | gone | what happens |
//! |---|---|
//! | a worker | others take over its shards when their leases end, from the last commit. The uploads that it left open are resumed |
//! | the coordinator | the same; the shards of other workers are not touched |
//! | the API | running tasks go on |
//! | PostgreSQL | workers repeat their commits for three fifths of a lease, then stop writing and wait. The API answers 503 |
//! | NATS | new work is found in the ledger, a few seconds later. Stops still take a second |
//! | a worker's connection to one of them | as if that one were gone, for this worker alone |
//!
//! One request that is already at the target when a lease ends cannot be called back. If the target has no conditional writes, it may replace
//! what the next holder has written, with the same version or an older one; the next pass repairs that.
//!
//! # Backup, upgrade, size
//!
//! * Back up PostgreSQL, and the sealing key elsewhere. NATS needs no backup. A failover that loses the last seconds is safe for
//!   objects and counters; an upload id may be lost with it, so use a synchronous standby.
//! * Upgrade: stop the workers, start the new `oms serve`, which brings the schema up to date, then start the new workers. A worker
//!   of another version refuses to start.
//! * Each process keeps up to four connections. PgBouncer 1.21 or newer may stand in between, in transaction mode; `oms serve` needs
//!   a direct URL when it brings the schema up to date.
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
