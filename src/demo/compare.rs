//! Compares source and target of the demo directly in both servers, without the service.

use crate::sandbox::{Sandbox, SandboxObject};

/// Most differences that are reported.
const TOLD: usize = 10;

/// Where a task writes its reports.
const LISTS: &str = "oms/task/";

/// The result of a comparison.
#[derive(Debug, Default)]
pub struct Compared {
    /// Objects that were compared.
    pub objects: usize,
    /// Reports of the task at the target, which are not copies.
    pub lists: Vec<String>,
    /// The first differences.
    pub differences: Vec<String>,
}

/// Compares all objects of two buckets: keys, bytes, headers, metadata, tags.
pub fn compare(source: &Sandbox, from: &str, target: &Sandbox, to: &str) -> Compared {
    let mut compared = Compared::default();
    let mut differs = |text: String| {
        if compared.differences.len() < TOLD {
            compared.differences.push(text);
        }
    };
    let wanted = source.keys(from);
    let extra = target.keys(to).into_iter();
    let (lists, extra): (Vec<String>, Vec<String>) = extra
        .filter(|key| source.get(from, key).is_none())
        .partition(|key| key.starts_with(LISTS));
    for extra in extra {
        differs(format!("{extra:?} is only at the target"));
    }
    for key in &wanted {
        match (source.get(from, key), target.get(to, key)) {
            (Some(a), Some(b)) => {
                if let Some(what) = difference(&a, &b) {
                    differs(format!("{key:?}: {what}"));
                }
            }
            _ => differs(format!("{key:?} is missing at the target")),
        }
    }
    compared.objects = wanted.len();
    compared.lists = lists;
    compared
}

fn difference(a: &SandboxObject, b: &SandboxObject) -> Option<&'static str> {
    let headers = |o: &SandboxObject| {
        [
            &o.content_type,
            &o.content_encoding,
            &o.content_language,
            &o.content_disposition,
            &o.cache_control,
            &o.expires,
        ]
        .map(Clone::clone)
    };
    if a.data != b.data {
        Some("other bytes")
    } else if headers(a) != headers(b) {
        Some("other content headers")
    } else if a.metadata != b.metadata {
        Some("other user metadata")
    } else if a.tags != b.tags {
        Some("other tags")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_kind_of_difference_is_found() {
        let a = Sandbox::start(Default::default()).await.unwrap();
        let b = Sandbox::start(Default::default()).await.unwrap();
        let object = SandboxObject::new("x");
        let changed = |change: fn(&mut SandboxObject)| {
            let mut object = object.clone();
            change(&mut object);
            object
        };
        a.put("bucket-a", "same", object.clone());
        b.put("bucket-b", "same", object.clone());
        assert!(compare(&a, "bucket-a", &b, "bucket-b").differences.is_empty());
        b.put("bucket-b", "oms/task/t/success_object_lists/1", object.clone());
        let compared = compare(&a, "bucket-a", &b, "bucket-b");
        assert_eq!((compared.differences.len(), compared.lists.len()), (0, 1));
        a.put("bucket-a", "missing", object.clone());
        b.put("bucket-b", "extra", object.clone());
        let changes: [fn(&mut SandboxObject); 4] = [
            |o| o.data = "y".into(),
            |o| o.content_type = Some("other/type".to_owned()),
            |o| drop(o.metadata.insert("k".to_owned(), "v".to_owned())),
            |o| o.tags.push(("k".to_owned(), "v".to_owned())),
        ];
        for (n, change) in changes.into_iter().enumerate() {
            a.put("bucket-a", &format!("changed-{n}"), object.clone());
            b.put("bucket-b", &format!("changed-{n}"), changed(change));
        }
        assert_eq!(compare(&a, "bucket-a", &b, "bucket-b").differences.len(), 6);
    }
}
