//! Lines of a manifest. Pure: bytes in, lines out.
//!
//! The OMS reference has these rules: each line names one object, the name is URL-encoded, and a line has at most
//! 65,535 bytes. In a list of URLs each line is `URL<TAB>name`. In addition, oms accepts what editors write: a byte
//! order mark at the beginning, CRLF, blank lines, and a last line without a line end. A space is part of a name, and
//! so is a `+`. A `%` that does not begin an encoded byte stands for itself.

use percent_encoding::percent_decode;

use crate::task::Key;

/// Longest line in bytes, without the line end.
pub const MAX_LINE: usize = 65_535;
/// Longest URL in bytes, which is what common servers accept. It limits the memory that a list of URLs needs.
pub const MAX_URL: usize = 8192;

/// One line that is not blank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Position of the line's first byte in the file.
    pub start: u64,
    /// Bytes of the line, without the line end.
    pub text: Vec<u8>,
}

/// A line is longer than [`MAX_LINE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// Position of the line's first byte in the file.
    pub start: u64,
}

/// Splits a file that arrives in pieces into lines. Keeps at most one piece and one line in memory.
#[derive(Debug)]
pub struct Lines {
    rest: Vec<u8>,
    /// Bytes of `rest` that were already returned.
    used: usize,
    /// Bytes of `rest` that were searched and contain no line end.
    scanned: usize,
    /// Position of `rest` in the file.
    base: u64,
}

impl Lines {
    /// For pieces that begin at `position` of the file, which must be the beginning of a line.
    #[must_use]
    pub const fn at(position: u64) -> Self {
        Self {
            rest: Vec::new(),
            used: 0,
            scanned: 0,
            base: position,
        }
    }

    /// Adds the next piece.
    pub fn push(&mut self, piece: &[u8]) {
        self.rest.drain(..self.used);
        self.base += self.used as u64;
        self.scanned -= self.used;
        self.used = 0;
        self.rest.extend_from_slice(piece);
    }

    /// The next complete line that is not blank. `None` if another piece is needed.
    ///
    /// # Errors
    /// [`TooLong`], also for a line whose end has not arrived yet.
    pub fn next_line(&mut self) -> Result<Option<Line>, TooLong> {
        loop {
            let begin = self.used;
            let Some(found) = self.rest[self.scanned..].iter().position(|b| *b == b'\n') else {
                self.scanned = self.rest.len();
                // One more byte than allowed may be the carriage return of the line end, and the first three may be a
                // byte order mark.
                let open = self.rest.len() - begin;
                return if open > MAX_LINE + 4 {
                    Err(TooLong {
                        start: self.start(begin),
                    })
                } else {
                    Ok(None)
                };
            };
            let end = self.scanned + found;
            self.used = end + 1;
            self.scanned = end + 1;
            if let Some(line) = self.line(begin, end)? {
                return Ok(Some(line));
            }
        }
    }

    /// The last line, if the file does not end with a line end.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn last_line(&mut self) -> Result<Option<Line>, TooLong> {
        let (begin, end) = (self.used, self.rest.len());
        self.used = end;
        self.scanned = end;
        self.line(begin, end)
    }

    const fn start(&self, begin: usize) -> u64 {
        self.base + begin as u64
    }

    fn line(&self, begin: usize, end: usize) -> Result<Option<Line>, TooLong> {
        let start = self.start(begin);
        let mut text = &self.rest[begin..end];
        if start == 0 {
            text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        }
        text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.len() > MAX_LINE {
            return Err(TooLong { start });
        }
        Ok((!text.is_empty()).then(|| Line {
            start,
            text: text.to_vec(),
        }))
    }
}

/// The name in a line of a list of objects.
#[must_use]
pub fn name(text: &[u8]) -> Key {
    Key::from(percent_decode(text).collect::<Vec<u8>>())
}

/// What is wrong with a line of a list of URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadLine {
    /// The line is not `URL<TAB>name` with exactly one TAB and both fields filled.
    Form,
    /// The URL contains bytes other than visible ASCII characters, or is longer than [`MAX_URL`].
    Url,
}

/// URL and target name in a line of a list of URLs. The URL stays encoded as it is.
///
/// # Errors
/// [`BadLine`].
pub fn url_and_name(text: &[u8]) -> Result<(&str, Key), BadLine> {
    let mut fields = text.split(|b| *b == b'\t');
    let (Some(url), Some(target), None) = (fields.next(), fields.next(), fields.next()) else {
        return Err(BadLine::Form);
    };
    if url.is_empty() || target.is_empty() {
        return Err(BadLine::Form);
    }
    let fine = url.len() <= MAX_URL && url.iter().all(u8::is_ascii_graphic);
    let url = std::str::from_utf8(url)
        .ok()
        .filter(|_| fine)
        .ok_or(BadLine::Url)?;
    Ok((url, name(target)))
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
    use proptest::prelude::*;

    use super::*;

    fn all(pieces: &[&[u8]]) -> Result<Vec<(u64, String)>, TooLong> {
        let mut lines = Lines::at(0);
        let mut found = Vec::new();
        for piece in pieces {
            lines.push(piece);
            while let Some(line) = lines.next_line()? {
                found.push(line);
            }
        }
        found.extend(lines.last_line()?);
        let shown = |line: Line| (line.start, String::from_utf8_lossy(&line.text).into_owned());
        Ok(found.into_iter().map(shown).collect())
    }

    #[test]
    fn what_editors_leave_behind_is_understood() {
        let wanted = vec![(0, "a".to_owned()), (6, " b ".to_owned()), (16, "c".to_owned())];
        let text = b"\xef\xbb\xbfa\r\n b \r\n\n\r\n\n\nc";
        assert_eq!(all(&[text]).unwrap(), wanted);
        let single: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(all(&single).unwrap(), wanted);
        assert!(all(&[b""]).unwrap().is_empty());
        assert!(all(&[b"\xef\xbb\xbf\r\n\n"]).unwrap().is_empty());
    }

    #[test]
    fn a_line_has_at_most_65535_bytes() {
        let longest = vec![b'x'; MAX_LINE];
        for end in ["", "\n", "\r\n"] {
            let text = [&longest, end.as_bytes()].concat();
            assert_eq!(all(&[&text]).unwrap().len(), 1, "{end:?}");
            let text = [b"ok\n", &longest[..], b"x", end.as_bytes()].concat();
            assert_eq!(all(&[&text]), Err(TooLong { start: 3 }), "{end:?}");
        }
        // A line without an end is not collected without limit either.
        let mut lines = Lines::at(7);
        lines.push(&vec![b'x'; MAX_LINE + 5]);
        assert_eq!(lines.next_line(), Err(TooLong { start: 7 }));
    }

    #[test]
    fn names_are_decoded_once() {
        for (line, wanted) in [
            ("a%20b", "a b"),
            ("a+b", "a+b"),
            ("100%", "100%"),
            ("%zz%2", "%zz%2"),
            ("%2541", "%41"),
            ("日本", "日本"),
            (" x ", " x "),
        ] {
            assert_eq!(name(line.as_bytes()), Key::from(wanted), "{line}");
        }
    }

    #[test]
    fn a_line_of_a_url_list_has_one_tab() {
        let (url, name) = url_and_name(b"https://h/a%20b?c=1\td%2Fe").unwrap();
        assert_eq!((url, name), ("https://h/a%20b?c=1", Key::from("d/e")));
        for (line, wanted) in [
            ("https://h/a", BadLine::Form),
            ("https://h/a b", BadLine::Form),
            ("https://h/a\t", BadLine::Form),
            ("\tname", BadLine::Form),
            ("https://h/a\tb\tc", BadLine::Form),
            ("https://h/a b\tc", BadLine::Url),
            ("https://h/é\tc", BadLine::Url),
        ] {
            assert_eq!(url_and_name(line.as_bytes()), Err(wanted), "{line}");
        }
        let long = format!("https://h/{}\tn", "x".repeat(MAX_URL));
        assert_eq!(url_and_name(long.as_bytes()), Err(BadLine::Url));
    }

    proptest! {
        #[test]
        fn names_round_trip(names in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..20), cut in 1_usize..64) {
            let encoded: Vec<String> =
                names.iter().map(|name| percent_encode(name, NON_ALPHANUMERIC).to_string()).collect();
            let text = encoded.join("\n");
            let mut lines = Lines::at(0);
            let mut found = Vec::new();
            for piece in text.as_bytes().chunks(cut) {
                lines.push(piece);
                while let Some(line) = lines.next_line().unwrap() {
                    found.push(line);
                }
            }
            found.extend(lines.last_line().unwrap());
            for line in &found {
                let at = usize::try_from(line.start).unwrap();
                prop_assert_eq!(&text.as_bytes()[at..at + line.text.len()], &line.text[..]);
            }
            let found: Vec<Vec<u8>> = found.iter().map(|line| name(&line.text).as_bytes().to_vec()).collect();
            prop_assert_eq!(found, names);
        }

        #[test]
        fn nothing_makes_the_parser_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8)) {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let text = pieces.concat();
            prop_assert_eq!(all(&pieces), all(&[&text]));
            let mut lines = Lines::at(0);
            lines.push(&text);
            while let Ok(Some(line)) = lines.next_line() {
                url_and_name(&line.text).map(drop).unwrap_or_default();
            }
        }
    }
}
