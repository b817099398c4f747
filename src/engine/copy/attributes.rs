//! The attributes of an object that are copied besides its bytes and may be left out. Pure.

use std::fmt;

use http::{HeaderMap, HeaderName};

use crate::object::NewObject;

/// A set of attributes that may be left out of a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Tags.
    pub tags: bool,
    /// Storage class.
    pub storage_class: bool,
    /// User metadata, or some of it.
    pub user_metadata: bool,
    /// The address to which a website redirects requests for the object.
    pub website_redirect: bool,
    /// A retention or a legal hold.
    pub object_lock: bool,
    /// Something else, from an unknown header.
    pub other: bool,
}

/// The header of a website redirect.
pub(in crate::engine) const WEBSITE_REDIRECT: HeaderName =
    HeaderName::from_static("x-amz-website-redirect-location");

impl Attributes {
    /// Tags alone.
    pub(in crate::engine) const TAGS: Self = Self::new(true, false, false);
    /// The storage class alone.
    pub(in crate::engine) const STORAGE_CLASS: Self = Self::new(false, true, false);
    /// User metadata alone.
    pub(in crate::engine) const USER_METADATA: Self = Self::new(false, false, true);
    /// The website redirect alone.
    pub(in crate::engine) const REDIRECT: Self = Self {
        website_redirect: true,
        ..Self::new(false, false, false)
    };

    pub(in crate::engine) const fn new(tags: bool, storage_class: bool, user_metadata: bool) -> Self {
        Self {
            tags,
            storage_class,
            user_metadata,
            website_redirect: false,
            object_lock: false,
            other: false,
        }
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// The attributes that a new object has.
    pub(in crate::engine) fn of(new: &NewObject) -> Self {
        Self {
            tags: new.tagging.is_some(),
            storage_class: new.storage_class.is_some(),
            user_metadata: user_metadata(&new.carried.0).next().is_some(),
            website_redirect: new.carried.0.contains_key(WEBSITE_REDIRECT),
            object_lock: false,
            other: false,
        }
    }

    /// Attributes in both sets.
    pub(in crate::engine) const fn and(self, other: Self) -> Self {
        Self {
            tags: self.tags && other.tags,
            storage_class: self.storage_class && other.storage_class,
            user_metadata: self.user_metadata && other.user_metadata,
            website_redirect: self.website_redirect && other.website_redirect,
            object_lock: self.object_lock && other.object_lock,
            other: self.other && other.other,
        }
    }

    /// Attributes in either set.
    pub(in crate::engine) const fn or(self, other: Self) -> Self {
        Self {
            tags: self.tags || other.tags,
            storage_class: self.storage_class || other.storage_class,
            user_metadata: self.user_metadata || other.user_metadata,
            website_redirect: self.website_redirect || other.website_redirect,
            object_lock: self.object_lock || other.object_lock,
            other: self.other || other.other,
        }
    }

    /// The one to leave out first: tags, then the storage class, then the website redirect.
    pub(in crate::engine) const fn first(self) -> Self {
        if self.tags {
            Self::TAGS
        } else if self.storage_class {
            Self::STORAGE_CLASS
        } else if self.website_redirect {
            Self::REDIRECT
        } else {
            self
        }
    }
}

impl fmt::Display for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (self.tags, "tags"),
            (self.storage_class, "storage class"),
            (self.user_metadata, "user metadata"),
            (self.website_redirect, "website redirect"),
            (self.object_lock, "object lock"),
            (self.other, "unknown headers"),
        ];
        let names: Vec<&str> = names
            .iter()
            .filter(|(is, _)| *is)
            .map(|(_, name)| *name)
            .collect();
        f.write_str(&names.join(" or "))
    }
}

/// Names of the user metadata among these headers.
pub(in crate::engine) fn user_metadata(headers: &HeaderMap) -> impl Iterator<Item = &HeaderName> {
    headers
        .keys()
        .filter(|name| name.as_str().starts_with("x-amz-meta-"))
}
