//! What the process is told: one struct per section, one file each. Defaults are overridden by the settings file,
//! that by the environment, that by the flags. Everything is read and checked once, here; each part is then handed
//! its own small struct and never looks at a file or a variable itself.
//!
//! Next: `layers.rs` for how the four sources become one, then the sections.

mod layers;
mod limits;
mod listen;
mod log;
mod memory;
mod s3;
mod storage;
mod tls;
mod value;

use std::ffi::OsString;
use std::path::PathBuf;

pub use layers::{Error, Result};
pub use limits::Limits;
pub use listen::Listen;
pub use log::{Format, Log};
pub use s3::{Hidden, S3};
pub use storage::Storage;
pub use tls::Tls;

use layers::Layers;

/// The file that is read when no other is named and it exists.
pub const DEFAULT_FILE: &str = "tarn.toml";

/// All settings of one server.
#[derive(Debug, Clone)]
pub struct Settings {
    pub listen: Listen,
    /// None for connections in clear alone.
    pub tls: Option<Tls>,
    pub storage: Storage,
    pub s3: S3,
    pub limits: Limits,
    pub log: Log,
}

/// The flags of `tarn serve`; the strongest source.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    pub data_dir: Option<String>,
    pub warehouse: Option<String>,
    pub postgres: Option<String>,
    pub flight: Option<String>,
    pub http: Option<String>,
    /// The settings file. It must exist; without the flag a `tarn.toml` in the working folder is read if there is one.
    pub config: Option<PathBuf>,
}

impl Settings {
    /// Reads the file and the environment, puts the flags over them, and checks the result.
    pub fn load(flags: &Flags, environment: impl Iterator<Item = (OsString, OsString)>) -> Result<Settings> {
        let environment = environment
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with("TARN_"))
            .collect::<Vec<_>>();
        let file = layers::read_file(flags.config.as_deref(), &environment)?;
        let given = [
            ("storage.data_dir", "--data-dir", &flags.data_dir),
            ("storage.warehouse", "--warehouse", &flags.warehouse),
            ("listen.postgres", "--postgres", &flags.postgres),
            ("listen.flight", "--flight", &flags.flight),
            ("listen.http", "--http", &flags.http),
        ];
        let mut layers = Layers::default();
        if let Some((name, text)) = &file {
            layers.add_file(name, text)?;
        }
        layers.add_environment(&environment)?;
        for (key, flag, value) in given {
            if let Some(value) = value {
                layers.add(key, flag, value);
            }
        }
        Settings::from_layers(&layers)
    }

    fn from_layers(layers: &Layers) -> Result<Settings> {
        let storage = Storage::from_layers(layers)?;
        let limits = Limits::from_layers(layers, &storage.data_dir)?;
        let tls = Tls::from_layers(layers, &storage.data_dir)?;
        Ok(Settings {
            listen: Listen::from_layers(layers, tls.is_some())?,
            tls,
            s3: S3::from_layers(layers)?,
            log: Log::from_layers(layers)?,
            storage,
            limits,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str, environment: &[(&str, &str)], flags: &Flags) -> Result<Settings> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("tarn.toml");
        std::fs::write(&path, file).expect("a writable folder");
        let flags = Flags { config: Some(path), ..flags.clone() };
        let environment = environment.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Settings::load(&flags, environment)
    }

    fn error(file: &str, environment: &[(&str, &str)], flags: &Flags) -> String {
        load(file, environment, flags).expect_err("the settings are wrong").to_string()
    }

    #[test]
    fn defaults_are_loopback_and_the_data_folder_of_decision_2() {
        let settings = load("", &[], &Flags::default()).expect("no settings are good settings");
        assert_eq!(settings.listen.postgres.to_string(), "127.0.0.1:5439");
        assert_eq!(settings.listen.flight.to_string(), "127.0.0.1:32010");
        assert_eq!(settings.listen.http.to_string(), "127.0.0.1:8181");
        assert!(settings.storage.data_dir.ends_with("tarn-data"));
        assert!(settings.storage.warehouse.starts_with("file:///"));
        assert!(settings.storage.warehouse.ends_with("/tarn-data/warehouse"));
        assert!(settings.limits.memory_bytes > 0);
    }

    #[test]
    fn each_source_overrides_the_one_before() {
        let file = "[limits]\nconnections = 7\n[listen]\npostgres = '127.0.0.1:1'\nhttp = '127.0.0.1:1'";
        let environment = [("TARN_POSTGRES", "127.0.0.1:2"), ("TARN_HTTP", "127.0.0.1:2")];
        let flags = Flags { http: Some("127.0.0.1:3".to_owned()), ..Flags::default() };
        let settings = load(file, &environment, &flags).expect("good settings");
        assert_eq!(settings.limits.connections, 7);
        assert_eq!(settings.listen.postgres.port(), 2);
        assert_eq!(settings.listen.http.port(), 3);
    }

    #[test]
    fn a_wrong_setting_is_named_with_its_source() {
        let none = Flags::default();
        let check = |file: &str, environment: &[(&str, &str)], expect: &str| {
            let message = error(file, environment, &none);
            assert!(message.contains(expect), "{message:?} does not contain {expect:?}");
            assert!(!message.contains('\n'), "{message:?} is more than one line");
        };
        check("[limits]\nconections = 7", &[], "unknown key limits.conections");
        check("[limitz]\nconnections = 7", &[], "unknown key limitz.connections");
        check("colour = 'red'", &[], "unknown key colour");
        check("[limits]\nconnections = 'many'", &[], "limits.connections");
        check("[limits]\nconnections = 0", &[], "limits.connections");
        check("[limits]\nmemory = '120%'", &[], "limits.memory");
        check("[limits\n", &[], "line 1");
        check("", &[("TARN_LIMITS_CONNECTIONS", "-1")], "TARN_LIMITS_CONNECTIONS");
        check("", &[("TARN_LIMITS_CONECTIONS", "1")], "TARN_LIMITS_CONECTIONS");
        check("[log]\nformat = 'xml'", &[], "text or json");
        check("[s3]\naccess_key_id = 'only half'", &[], "s3.secret_access_key");
    }

    #[test]
    fn only_loopback_may_be_listened_on() {
        for address in ["0.0.0.0:5439", "192.168.1.7:5439", "[::]:5439"] {
            let flags = Flags { postgres: Some(address.to_owned()), ..Flags::default() };
            let message = error("", &[], &flags);
            assert!(message.contains("--postgres") && message.contains("loopback"), "{message}");
        }
        let flags = Flags { postgres: Some("localhost:0".to_owned()), ..Flags::default() };
        assert!(load("", &[], &flags).is_ok());
    }

    #[test]
    fn a_secret_cannot_be_printed() {
        let file = "[s3]\naccess_key_id = 'AKIA1'\nsecret_access_key = 'wxyz'";
        let settings = load(file, &[], &Flags::default()).expect("good settings");
        assert!(!format!("{settings:?}").contains("wxyz"));
    }
}
