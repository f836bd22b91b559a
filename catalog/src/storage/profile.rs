//! Reads one profile out of the AWS credential and configuration files.
//!
//! Only what a static key needs is understood. A profile that wants a login (SSO), another role or an external program
//! is refused by name, because going on without it would look like a wrong key.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// Bytes of the largest profile file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Settings of ways to log in that we do not have.
const FOREIGN: [&str; 5] =
    ["role_arn", "credential_process", "sso_session", "sso_start_url", "web_identity_token_file"];

/// What a profile says.
#[derive(Debug, Default)]
pub struct Profile {
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<Secret<String>>,
    pub session_token: Option<Secret<String>>,
    pub region: Option<String>,
    pub endpoint: Option<String>,
}

/// Where the files are, from the environment.
pub fn files(variable: impl Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let home = variable("HOME").map(PathBuf::from);
    let file = |name: &str, default: &str| match variable(name) {
        Some(path) => Some(PathBuf::from(path)),
        None => home.as_ref().map(|home| home.join(".aws").join(default)),
    };
    // Credentials first: where both files name a key, the AWS tools take this one.
    [file("AWS_SHARED_CREDENTIALS_FILE", "credentials"), file("AWS_CONFIG_FILE", "config")]
        .into_iter()
        .flatten()
        .collect()
}

/// Reads profile `name` from `files`. A profile that was asked for by name must be in one of them.
pub fn read(files: &[PathBuf], name: &str, required: bool) -> Result<Profile> {
    let mut found = false;
    let mut values = HashMap::new();
    for file in files {
        let Some(text) = read_file(file)? else { continue };
        let Some(section) = section(&text, name) else { continue };
        found = true;
        for (key, value) in section {
            values.entry(key).or_insert(value);
        }
    }
    if !found && required {
        return Err(Error::invalid(format!("there is no AWS profile \"{name}\"")).with_hint(
            "Name a section of ~/.aws/credentials or ~/.aws/config, or set the keys in the settings.",
        ));
    }
    if !values.contains_key("aws_access_key_id")
        && let Some(foreign) = FOREIGN.iter().find(|key| values.contains_key(**key))
    {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("AWS profile \"{name}\" uses {foreign}, and only static keys are read"),
        )
        .with_hint("Put aws_access_key_id and aws_secret_access_key in the profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."));
    }
    Ok(Profile {
        access_key_id: values.remove("aws_access_key_id"),
        secret_access_key: values.remove("aws_secret_access_key").map(Secret::new),
        session_token: values.remove("aws_session_token").map(Secret::new),
        region: values.remove("region"),
        endpoint: values.remove("s3.endpoint_url").or(values.remove("endpoint_url")),
    })
}

fn read_file(file: &Path) -> Result<Option<String>> {
    match std::fs::metadata(file) {
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
            let text = format!("AWS profile file {} is larger than {FILE_BYTES_MAX} bytes", file.display());
            return Err(Error::new(ErrorKind::Limit, text));
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(file, error)),
    }
    std::fs::read_to_string(file).map(Some).map_err(|error| unreadable(file, error))
}

fn unreadable(file: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Storage, format!("AWS profile file {} cannot be read", file.display()))
        .with_source(error)
}

/// The settings of one section: `[name]` in the credentials file, `[profile name]` in the configuration file.
/// Indented lines below `s3 =` are settings of that service, here `s3.…`.
fn section(text: &str, name: &str) -> Option<HashMap<String, String>> {
    let mut found = false;
    let mut inside = false;
    let mut service = None;
    let mut values = HashMap::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') || trimmed.starts_with(';') {
            continue;
        }
        if let Some(header) =
            trimmed.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|pair| pair.0)
        {
            let header = header.trim();
            inside = header.strip_prefix("profile ").map_or(header, str::trim) == name;
            found |= inside;
            service = None;
            continue;
        }
        let Some((key, value)) = trimmed.split_once('=').filter(|_| inside) else { continue };
        let (key, value) = (key.trim().to_ascii_lowercase(), value.trim().to_string());
        match &service {
            Some(service) if line.starts_with([' ', '\t']) => {
                values.insert(format!("{service}.{key}"), value);
            }
            _ if value.is_empty() => service = Some(key),
            _ => {
                service = None;
                values.insert(key, value);
            }
        }
    }
    found.then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(credentials: &str, config: &str, name: &str) -> Result<Profile> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let files = [folder.path().join("credentials"), folder.path().join("config")];
        std::fs::write(&files[0], credentials).expect("the file is written");
        std::fs::write(&files[1], config).expect("the file is written");
        read(&files, name, true)
    }

    #[test]
    fn both_files_are_read_and_credentials_win() {
        let credentials = "# keys\n[default]\naws_access_key_id = A\n[work]\naws_access_key_id=B\naws_secret_access_key = s=1\n";
        let config = "[profile work]\nregion = eu-west-1\naws_access_key_id = C\ns3 =\n  endpoint_url = http://127.0.0.1:9000\n";
        let profile = read_text(credentials, config, "work").expect("a profile");
        assert_eq!(profile.access_key_id.as_deref(), Some("B"));
        assert_eq!(profile.secret_access_key.as_ref().map(|key| key.expose().as_str()), Some("s=1"));
        assert_eq!(profile.region.as_deref(), Some("eu-west-1"));
        assert_eq!(profile.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
        assert!(!format!("{profile:?}").contains("s=1"));
    }

    #[test]
    fn a_missing_profile_and_a_foreign_login_are_named() {
        let missing = read_text("[default]\n", "", "work").expect_err("there is none");
        assert_eq!(missing.message, "there is no AWS profile \"work\"");
        let foreign =
            read_text("", "[profile work]\nsso_session = corp\n", "work").expect_err("SSO is not read");
        assert!(foreign.message.contains("sso_session"), "{}", foreign.message);
    }
}
