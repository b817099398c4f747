//! Listings that must not be trusted: out of order, repeated, empty, malformed, or of the other version.

use oms::object::clouds::Side::{Source, Target};
use oms::sandbox::{Fault, Operation as O, SandboxObject};
use oms::task::{ReasonKind, State};

use super::row::{Row, Times, run};
use crate::support::checker::{History, check};
use crate::support::rig::{Rig, SOURCE, Stores};

fn document(content_type: &str, body: &str) -> Fault {
    Fault::OkWithBody {
        content_type: content_type.to_owned(),
        body: body.to_owned().into(),
    }
}

#[tokio::test]
async fn pages() {
    let mut rows = Vec::new();
    for (side, reason) in [
        (Source, ReasonKind::SourceUnavailable),
        (Target, ReasonKind::TargetUnavailable),
    ] {
        let row =
            |name: &str, fault, times| Row::new(name, side, O::ListObjectsV2, fault, times).half_there();
        for skip in 1..4 {
            rows.push(row("F49", Fault::EmptyPage, Times::Some(1)).after(skip));
            rows.push(row("F49", Fault::EmptyPage, Times::Some(3)).after(skip));
            for entries in [0, 1, 3, 9, 10, 50] {
                let fault = Fault::RewindToken(entries);
                rows.push(row(&format!("F50 F52 {entries}"), fault, Times::Some(1)).after(skip));
            }
            rows.push(row("F51", Fault::ReversePage, Times::Some(1)).after(skip));
        }
        rows.push(row("F51", Fault::ReversePage, Times::Always));
        rows.push(row("F52", Fault::RewindToken(3), Times::Always));
        rows.push(row("F49", Fault::EmptyPage, Times::Always).after(2).ends(reason));
        // Continuation tokens that lead back. Each page is requested by the last key instead.
        rows.push(row("F50", Fault::RewindToken(50), Times::Always).after(2));
        rows.push(row("F50", Fault::RewindToken(50), Times::Always));
        let both =
            |name: &str, fault| Row::new(name, side, O::ListObjects, fault, Times::Always).half_there();
        rows.push(both("a full page is called the last one", Fault::LastPage));
        rows.push(row(
            "a full page is called the last one",
            Fault::LastPage,
            Times::Always,
        ));
        rows.push(both("no sizes", Fault::NoSizes));
        rows.push(both("an empty listing is a missing key", Fault::EmptyIsMissing));
        rows.push(row("the beginning is ignored", Fault::IgnoreStart, Times::Always));
        rows.push(row(
            "start-after is answered with 500",
            Fault::RefuseStart,
            Times::Always,
        ));
    }
    run(rows).await;
}

#[tokio::test]
async fn documents() {
    let mut rows = Vec::new();
    let bomb = "<!DOCTYPE l [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;\">]>\
                <ListBucketResult><IsTruncated>false</IsTruncated><Name>&b;</Name></ListBucketResult>";
    for (name, body) in [
        (
            "cut",
            "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a",
        ),
        ("empty", ""),
        (
            "other",
            "<ListAllMyBucketsResult><IsTruncated>false</IsTruncated></ListAllMyBucketsResult>",
        ),
        (
            "silent",
            "<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>",
        ),
        ("html", "<html><body>Please log in</body></html>"),
        ("bomb", bomb),
        (
            "stray",
            "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key/><Size>1</Size></Contents></ListBucketResult>",
        ),
    ] {
        for (side, reason) in [
            (Source, ReasonKind::SourceUnavailable),
            (Target, ReasonKind::TargetUnavailable),
        ] {
            for skip in [0, 2] {
                let row = |operation, times| {
                    let fault = document("text/html", body);
                    let row = Row::new(&format!("F53 F13 {name}"), side, operation, fault, times);
                    row.half_there().after(skip)
                };
                rows.push(row(O::ListObjectsV2, Times::Some(1)));
                // What one version of the listing lacks, the other one has.
                rows.push(row(O::ListObjectsV2, Times::Always));
                rows.push(row(O::ListObjects, Times::Always).ends(reason));
            }
        }
    }
    let old = "<ListBucketResult><Marker/><IsTruncated>true</IsTruncated>\
               <Contents><Key>a</Key><Size>1</Size></Contents></ListBucketResult>";
    for side in [Source, Target] {
        let fault = document("application/xml", old);
        rows.push(Row::new("F54", side, O::ListObjectsV2, fault, Times::Always));
    }
    for (side, reason) in [
        (Source, ReasonKind::SourceUnavailable),
        (Target, ReasonKind::TargetUnavailable),
    ] {
        for fault in [
            Fault::TruncateBody { after: 40 },
            Fault::EarlyClose { after: 40 },
            Fault::ResetBefore,
            Fault::Stall { after: 40 },
        ] {
            let row = |times| Row::new("F4 F5 F9", side, O::ListObjects, fault.clone(), times).half_there();
            rows.push(row(Times::Some(2)));
            rows.push(row(Times::Always).after(2).ends(reason));
        }
    }
    run(rows).await;
}

#[tokio::test]
async fn sizes_around_a_page() {
    // F48, with pages of ten.
    for count in [0, 1, 9, 10, 11, 20, 21] {
        let stores = Stores::small().await;
        for n in 0..count {
            stores
                .source
                .put(SOURCE, &format!("{n:03}"), SandboxObject::new(format!("{n}")));
        }
        let history = History::of(&stores);
        let rig = Rig::quick().await;
        let id = rig.create(stores.order()).await;
        assert_eq!(rig.end(id).await.state, State::Succeeded);
        let task = check(&stores, &rig, id, &history).await;
        assert_eq!(task.counters.copied, count, "{task:#?}");
        stores.assert_same();
    }
}
