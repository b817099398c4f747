//! What a store reports about the encryption of an object.

use super::sandbox::sandbox;
use super::*;
use crate::object::{ByteRange, CopySource, Encryption};
use crate::sandbox::{SandboxObject, SandboxOptions, Support};

#[tokio::test]
async fn an_encrypted_object_says_so_and_its_tag_is_no_hash() {
    for (support, wanted) in [
        (Support::Honoured, Some(Encryption::Kms)),
        (Support::Ignored, None),
    ] {
        let options = SandboxOptions {
            encryption: support,
            ..SandboxOptions::default()
        };
        let (sandbox, store) = sandbox(options).await;
        sandbox.put(BUCKET, "from", SandboxObject::new("12345"));
        let new = NewObject {
            kms: true,
            ..NewObject::default()
        };
        let [put, copied, parts] = ["put", "copied", "parts"].map(Key::from);
        let written = store
            .put(&put, &new, 5, None, &WriteIf::Always, body("12345"))
            .await
            .unwrap();
        assert_eq!(written.encryption, wanted);
        let from = CopySource {
            bucket: BUCKET.into(),
            key: Key::from("from"),
            if_match: None,
        };
        assert_eq!(store.copy(&from, &copied, &new).await.unwrap().encryption, wanted);
        let upload = store.create_upload(&parts, &new).await.unwrap();
        let part = store
            .upload_part(&parts, &upload, 1, 5, None, body("12345"))
            .await
            .unwrap();
        store
            .complete_upload(&parts, &upload, &[part], &WriteIf::Always)
            .await
            .unwrap();
        for key in [&put, &copied, &parts] {
            let info = store.head(key, None).await.unwrap();
            assert_eq!(info.encryption, wanted, "{key:?}");
            let object = store.get(key, ByteRange::Whole, None).await.unwrap();
            assert_eq!(object.info.encryption, wanted, "{key:?}");
            let plain = SandboxObject::new("12345").etag;
            let same = info.etag.is_some_and(|tag| tag.as_str() == plain);
            assert_eq!(same, wanted.is_none() && *key != parts, "{key:?}");
            assert_eq!(object.info.md5().is_some(), wanted.is_none() && *key != parts);
        }
    }
}
