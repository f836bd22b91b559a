//! The text of a field. Files of one folder, and even the lines of one file, come in different encodings, so each field
//! is decoded by itself: as UTF-8 if it is that, else as Windows-1252, which gives every byte a meaning. UTF-16 is
//! undone earlier, in `../feed.rs`. It must never fail.

use std::borrow::Cow;

/// What the bytes 0x80 to 0x9f are in Windows-1252; the five that it leaves open keep their number, as browsers read them.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The text of a field's bytes. A NUL, which no client can be sent, is shown as a character that cannot be read.
pub fn decode(bytes: &[u8]) -> Cow<'_, str> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().map(|byte| windows_1252(*byte)).collect()),
    };
    if bytes.contains(&0) { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { text }
}

fn windows_1252(byte: u8) -> char {
    match byte {
        0x80..=0x9f => WINDOWS_1252[usize::from(byte - 0x80)],
        other => char::from(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_text() {
        for (bytes, expect) in [
            (&b"plain"[..], "plain"),
            ("größe".as_bytes(), "größe"),
            (b"caf\xe9", "café"),
            (b"\x8012", "€12"),
            (b"a\0b", "a\u{fffd}b"),
            (b"", ""),
        ] {
            assert_eq!(decode(bytes), expect);
        }
    }
}
