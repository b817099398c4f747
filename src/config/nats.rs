//! How to reach the NATS server that hands out work.

use std::path::{Path, PathBuf};

use super::{secrets, urls};
use crate::error::{Error, Result};
use crate::net::Authorities;
use crate::secret::Secret;

/// Length of the seed of an nkey.
const SEED_LEN: usize = 58;

/// How to reach the NATS server that hands out work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nats {
    /// Address, perhaps with a user and a password.
    pub url: Secret,
    /// File of credentials (JWT and seed).
    pub creds_file: Option<PathBuf>,
    /// File of the seed of an nkey, perhaps with white space around it.
    pub nkey_file: Option<PathBuf>,
    /// PEM file of authorities that are trusted in addition.
    pub ca_file: Option<PathBuf>,
}

/// What a file must contain.
type Check = fn(&'static str, &Path) -> Result<()>;

impl Nats {
    /// Checks the URL and the files. Without a URL the files must not be set.
    ///
    /// # Errors
    /// `InvalidArgument` that names the setting.
    pub(super) fn check(&self) -> Result<()> {
        let Self {
            url,
            creds_file,
            nkey_file,
            ca_file,
        } = self;
        let files: [(&str, &Option<PathBuf>, Check); 3] = [
            ("nats_creds_file", creds_file, check_creds),
            ("nats_nkey_file", nkey_file, check_nkey),
            ("nats_ca_file", ca_file, check_authorities),
        ];
        for (name, file, check) in files {
            let Some(file) = file else { continue };
            if self.is_absent() {
                let text = format!("{name} has no effect without nats_url; set nats_url, or remove {name}");
                return Err(Error::invalid(text));
            }
            check(name, file)?;
        }
        if creds_file.is_some() && nkey_file.is_some() {
            let text = "nats_creds_file and nats_nkey_file are both set; remove one of them";
            return Err(Error::invalid(text));
        }
        urls::check_nats(url.expose()).map_err(|rule| Error::invalid(format!("nats_url {rule}")))
    }

    /// Whether no server is set.
    pub(super) fn is_absent(&self) -> bool {
        self.url.expose().is_empty()
    }
}

fn check_creds(name: &'static str, file: &Path) -> Result<()> {
    secrets::check_file(name, file, |text| {
        let parts = ["-----BEGIN NATS USER JWT-----", "-----BEGIN USER NKEY SEED-----"];
        let has_all = parts.iter().all(|part| text.contains(part));
        has_all
            .then_some(())
            .ok_or_else(|| "must hold a NATS user JWT and the seed of its nkey".to_owned())
    })
}

fn check_nkey(name: &'static str, file: &Path) -> Result<()> {
    secrets::check_file(name, file, |text| {
        let is_base32 = |b: u8| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b);
        let is_seed = text.len() == SEED_LEN && text.starts_with("SU") && text.bytes().all(is_base32);
        is_seed.then_some(()).ok_or_else(|| {
            format!("must hold the seed of a user's nkey: {SEED_LEN} characters that begin with SU")
        })
    })
}

fn check_authorities(name: &'static str, file: &Path) -> Result<()> {
    Authorities::read(file)
        .map(drop)
        .map_err(|error| error.during(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nats(url: &str) -> Nats {
        Nats {
            url: Secret::new(url),
            creds_file: None,
            nkey_file: None,
            ca_file: None,
        }
    }

    /// The reason of a refusal, or nothing.
    fn said(nats: &Nats) -> String {
        nats.check()
            .map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn files_belong_to_a_server_and_hold_what_their_names_say() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            Some(file)
        };
        let seed = "SUAAVMC2UQBT7LZ3C5Q6DXJ4NYRGKWPEHOTFIAVMC2UQBT7LZ3C5Q6DXJ4";
        assert_eq!(seed.len(), SEED_LEN);
        let nkey = write("nkey", &format!("{seed}\n"));
        let creds = write(
            "creds",
            "-----BEGIN NATS USER JWT-----\nx\n------END NATS USER JWT------\n\
             -----BEGIN USER NKEY SEED-----\nx\n------END USER NKEY SEED------\n",
        );
        let canary = write("canary", "canary");
        let account = write("account", &seed.replace("SU", "SA"));
        let gone = Some(folder.path().join("nothing"));
        let with = |url: &str, [creds_file, nkey_file, ca_file]: [&Option<PathBuf>; 3]| Nats {
            creds_file: creds_file.clone(),
            nkey_file: nkey_file.clone(),
            ca_file: ca_file.clone(),
            ..nats(url)
        };
        let none = &None;
        let url = "nats://nats";
        for (nats, wanted) in [
            (nats(""), ""),
            (nats(url), ""),
            (with(url, [none, &nkey, none]), ""),
            (with(url, [&creds, none, none]), ""),
            (
                with("", [&creds, none, none]),
                "nats_creds_file has no effect without nats_url",
            ),
            (
                with("", [none, none, &creds]),
                "nats_ca_file has no effect without nats_url",
            ),
            (
                with(url, [&creds, &nkey, none]),
                "nats_creds_file and nats_nkey_file",
            ),
            (with(url, [&gone, none, none]), "nats_creds_file: "),
            (with(url, [&canary, none, none]), "nats_creds_file must hold"),
            (with(url, [none, &gone, none]), "nats_nkey_file: "),
            (
                with(url, [none, &canary, none]),
                "nats_nkey_file must hold the seed",
            ),
            (
                with(url, [none, &account, none]),
                "nats_nkey_file must hold the seed",
            ),
            (with(url, [none, none, &gone]), "nats_ca_file: "),
            (with(url, [none, none, &nkey]), "nats_ca_file: "),
            (nats("http://canary"), "nats_url has the scheme 'http'"),
        ] {
            let said = said(&nats).replace(folder.path().to_str().unwrap(), "");
            assert!(
                said.starts_with(wanted) && said.is_empty() == wanted.is_empty(),
                "{wanted}: {said}"
            );
            assert!(!said.contains("://canary") && !said.contains(seed), "{said}");
        }
    }

    #[test]
    fn a_url_is_never_shown() {
        let shown = format!("{:?}", nats("nats://oms:canary@nats"));
        assert!(!shown.contains("canary"), "{shown}");
    }
}
