//! Settings that are secrets. Each can be written as it is, or stand alone in a file that another setting names.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use zeroize::Zeroizing;

use super::urls;
use crate::error::{Error, Result};
use crate::secret::{KEY_LEN, Secret};

/// Longest file of a secret, in bytes. It keeps a wrong path, such as one of a device, from filling the memory.
const LONGEST: u64 = 64 * 1024;

/// The API token.
pub(super) const TOKEN: SecretSetting = SecretSetting {
    name: "token",
    file: "token_file",
    rule: |token| {
        let fits = (16..=4096).contains(&token.len());
        fits.then_some(())
            .ok_or_else(|| "must have 16 to 4096 characters".to_owned())
    },
};
/// The sealing key.
pub(super) const SEAL_KEY: SecretSetting = SecretSetting {
    name: "seal_key",
    file: "seal_key_file",
    rule: |key| {
        decode_key(key)
            .map(drop)
            .ok_or_else(|| format!("must have {} hexadecimal digits", KEY_LEN * 2))
    },
};
/// The URL of the ledger, because it may contain a password.
pub(super) const LEDGER_URL: SecretSetting = SecretSetting {
    name: "ledger_url",
    file: "ledger_url_file",
    rule: urls::check_ledger,
};
/// A setting that is a secret.
pub(super) struct SecretSetting {
    name: &'static str,
    /// The setting that names a file with the secret.
    file: &'static str,
    /// What a value must be. An error is the end of a sentence that begins with the name of the setting, and never contains
    /// the value.
    rule: fn(&str) -> std::result::Result<(), String>,
}

impl SecretSetting {
    /// The secret, from its own setting or from the file. Checked.
    ///
    /// # Errors
    /// `InvalidArgument` that names the setting: both are set, the file cannot be read, or the value breaks the rule.
    pub(super) fn resolve(&self, value: Option<Secret>, file: Option<&Path>) -> Result<Option<Secret>> {
        let (name, secret) = match (value, file) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                let text = format!("{} and {} are both set; remove one of them", self.name, self.file);
                return Err(Error::invalid(text));
            }
            (Some(value), None) => (self.name, value),
            (None, Some(file)) => (self.file, read(file).map_err(|error| error.during(self.file))?),
        };
        match (self.rule)(secret.expose()) {
            Ok(()) => Ok(Some(secret)),
            Err(rule) => Err(Error::invalid(format!("{name} {rule}"))),
        }
    }
}

/// Checks what the file of a setting holds.
///
/// # Errors
/// `InvalidArgument` that names the setting.
pub(super) fn check_file(
    name: &'static str,
    file: &Path,
    rule: impl FnOnce(&str) -> std::result::Result<(), String>,
) -> Result<()> {
    let secret = read(file).map_err(|error| error.during(name))?;
    rule(secret.expose()).map_err(|rule| Error::invalid(format!("{name} {rule}")))
}

/// The bytes of a sealing key that is written as hexadecimal digits.
pub(super) fn decode_key(text: &str) -> Option<Zeroizing<[u8; KEY_LEN]>> {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    hex::decode_to_slice(text, &mut *key).ok()?;
    Some(key)
}

/// The text of a file, without white space around it.
fn read(path: &Path) -> Result<Secret> {
    let shown = path.display();
    if !path.is_file() {
        return Err(Error::invalid(format!("{shown} is not a file")));
    }
    let mut text = Zeroizing::new(String::new());
    let read = File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text));
    match read {
        Err(error) => Err(Error::invalid(format!("{shown} cannot be read: {error}")).with_source(error)),
        Ok(_) if text.len() as u64 > LONGEST => {
            Err(Error::invalid(format!("{shown} has more than {LONGEST} bytes")))
        }
        Ok(_) if text.trim().is_empty() => Err(Error::invalid(format!("{shown} is empty"))),
        Ok(_) => Ok(Secret::new(text.trim())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_stands_in_its_setting_or_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, " a-token-in-a-file\n").unwrap();
        let read = TOKEN.resolve(None, Some(&file)).unwrap().unwrap();
        assert_eq!(read.expose(), "a-token-in-a-file");
        let own = TOKEN
            .resolve(Some(Secret::new(" it is kept as it is ")), None)
            .unwrap();
        assert_eq!(own.unwrap().expose(), " it is kept as it is ");
        assert!(TOKEN.resolve(None, None).unwrap().is_none());
        let both = TOKEN
            .resolve(Some(Secret::new("a-token-of-a-variable")), Some(&file))
            .unwrap_err();
        assert!(both.message().contains("token and token_file are both set"));
    }

    #[test]
    fn a_file_without_a_secret_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("seal");
        let refused = |bytes: &[u8]| {
            std::fs::write(&file, bytes).unwrap();
            let error = SEAL_KEY.resolve(None, Some(&file)).unwrap_err();
            error.message().to_owned()
        };
        for (bytes, wanted) in [
            (&b" \n"[..], "is empty"),
            (b"\xff\xfe", "cannot be read"),
            (&[b'a'; 70_000], "more than 65536 bytes"),
        ] {
            let message = refused(bytes);
            assert!(message.contains(wanted), "{message}");
            assert!(
                message.starts_with("seal_key_file: ") && message.contains(file.to_str().unwrap()),
                "{message}"
            );
        }
        assert_eq!(
            refused(b"canary"),
            "seal_key_file must have 64 hexadecimal digits"
        );
        for path in [folder.path().join("nothing"), folder.path().to_owned(), "".into()] {
            let error = SEAL_KEY.resolve(None, Some(&path)).unwrap_err();
            assert!(error.message().contains("is not a file"), "{error}");
        }
    }

    #[test]
    fn a_sealing_key_has_hexadecimal_digits_of_both_cases() {
        assert!(decode_key(&"0aF9".repeat(16)).is_some());
        for wrong in ["", "00", &"0".repeat(63), &"0".repeat(66), &"g".repeat(64)] {
            let error = SEAL_KEY.resolve(Some(Secret::new(wrong)), None).unwrap_err();
            assert_eq!(error.message(), "seal_key must have 64 hexadecimal digits");
        }
    }
}
