//! Bounds of bounded length: a prefix is a lower bound as it is, and an upper bound only once it is counted up. Pure.

/// The first `kept` characters, and whether there are more.
pub fn text_prefix(text: &str, kept: usize) -> (&str, bool) {
    match text.char_indices().nth(kept) {
        Some((end, _)) => (&text[..end], true),
        None => (text, false),
    }
}

/// The first `kept` bytes, and whether there are more.
pub fn bytes_prefix(bytes: &[u8], kept: usize) -> (&[u8], bool) {
    if bytes.len() > kept { (&bytes[..kept], true) } else { (bytes, false) }
}

/// The smallest text of no more characters that is above every text with this prefix, if there is one.
pub fn text_above(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        if let Some(next) = next_character(last) {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

/// The shortest bytes that are above all bytes with this prefix, if there are any.
pub fn bytes_above(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = prefix.to_vec();
    while let Some(last) = bytes.pop() {
        if last < u8::MAX {
            bytes.push(last + 1);
            return Some(bytes);
        }
    }
    None
}

/// UTF-8 orders text by code point, and the surrogates in the middle are not characters.
fn next_character(character: char) -> Option<char> {
    match character {
        '\u{D7FF}' => Some('\u{E000}'),
        char::MAX => None,
        other => char::from_u32(u32::from(other) + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_between_characters() {
        assert_eq!(text_prefix("añb", 2), ("añ", true));
        assert_eq!(text_prefix("añ", 2), ("añ", false));
        assert_eq!(text_prefix("", 2), ("", false));
        assert_eq!(bytes_prefix(&[1, 2, 3], 2), (&[1, 2][..], true));
        assert_eq!(bytes_prefix(&[1, 2], 2), (&[1, 2][..], false));
    }

    #[test]
    fn the_text_above_is_above_everything_with_the_prefix() {
        let check = |prefix: &str, expected: Option<&str>| {
            let above = text_above(prefix);
            assert_eq!(above.as_deref(), expected);
            let longest = format!("{prefix}{}", char::MAX.to_string().repeat(9));
            assert!(above.is_none_or(|above| above > longest), "{prefix:?}");
        };
        check("abc", Some("abd"));
        check("ab\u{D7FF}", Some("ab\u{E000}"));
        check("ab\u{7F}", Some("ab\u{80}"));
        check("ab\u{10FFFF}", Some("ac"));
        check("\u{10FFFF}\u{10FFFF}", None);
        check("", None);
    }

    #[test]
    fn the_bytes_above_are_above_everything_with_the_prefix() {
        assert_eq!(bytes_above(&[1, 2]), Some(vec![1, 3]));
        assert_eq!(bytes_above(&[1, 255]), Some(vec![2]));
        assert_eq!(bytes_above(&[255, 255]), None);
        assert_eq!(bytes_above(&[]), None);
    }
}
