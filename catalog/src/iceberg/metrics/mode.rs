//! How much is kept of a column: the table properties `write.metadata.metrics.*`.

use std::collections::HashMap;

/// Characters or bytes of a bound that are kept unless a property says otherwise.
const KEPT_DEFAULT: usize = 16;
/// Columns that have metrics unless a property names them; a table of 10,000 columns would otherwise have manifests
/// larger than its data.
const COLUMNS_DEFAULT: usize = 100;

/// How much is kept of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    None,
    Counts,
    /// Counts, and bounds of at most so many characters or bytes.
    Truncate(usize),
    Full,
}

impl Mode {
    /// Characters or bytes that a bound may have.
    pub fn kept(self) -> usize {
        match self {
            Mode::None | Mode::Counts => 0,
            Mode::Truncate(kept) => kept,
            Mode::Full => usize::MAX,
        }
    }

    /// None for a text that is no mode; the default holds then, as in other engines.
    fn parse(text: &str) -> Option<Mode> {
        let text = text.trim().to_ascii_lowercase();
        match text.as_str() {
            "none" => Some(Mode::None),
            "counts" => Some(Mode::Counts),
            "full" => Some(Mode::Full),
            _ => {
                let kept = text.strip_prefix("truncate(")?.strip_suffix(')')?;
                kept.trim().parse().ok().filter(|kept| *kept > 0).map(Mode::Truncate)
            }
        }
    }
}

/// Hands out the modes of a table's columns, in their order.
pub struct Modes<'a> {
    properties: &'a HashMap<String, String>,
    default: Option<Mode>,
    columns_max: usize,
    columns: usize,
}

impl<'a> Modes<'a> {
    pub fn new(properties: &'a HashMap<String, String>) -> Modes<'a> {
        let default = properties.get("write.metadata.metrics.default").and_then(|text| Mode::parse(text));
        let columns_max = properties.get("write.metadata.metrics.max-inferred-column-defaults");
        let columns_max = columns_max.and_then(|text| text.parse().ok()).unwrap_or(COLUMNS_DEFAULT);
        Modes { properties, default, columns_max, columns: 0 }
    }

    /// The mode of the next column, whose full name this is.
    pub fn next(&mut self, name: &str) -> Mode {
        self.columns += 1;
        let own = self.properties.get(&format!("write.metadata.metrics.column.{name}"));
        match (own.and_then(|text| Mode::parse(text)), self.default) {
            (Some(mode), _) | (None, Some(mode)) => mode,
            (None, None) if self.columns > self.columns_max => Mode::None,
            (None, None) => Mode::Truncate(KEPT_DEFAULT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_decide() {
        let check = |properties: &[(&str, &str)], expected: [Mode; 2]| {
            let properties =
                properties.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
            let mut modes = Modes::new(&properties);
            assert_eq!([modes.next("a"), modes.next("s.b")], expected, "{properties:?}");
        };
        check(&[], [Mode::Truncate(16), Mode::Truncate(16)]);
        check(&[("write.metadata.metrics.default", "counts")], [Mode::Counts, Mode::Counts]);
        check(&[("write.metadata.metrics.default", "truncate(0)")], [Mode::Truncate(16), Mode::Truncate(16)]);
        check(
            &[("write.metadata.metrics.column.s.b", "Truncate( 4 )")],
            [Mode::Truncate(16), Mode::Truncate(4)],
        );
        check(
            &[("write.metadata.metrics.max-inferred-column-defaults", "1")],
            [Mode::Truncate(16), Mode::None],
        );
        let all = [
            ("write.metadata.metrics.max-inferred-column-defaults", "0"),
            ("write.metadata.metrics.column.a", "full"),
        ];
        check(&all, [Mode::Full, Mode::None]);
    }
}
