//! Finds the bytes of a text that mean something, eight at a time.

const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;

/// Up to four bytes that are looked for.
#[derive(Debug, Clone, Copy)]
pub struct Marks {
    bytes: [u8; 4],
    /// Each of them eight times.
    patterns: [u64; 4],
}

impl Marks {
    pub fn new(bytes: [u8; 4]) -> Marks {
        Marks { bytes, patterns: bytes.map(|byte| u64::from_ne_bytes([byte; 8])) }
    }

    /// Calls `found` with the place of each such byte, in order. It gives the place to go on from, so that it may have
    /// looked further itself.
    #[inline]
    pub fn each<E>(&self, data: &[u8], mut found: impl FnMut(usize) -> Result<usize, E>) -> Result<(), E> {
        let mut go_on = 0;
        let (words, rest) = data.as_chunks::<8>();
        for (number, word) in words.iter().enumerate() {
            let base = number * 8;
            let mut marked = self.marked(u64::from_le_bytes(*word));
            while marked != 0 {
                let place = base + marked.trailing_zeros() as usize / 8;
                marked &= marked - 1;
                if place >= go_on {
                    go_on = found(place)?;
                }
            }
        }
        let base = data.len() - rest.len();
        for (place, byte) in rest.iter().enumerate().map(|(place, byte)| (base + place, byte)) {
            if self.bytes.contains(byte) && place >= go_on {
                go_on = found(place)?;
            }
        }
        Ok(())
    }

    /// The highest bit of each byte that is one of them.
    #[inline]
    fn marked(&self, word: u64) -> u64 {
        let mut others = u64::MAX;
        for pattern in self.patterns {
            let difference = word ^ pattern;
            // Carries stay inside their byte: the highest bit is set unless the byte is zero.
            others &= ((difference & LOW) + LOW) | difference;
        }
        !(others | LOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_found_and_no_other() {
        let marks = Marks::new(*b"\t\n\r\\");
        for length in 0..40 {
            for seed in 0u32..50 {
                let byte = |place: u32| (place * 7 + seed * 13 + place * place * seed) as u8 % 16;
                let data: Vec<u8> = (0..length).map(byte).chain([0x80, b'\\' | 0x80]).collect();
                let mut places = Vec::new();
                let all = marks.each(&data, |place| {
                    places.push(place);
                    Ok::<usize, ()>(place + 1)
                });
                let expect = (0..data.len()).filter(|place| b"\t\n\r\\".contains(&data[*place]));
                assert_eq!((all, places), (Ok(()), expect.collect()));
            }
        }
    }
}
