//! Multipart uploads from creation to completion.

use super::*;
use crate::sandbox::SandboxObject;

async fn small_parts() -> (Sandbox, Client) {
    start(SandboxOptions {
        min_part_size: 4,
        ..SandboxOptions::default()
    })
    .await
}

async fn create(client: &Client, key: &str, headers: &[(&str, &str)]) -> String {
    let answer = client
        .call("POST", &format!("{}?uploads=", path_of(key)), headers, "")
        .await
        .unwrap();
    answer
        .one("UploadId")
        .unwrap_or_else(|| panic!("{}", answer.text()))
}

fn part_path(key: &str, number: usize, id: &str) -> String {
    format!("{}?partNumber={number}&uploadId={id}", path_of(key))
}

fn document(parts: &[(usize, &str)]) -> String {
    let line = |(number, etag): &(usize, &str)| {
        let etag = etag.replace('"', "&quot;");
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
    };
    format!(
        "<CompleteMultipartUpload>{}</CompleteMultipartUpload>",
        parts.iter().map(line).collect::<String>()
    )
}

async fn complete(client: &Client, key: &str, id: &str, parts: &[(usize, &str)]) -> Answer {
    client
        .call(
            "POST",
            &format!("{}?uploadId={id}", path_of(key)),
            &[],
            document(parts),
        )
        .await
        .unwrap()
}

#[tokio::test]
async fn parts_become_an_object() {
    let (sandbox, client) = small_parts().await;
    let key = "a//b \u{1}é";
    let headers = [
        ("content-type", "x/y"),
        ("x-amz-meta-m", "1"),
        ("x-amz-tagging", "t=1"),
    ];
    let id = create(&client, key, &headers).await;
    let mut etags = Vec::new();
    for (number, data) in [(1, "0123"), (3, "4567"), (7, "89")] {
        let answer = client
            .call("PUT", &part_path(key, number, &id), &[], data)
            .await
            .unwrap();
        etags.push((number, answer.header("etag").unwrap().to_owned()));
    }
    let named: Vec<(usize, &str)> = etags
        .iter()
        .map(|(number, etag)| (*number, etag.as_str()))
        .collect();

    let first = client
        .call(
            "GET",
            &format!("{}?uploadId={id}&max-parts=2", path_of(key)),
            &[],
            "",
        )
        .await
        .unwrap();
    assert_eq!(
        (first.all("PartNumber"), first.all("Size")),
        (vec!["1".into(), "3".into()], vec!["4".into(); 2])
    );
    assert_eq!(
        (
            first.one("IsTruncated").unwrap().as_str(),
            first.one("NextPartNumberMarker").unwrap().as_str()
        ),
        ("true", "3")
    );
    let path = format!("{}?uploadId={id}&part-number-marker=3", path_of(key));
    let rest = client.call("GET", &path, &[], "").await.unwrap();
    assert_eq!(
        (rest.all("PartNumber"), rest.one("IsTruncated").as_deref()),
        (vec!["7".into()], Some("false"))
    );

    assert_eq!(
        complete(&client, key, &id, &[named[1], named[0]]).await.code(),
        "InvalidPartOrder"
    );
    assert_eq!(
        complete(&client, key, &id, &[(1, named[1].1)]).await.code(),
        "InvalidPart"
    );
    assert_eq!(
        complete(&client, key, &id, &[(2, named[0].1)]).await.code(),
        "InvalidPart"
    );
    assert_eq!(complete(&client, key, &id, &[]).await.code(), "MalformedXML");
    assert_eq!(sandbox.open_uploads(BUCKET), 1);
    let answer = complete(&client, key, &id, &named).await;
    assert_eq!(answer.status, 200, "{}", answer.text());

    let stored = sandbox.get(BUCKET, key).unwrap();
    let expected = SandboxObject::multipart("0123456789", 4);
    assert_eq!(
        (&stored.data, &stored.etag, &stored.part_sizes),
        (&expected.data, &expected.etag, &expected.part_sizes)
    );
    assert_eq!(answer.one("ETag").unwrap(), format!("\"{}\"", expected.etag));
    assert_eq!(
        (stored.content_type.as_deref(), stored.metadata["m"].as_str()),
        (Some("x/y"), "1")
    );
    assert_eq!(stored.tags, [("t".into(), "1".into())]);
    assert_eq!(sandbox.open_uploads(BUCKET), 0);
    assert_eq!(complete(&client, key, &id, &named).await.code(), "NoSuchUpload");
    assert_eq!(
        client
            .call("PUT", &part_path(key, 1, &id), &[], "x")
            .await
            .unwrap()
            .code(),
        "NoSuchUpload"
    );
}

#[tokio::test]
async fn small_parts_and_aborted_uploads() {
    let (sandbox, client) = plain().await;
    let id = create(&client, "k", &[]).await;
    let etag = format!("\"{}\"", SandboxObject::new("x").etag);
    for number in [1, 2] {
        client
            .call("PUT", &part_path("k", number, &id), &[], "x")
            .await
            .unwrap();
    }
    assert_eq!(
        complete(&client, "k", &id, &[(1, &etag), (2, &etag)])
            .await
            .code(),
        "EntityTooSmall"
    );
    assert_eq!(
        complete(&client, "other", &id, &[(1, &etag)]).await.code(),
        "NoSuchUpload"
    );
    assert_eq!(
        client
            .call("PUT", &part_path("k", 10_001, &id), &[], "x")
            .await
            .unwrap()
            .code(),
        "InvalidArgument"
    );
    let path = format!("{}?uploadId={id}", path_of("k"));
    assert_eq!(client.call("DELETE", &path, &[], "").await.unwrap().status, 204);
    assert_eq!(
        client.call("DELETE", &path, &[], "").await.unwrap().code(),
        "NoSuchUpload"
    );
    assert_eq!((sandbox.open_uploads(BUCKET), sandbox.keys(BUCKET).len()), (0, 0));
}

#[tokio::test]
async fn conditional_completion_keeps_the_upload() {
    let (sandbox, client) = small_parts().await;
    let id = create(&client, "k", &[]).await;
    let etag = format!("\"{}\"", SandboxObject::new("x").etag);
    client
        .call("PUT", &part_path("k", 1, &id), &[], "x")
        .await
        .unwrap();
    sandbox.put(BUCKET, "k", SandboxObject::new("first"));
    let path = format!("{}?uploadId={id}", path_of("k"));
    let answer = client
        .call("POST", &path, &[("if-none-match", "*")], document(&[(1, &etag)]))
        .await
        .unwrap();
    assert_eq!((answer.status, sandbox.open_uploads(BUCKET)), (412, 1));
    assert_eq!(sandbox.get(BUCKET, "k").unwrap().data, "first");
}

#[tokio::test]
async fn parts_are_copied() {
    let (sandbox, client) = small_parts().await;
    sandbox.put(BUCKET, "from", SandboxObject::new("0123456789"));
    let id = create(&client, "to", &[]).await;
    let source = ("x-amz-copy-source", "test-bucket/from");
    let ranges = ["bytes=0-3", "bytes=4-7", "bytes=8-9"];
    let mut etags = Vec::new();
    for (index, range) in ranges.iter().enumerate() {
        let headers = [source, ("x-amz-copy-source-range", *range)];
        let answer = client
            .call("PUT", &part_path("to", index + 1, &id), &headers, "")
            .await
            .unwrap();
        etags.push(answer.one("ETag").unwrap());
    }
    for (headers, code) in [
        (("x-amz-copy-source-range", "bytes=8-10"), "InvalidArgument"),
        (("x-amz-copy-source-if-match", "\"old\""), "PreconditionFailed"),
    ] {
        let answer = client
            .call("PUT", &part_path("to", 4, &id), &[source, headers], "")
            .await
            .unwrap();
        assert_eq!(answer.code(), code);
    }
    let named: Vec<(usize, &str)> = etags
        .iter()
        .enumerate()
        .map(|(index, etag)| (index + 1, etag.as_str()))
        .collect();
    assert_eq!(complete(&client, "to", &id, &named).await.status, 200);
    assert_eq!(
        sandbox.get(BUCKET, "to").unwrap().etag,
        SandboxObject::multipart("0123456789", 4).etag
    );
}

#[tokio::test]
async fn uploads_are_listed_in_pages() {
    let (_sandbox, client) = plain().await;
    let mut expected = Vec::new();
    for key in ["a", "a", "b/1", "b/2"] {
        expected.push((key.to_owned(), create(&client, key, &[]).await));
    }
    let mut found: Vec<(String, String)> = Vec::new();
    let mut next = String::new();
    loop {
        let answer = client.query(&format!("uploads=&max-uploads=1{next}")).await;
        found.extend(answer.all("Key").into_iter().zip(answer.all("UploadId")));
        if answer.one("IsTruncated").as_deref() != Some("true") {
            break;
        }
        let (key, id) = (
            answer.one("NextKeyMarker").unwrap(),
            answer.one("NextUploadIdMarker").unwrap(),
        );
        next = format!("&key-marker={}&upload-id-marker={id}", encode(&key));
    }
    assert_eq!(found, expected);
    assert_eq!(
        client.query("uploads=&prefix=b%2F").await.all("Key"),
        ["b/1", "b/2"]
    );
}
