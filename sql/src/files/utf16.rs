//! UTF-16 into UTF-8, piece by piece. A file is in UTF-16 when it begins with its byte order mark, or when of its first
//! bytes every other one is zero, as in Latin text. It must never fail: half a pair becomes U+FFFD.

/// At least this part of the high bytes is zero in Latin text.
const ZERO_PART: usize = 4;
/// At most one of so many low bytes is.
const STRAY_PART: usize = 16;

/// A decoder between two pieces.
#[derive(Debug)]
pub struct Utf16 {
    big_endian: bool,
    /// The first byte of a unit whose second is in the next piece.
    byte: Option<u8>,
    /// The first half of a pair.
    high: Option<u16>,
}

impl Utf16 {
    /// The decoder for a file that begins so, and the length of its byte order mark.
    pub fn of(head: &[u8]) -> Option<(Utf16, usize)> {
        let decoder = |big_endian| Utf16 { big_endian, byte: None, high: None };
        match head {
            [0xff, 0xfe, ..] => return Some((decoder(false), 2)),
            [0xfe, 0xff, ..] => return Some((decoder(true), 2)),
            _ => {}
        }
        let units = head.len() / 2;
        let zeros = |offset: usize| head.iter().skip(offset).step_by(2).filter(|byte| **byte == 0).count();
        let (even, odd) = (zeros(0), zeros(1));
        let mostly = |zeros: usize, others: usize| {
            units >= 4 && others * STRAY_PART <= units && zeros * ZERO_PART >= units * (ZERO_PART - 1)
        };
        if mostly(odd, even) {
            Some((decoder(false), 0))
        } else if mostly(even, odd) {
            Some((decoder(true), 0))
        } else {
            None
        }
    }

    /// Appends the text of a piece.
    pub fn decode(&mut self, piece: &[u8], text: &mut Vec<u8>) {
        for byte in piece {
            let Some(first) = self.byte.take() else {
                self.byte = Some(*byte);
                continue;
            };
            let pair = [first, *byte];
            self.unit(
                if self.big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) },
                text,
            );
        }
    }

    fn unit(&mut self, unit: u16, text: &mut Vec<u8>) {
        let units = match (self.high.take(), unit) {
            (None, 0xd800..=0xdbff) => {
                self.high = Some(unit);
                return;
            }
            (Some(high), 0xdc00..=0xdfff) => [high, unit],
            (Some(_), 0xd800..=0xdbff) => {
                self.high = Some(unit);
                push(char::REPLACEMENT_CHARACTER, text);
                return;
            }
            (Some(_), _) => {
                push(char::REPLACEMENT_CHARACTER, text);
                return push(char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER), text);
            }
            (None, _) => {
                return push(char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER), text);
            }
        };
        let decoded = char::decode_utf16(units).next().and_then(Result::ok);
        push(decoded.unwrap_or(char::REPLACEMENT_CHARACTER), text);
    }
}

fn push(char: char, text: &mut Vec<u8>) {
    text.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expect: Option<&str>) {
        let found = Utf16::of(bytes).map(|(mut decoder, mark)| {
            let mut text = Vec::new();
            bytes[mark..].chunks(3).for_each(|piece| decoder.decode(piece, &mut text));
            String::from_utf8(text).expect("what is decoded is UTF-8")
        });
        assert_eq!(found.as_deref(), expect, "{bytes:?}");
    }

    #[test]
    fn both_orders_with_and_without_marks() {
        let units: Vec<u16> = "größe,1\n€,😀".encode_utf16().collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        check(&[&[0xff, 0xfe], little.as_slice()].concat(), Some("größe,1\n€,😀"));
        check(&[&[0xfe, 0xff], big.as_slice()].concat(), Some("größe,1\n€,😀"));
        check(b"a\0,\0b\0\n\0", Some("a,b\n"));
        check(b"\0a\0,\0b\0\n", Some("a,b\n"));
        check(b"a,b\n1,2\n", None);
        check(b"a,b\n\0\0\0\0\0\0", None);
        check(&[0xff, 0xfe, 0x00, 0xd8, b'a', 0], Some("\u{fffd}a"));
    }
}
