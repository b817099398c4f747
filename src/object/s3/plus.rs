//! What a bare `+` in the keys of a url-encoded listing stands for: found out for each store, once.
//!
//! Most stores encode as HTML forms do, where a `+` is a space and a plus is `%2B`. A few encode as in paths: a space is
//! `%20`, and a plus stays. A key that is read the wrong way would be looked for under a name that nothing has.

use std::sync::OnceLock;

use super::listing::{self, Listing, PlusSigns, decode_into};
use super::{PlusMeans, S3Store};
use crate::error::Result;
use crate::object::ListFrom;

/// What is known of one store.
#[derive(Debug, Default)]
pub(super) struct Plus(OnceLock<PlusMeans>);

impl Plus {
    /// What to read a `+` as: what is known, or what most stores mean.
    pub(super) fn now(&self) -> PlusMeans {
        self.0.get().copied().unwrap_or_default()
    }
}

/// What a page tells by itself: a store that writes one of the two in another way does not mean it by a bare `+`.
fn told_by(signs: &PlusSigns) -> Option<PlusMeans> {
    match (signs.escaped_space, signs.escaped_plus) {
        (true, false) => Some(PlusMeans::Plus),
        (false, true) => Some(PlusMeans::Space),
        (true, true) | (false, false) => None,
    }
}

impl S3Store {
    /// Reads a page. The first one with a bare `+` that does not tell by itself what it means costs one or two listings.
    pub(super) async fn read_listing(&self, document: &[u8]) -> Result<Listing> {
        let guess = self.plus.now();
        let page = listing::read(document, guess)?;
        let (Some(bare), None) = (&page.plus.bare, self.plus.0.get()) else {
            return Ok(page);
        };
        let known = match told_by(&page.plus) {
            Some(known) => Some(known),
            None => self.ask(bare).await?,
        };
        // Whoever asks at the same time gets the same answer.
        let means = known.map(|known| *self.plus.0.get_or_init(|| known));
        if means.is_some_and(|means| means != guess) {
            return listing::read(document, self.plus.now());
        }
        Ok(page)
    }

    /// Lists exactly the one key and then the other that the text may stand for: a prefix is never encoded in a way that
    /// could be misread, so that the text can come back from one of them only. `None` when the object is there no more.
    async fn ask(&self, text: &str) -> Result<Option<PlusMeans>> {
        for means in [PlusMeans::Plus, PlusMeans::Space] {
            let mut prefix = Vec::new();
            decode_into(text, means, &mut prefix)?;
            let document = self.list_document(&prefix, &ListFrom::Start).await?;
            if listing::read(&document, means)?.plus.bare.as_deref() == Some(text) {
                return Ok(Some(means));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_tells_by_what_else_it_escapes() {
        let signs = |escaped_space, escaped_plus| PlusSigns {
            bare: Some("a+b".to_owned()),
            escaped_space,
            escaped_plus,
        };
        for (space, plus, wanted) in [
            (true, false, Some(PlusMeans::Plus)),
            (false, true, Some(PlusMeans::Space)),
            (false, false, None),
            (true, true, None),
        ] {
            assert_eq!(told_by(&signs(space, plus)), wanted, "{space} {plus}");
        }
    }
}
