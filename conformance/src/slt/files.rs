//! The variables of a script (`${TMP}` and so on) and the files it writes for itself. A script that names a variable
//! nobody defines is wrong and stops.

use crate::Result;
use std::path::{Path, PathBuf};

pub struct Variables {
    named: Vec<(String, String)>,
}

impl Variables {
    /// `${TMP}` the script's own folder, `${DATA}` the server's data folder, `${SHARED}` the shared data where it is.
    pub fn new(temporary: &Path, data_dir: &Path) -> Variables {
        let mut named = vec![("TMP".to_string(), text(temporary)), ("DATA".to_string(), text(data_dir))];
        if let Some(shared) = shared_data() {
            named.push(("SHARED".to_string(), text(&shared)));
        }
        Variables { named }
    }

    /// Defines a variable, or gives it another value.
    pub fn set(&mut self, name: &str, value: String) {
        self.named.retain(|(known, _)| known != name);
        self.named.push((name.to_string(), value));
    }

    /// Replaces `${NAME}` by its value and `${repeat N text}` by N times the text.
    pub fn expand(&self, sql: &str) -> Result<String> {
        let mut expanded = String::with_capacity(sql.len());
        let mut rest = sql;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').ok_or("a ${ is not closed")?;
            expanded.push_str(before);
            expanded.push_str(&self.value(name)?);
            rest = after;
        }
        expanded.push_str(rest);
        Ok(expanded)
    }

    fn value(&self, name: &str) -> Result<String> {
        if let Some((count, text)) = name.strip_prefix("repeat ").and_then(|rest| rest.split_once(' ')) {
            return Ok(text.repeat(count.parse()?));
        }
        let found = self.named.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.clone()).ok_or_else(|| format!("nobody defines ${{{name}}}").into())
    }
}

/// The folder of shared test data: `TARN_SHARED`, or `../shared/data` beside the repository.
pub fn shared_data() -> Option<PathBuf> {
    let beside =
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().skip(1).take(3).map(|p| p.join("../shared/data"));
    let named = std::env::var_os("TARN_SHARED").map(PathBuf::from);
    named.into_iter().chain(beside).find_map(|path| path.canonicalize().ok())
}

pub fn write(temporary: &Path, name: &str, content: &str) -> Result<()> {
    let path = temporary.join(name);
    std::fs::create_dir_all(path.parent().unwrap_or(temporary))?;
    Ok(std::fs::write(path, content)?)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_expand_and_unknown_ones_stop() {
        let variables = Variables::new(Path::new("/t"), Path::new("/d"));
        let expand = |sql: &str| variables.expand(sql).map_err(|error| error.to_string());
        assert_eq!(expand("a ${TMP}/x ${DATA} ${repeat 3 (}1").as_deref(), Ok("a /t/x /d (((1"));
        assert_eq!(expand("$1 and $$text$$").as_deref(), Ok("$1 and $$text$$"));
        assert!(expand("${NOBODY}").is_err());
    }
}
