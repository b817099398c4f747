//! The token and the sealing key of a service that owns its data folder. They are made at the first start.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind as Io, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};
use crate::secret::{KEY_LEN, Secret};

/// Origin of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenOrigin {
    /// It was created just now, at the first start.
    Made,
    /// It was in the data folder.
    File,
    /// The configuration or `OMS_TOKEN` set it.
    Configured,
}

pub(super) fn make_folder(folder: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| unusable(folder, error))
}

fn unusable(path: &Path, error: std::io::Error) -> Error {
    let kind = match error.kind() {
        Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::PermissionDenied,
        Io::StorageFull => ErrorKind::StorageFull,
        _ => ErrorKind::Internal,
    };
    Error::new(kind, format!("{} cannot be used: {error}", path.display())).with_source(error)
}

pub(super) fn read_or_make_token(path: &Path) -> Result<(Secret, TokenOrigin)> {
    let (text, made) = read_or_make(path)?;
    if text.len() < 16 {
        return Err(Error::invalid(format!(
            "{}: the token must have at least 16 characters",
            path.display()
        )));
    }
    Ok((
        Secret::new(text.as_str()),
        if made {
            TokenOrigin::Made
        } else {
            TokenOrigin::File
        },
    ))
}

pub(super) fn read_or_make_key(path: &Path) -> Result<Zeroizing<[u8; KEY_LEN]>> {
    let (text, _) = read_or_make(path)?;
    let mut key = Zeroizing::new([0; KEY_LEN]);
    hex::decode_to_slice(text.as_str(), &mut *key).map_err(|_| {
        let text = format!("{}: must hold {} hexadecimal digits", path.display(), KEY_LEN * 2);
        Error::invalid(text)
    })?;
    Ok(key)
}

/// A file of one line that only its owner may read. Returns its line; if there is no file, writes 32 random bytes in
/// hexadecimal to it.
fn read_or_make(path: &Path) -> Result<(Zeroizing<String>, bool)> {
    match fs::read_to_string(path) {
        Ok(text) => Ok((Zeroizing::new(text.trim().to_owned()), false)),
        Err(error) if error.kind() == Io::NotFound => {
            let text = Zeroizing::new(hex::encode(rand::random::<[u8; KEY_LEN]>()));
            write_whole(path, &text).map_err(|error| unusable(path, error))?;
            Ok((text, true))
        }
        Err(error) => Err(unusable(path, error)),
    }
}

/// Writes a private file so that a crash leaves either all of it or nothing. An incomplete key would prevent the
/// service from starting.
fn write_whole(path: &Path, line: &str) -> std::io::Result<()> {
    let mut draft = path.to_owned();
    draft.as_mut_os_string().push(".new");
    // A file that a crash left behind may have other permissions.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != Io::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    writeln!(file, "{line}")?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_token_is_made_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let (made, first) = read_or_make_token(&path).unwrap();
        let (read, second) = read_or_make_token(&path).unwrap();
        assert_eq!((first, second), (TokenOrigin::Made, TokenOrigin::File));
        assert!(made == read && made.expose().len() == 64);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "no draft remains"
        );
    }

    #[test]
    fn a_crash_while_the_token_is_made_does_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(folder.path().join("token.new"), "half").unwrap();
        let (made, _) = read_or_make_token(&path).unwrap();
        assert_eq!(made.expose().len(), 64);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_broken_key_file_is_named_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seal.key");
        fs::write(&path, "nonsense").unwrap();
        assert!(
            read_or_make_key(&path)
                .unwrap_err()
                .message()
                .contains("seal.key")
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "nonsense");
    }
}
