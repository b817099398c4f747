//! Tests of what a configuration file may contain.

use super::*;

fn load(text: &str) -> Result<Config> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("oms.toml");
    std::fs::write(&file, text).unwrap();
    Config::load(Role::Serve, Some(&file), Flags::default())
}

#[test]
fn a_file_sets_what_it_names() {
    let config = load(
        "listen = 'localhost:9000'\nallow_networks = ['10.0.0.0/8', '10.0.0.7']\ncors_origins = ['https://a.example']\ntime_zone = 'Asia/Shanghai'\n\
         [[regions]]\ncloud = 'Aliyun'\nregion = 'lab'\nendpoint = 'http://10.0.0.1:9000'\n",
    )
    .unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:9000");
    let networks: Vec<String> = config.allow_networks.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "10.0.0.7/32"]);
    assert_ne!(config.origins().unwrap(), Origins::Own);
    assert_eq!(config.parallel_tasks, 5);
    let resolved =
        config
            .catalogue()
            .unwrap()
            .resolve(crate::object::clouds::Side::Source, Cloud::Aliyun, "lab", None);
    assert_eq!(resolved.unwrap().url, "http://10.0.0.1:9000");
}

#[test]
fn values_are_not_repeated() {
    for (text, place) in [
        ("token = 12345678901234567", "token: expected"),
        ("token = ['canary-0123456789']", "token: expected"),
        (
            "parallel_tasks = 5\ntoken = \"canary-0123456789",
            "line 2, column",
        ),
        ("token = canary-0123456789", "line 1, column"),
        (
            "request_endpoints = 'canary-0123456789'",
            "one of allowed, refused",
        ),
        ("work = 'canary-0123456789'", "one of here, elsewhere"),
        ("seal_key = 123456789", "seal_key: expected"),
        ("ledger_url = 123456789", "ledger_url: expected"),
        ("nats_url = ['canary-0123456789']", "nats_url: expected"),
    ] {
        let error = load(text).unwrap_err();
        let message = error.message();
        assert!(
            message.contains(place) && message.contains("oms.toml"),
            "{message}"
        );
        assert!(
            !message.contains("0123456789") && !message.contains('\n'),
            "{message}"
        );
    }
}

#[test]
fn mistakes_are_named() {
    for (text, word) in [
        ("lisen = 'x'", "lisen"),
        ("listen = 'x'", "listen"),
        ("parallel_tasks = 0", "parallel_tasks"),
        ("time_zone = 'Mars/Olympus'", "time_zone"),
        ("listen = '8080'", "such as 127.0.0.1:8080"),
        ("allow_networks = ['10.0.0.0/99']", "allow_networks"),
        ("allow_networks = ['here']", "an address such as 10.0.0.7"),
        ("cors_origins = ['https://h/']", "cors_origins: entry 1"),
        ("cors_origins = ['*', 'https://h']", "cors_origins"),
        ("cors_origins = '*'", "cors_origins"),
        ("token = 'short'", "token must have"),
        ("token_file = 'no/such/file'", "token_file: no/such/file"),
        (
            "token = '0123456789abcdef'\ntoken_file = 'f'",
            "token and token_file",
        ),
        ("seal_key = 'short'", "seal_key must have 64"),
        ("seal_key_file = '/dev/null'", "seal_key_file: /dev/null"),
        (
            "ledger_url = 'mysql://db/oms'",
            "ledger_url has the scheme 'mysql'",
        ),
        ("ledger_url_file = ''", "ledger_url_file: "),
        ("nats_url = 'http://nats'", "nats_url has the scheme 'http'"),
        ("nats_url = 'nats://nats'", "ledger_url is missing"),
        ("nats_nkey_file = 'f'", "nats_nkey_file has no effect"),
        ("work = 'elsewhere'", "ledger_url is missing"),
        ("lease_seconds = 1", "lease_seconds must lie between 2 and 3600"),
        ("lease_seconds = 3601", "lease_seconds must lie"),
        ("worker_name = 'a b'", "worker_name must have"),
        (
            "[[regions]]\ncloud = 'X'\nregion = 'r'\nendpoint = 'http://h'",
            "cloud",
        ),
        ("projects = ['a b']", "projects: a project id has"),
    ] {
        let error = load(text).unwrap_err();
        assert!(error.message().contains(word), "{text}: {error}");
    }
    let missing = Config::load(Role::Serve, Some(Path::new("no/such/file")), Flags::default()).unwrap_err();
    assert!(missing.message().contains("--config"));
}

/// A file that is complete for many machines, except what is in `without`.
fn for_many_machines(without: &str) -> String {
    let key = "0".repeat(64);
    [
        "ledger_url = 'postgres://oms:canary@db/oms'",
        "token = '0123456789abcdef'",
        &format!("seal_key = '{key}'"),
        "nats_url = 'tls://oms:canary@nats'",
        "lease_seconds = 2",
        "work = 'elsewhere'",
        "worker_name = 'node-1'",
    ]
    .into_iter()
    .filter(|line| line.split(' ').next() != Some(without))
    .collect::<Vec<_>>()
    .join("\n")
}

#[test]
fn many_machines_share_a_ledger() {
    let config = load(&for_many_machines("")).unwrap();
    let url = |text: &str| Secret::new(text);
    assert_eq!(
        config.database(),
        Database::Postgres(url("postgres://oms:canary@db/oms"))
    );
    assert_eq!(config.nats().unwrap().url, url("tls://oms:canary@nats"));
    assert_eq!(*config.seal_key().unwrap(), [0; KEY_LEN]);
    assert_eq!(
        (config.lease(), config.work),
        (Duration::from_secs(2), Work::Elsewhere)
    );
    assert_eq!(config.worker_name(), "node-1");
    let shown = format!("{config:?} {:?} {:?}", config.nats(), config.database());
    assert!(!shown.contains("canary"), "{shown}");
    for (without, named) in [
        ("token", "token (or token_file) is missing"),
        ("seal_key", "seal_key (or seal_key_file) is missing"),
        ("ledger_url", "ledger_url is missing: nats_url needs"),
    ] {
        let error = load(&for_many_machines(without)).unwrap_err();
        assert!(error.message().contains(named), "{error}");
        assert!(!error.message().contains("canary"), "{error}");
    }
}

#[test]
fn without_a_ledger_url_everything_is_as_before() {
    let config = load("ledger_url = ''\nnats_url = ''").unwrap();
    assert_eq!(
        (config.database(), config.nats(), config.work),
        (Database::Sqlite, None, Work::Here)
    );
    assert_eq!(config.lease(), Duration::from_secs(20));
    assert!(config.seal_key().is_none() && config.token().is_none());
    assert!(
        config
            .worker_name()
            .ends_with(&format!("-{}", std::process::id()))
    );
}

#[test]
fn secrets_are_read_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for (setting, value) in [
        ("ledger_url", "postgres://oms:canary@db/oms\n"),
        ("token", "0123456789abcdef\n"),
        ("seal_key", &"0".repeat(64)),
    ] {
        let file = folder.path().join(setting);
        std::fs::write(&file, value).unwrap();
        text += &format!("{setting}_file = '{}'\n", file.display());
    }
    let config = load(&text).unwrap();
    assert_eq!(config.token().unwrap().expose(), "0123456789abcdef");
    assert_eq!(*config.seal_key().unwrap(), [0; KEY_LEN]);
    assert_eq!(
        config.database(),
        Database::Postgres(Secret::new("postgres://oms:canary@db/oms"))
    );
}

#[test]
fn flags_override_and_are_checked_with_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("oms.toml");
    std::fs::write(&file, for_many_machines("ledger_url")).unwrap();
    let load = |role: Role, flags: Flags| Config::load(role, Some(&file), flags);
    let ledger = |url: &str| Flags {
        ledger_url: Some(Secret::new(url)),
        ..Flags::default()
    };
    load(Role::Serve, ledger("postgres://db/oms")).unwrap();
    load(Role::Worker, ledger("postgres://db/oms")).unwrap();
    let wrong = load(Role::Serve, ledger("mysql://oms:canary@db/oms")).unwrap_err();
    assert!(wrong.message().contains("'mysql'") && !wrong.message().contains("canary"));
    let other = Flags {
        nats_url: Some(Secret::new("nats://other")),
        work: Some(Work::Elsewhere),
        ..ledger("postgres://db/oms")
    };
    let config = load(Role::Serve, other).unwrap();
    assert_eq!(config.nats().unwrap().url.expose(), "nats://other");
    let alone = load(Role::Worker, Flags::default()).unwrap_err();
    assert!(
        alone.message().contains("workers share a PostgreSQL ledger"),
        "{alone}"
    );
}

#[test]
fn each_setting_except_tables_has_a_variable() {
    let error = load("unknown = 1").unwrap_err();
    let (_, known) = error.message().split_once("expected").unwrap();
    let settings: Vec<&str> = known
        .split('`')
        .filter(|part| part.len() > 2 && !part.contains(' '))
        .collect();
    assert!(settings.len() > 20, "{settings:?}");
    let variables: Vec<String> = Config::variables().collect();
    for setting in &settings {
        let variable = format!("OMS_{}", setting.to_uppercase());
        assert!(
            variables.contains(&variable) != (*setting == "regions"),
            "{setting}"
        );
    }
    assert_eq!(variables.len() + 1, settings.len());
}
