//! One form for all spellings of a value, to compare requests by.

use zeroize::Zeroizing;

use super::Node;

impl Node {
    /// Bytes that are equal for values that are equal: white space, the order of names, escapes and the spelling of
    /// numbers without a fraction make no difference. They hold the secrets of a request.
    #[must_use]
    pub fn canonical(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::new());
        self.write(&mut out);
        out
    }

    /// Each value begins with a letter for its kind; whatever has a length says it first, so no two values run together.
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.push(b'n'),
            Self::Bool(value) => out.push(if *value { b't' } else { b'f' }),
            Self::Integer(value) => {
                out.push(b'i');
                out.extend(value.to_be_bytes());
            }
            Self::Float(value) => {
                out.push(b'd');
                out.extend(value.to_bits().to_be_bytes());
            }
            Self::Text(text) => write_text(text, out),
            Self::List(items) => {
                out.push(b'l');
                write_length(items.len(), out);
                for item in items {
                    item.write(out);
                }
            }
            Self::Object(fields) => {
                out.push(b'o');
                write_length(fields.len(), out);
                let mut sorted: Vec<_> = fields.iter().collect();
                sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
                for (name, value) in sorted {
                    write_text(name, out);
                    value.write(out);
                }
            }
        }
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b's');
    write_length(text.len(), out);
    out.extend(text.as_bytes());
}

fn write_length(length: usize, out: &mut Vec<u8>) {
    out.extend((length as u64).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(body: &str) -> Vec<u8> {
        Node::parse(body.as_bytes()).unwrap().canonical().to_vec()
    }

    #[test]
    fn spellings_of_a_value_are_equal_and_values_are_not() {
        let one = canonical(r#"{"a":[1,true,null,"x"],"b":{"c":"é","d":50}}"#);
        for same in [
            r#" { "b" : {"d":50,"c":"\u00e9"} , "a" : [ 1 , true , null , "\u0078" ] } "#,
            r#"{"a":[1.0,true,null,"x"],"b":{"d":5e1,"c":"é"}}"#,
        ] {
            assert_eq!(canonical(same), one, "{same}");
        }
        let values = [
            "null",
            "true",
            "false",
            "0",
            "1",
            "-1",
            "0.5",
            "\"\"",
            "\"0\"",
            "\"n\"",
            "[]",
            "{}",
            "[[]]",
            "[[],[]]",
            "[\"ab\"]",
            "[\"a\",\"b\"]",
            "{\"a\":\"b\"}",
            "{\"a\":null}",
            "{\"b\":\"a\"}",
            "[\"a\",\"b\",\"\"]",
            "[1,2]",
            "[2,1]",
        ];
        for (i, a) in values.iter().enumerate() {
            for b in &values[..i] {
                assert_ne!(canonical(a), canonical(b), "{a} {b}");
            }
        }
    }
}
