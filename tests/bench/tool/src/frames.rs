//! Bodies that a client signs piece by piece.

use bytes::{Buf as _, Bytes};

use super::data::Receiver;

/// Takes the frames of a signed stream apart: a line with the length, the bytes, an empty line.
#[derive(Default)]
pub struct Frames {
    line: Vec<u8>,
    left: usize,
    ended: bool,
}

impl Frames {
    /// Passes on what the next bytes hold of the body.
    pub fn push(&mut self, mut bytes: Bytes, receiver: &mut Receiver<'_>) {
        while !bytes.is_empty() && !self.ended {
            if self.left > 0 {
                let now = bytes.split_to(self.left.min(bytes.len()));
                self.left -= now.len();
                receiver.push(&now);
                continue;
            }
            let byte = bytes.get_u8();
            if byte != b'\n' {
                self.line.push(byte);
                continue;
            }
            let line = String::from_utf8_lossy(&self.line).trim().to_owned();
            self.line.clear();
            // The line that ends the frame before is empty.
            if let Some(length) = line.split(';').next().filter(|length| !length.is_empty()) {
                self.left = usize::from_str_radix(length, 16).unwrap_or(0);
                self.ended = self.left == 0;
            }
        }
    }
}
