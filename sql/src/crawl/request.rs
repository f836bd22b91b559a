//! What a crawl is asked to do: where, into which schema, and how. The same options come as arguments of a call and with
//! `CREATE CRAWLER`. It must never look at a file.

use tarn_catalog::crawler::{CrawlOptions, OnDelete, OnUpdate, Recrawl};

use crate::error::{Error, Result};
use crate::procedure::{Arguments, Parameter, ParameterKind};
use crate::sqlstate::SqlState;

// The options, as parameters of procedures.
pub const EXCLUDE: Parameter = Parameter::optional("exclude", ParameterKind::Texts);
pub const PREFIX: Parameter = Parameter::optional("table_prefix", ParameterKind::Text);
pub const DEPTH: Parameter = Parameter::optional("max_depth", ParameterKind::Integer);
pub const TABLES: Parameter = Parameter::optional("max_tables", ParameterKind::Integer);
pub const SAMPLE: Parameter = Parameter::optional("sample_files", ParameterKind::Integer);
pub const GROUPING: Parameter = Parameter::optional("grouping", ParameterKind::Text);
pub const ON_UPDATE: Parameter = Parameter::optional("on_update", ParameterKind::Text);
pub const ON_DELETE: Parameter = Parameter::optional("on_delete", ParameterKind::Text);
pub const RECRAWL: Parameter = Parameter::optional("recrawl", ParameterKind::Text);

/// What is done with what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Plan and apply in one.
    #[default]
    Run,
    /// Keep the plan and change nothing else.
    Plan,
    /// Only tables that exist already.
    RefreshOnly,
}

impl Mode {
    pub fn of(word: &str) -> Result<Mode> {
        match word {
            "run" => Ok(Mode::Run),
            "plan" => Ok(Mode::Plan),
            "refresh_only" => Ok(Mode::RefreshOnly),
            other => Err(wrong("mode", other, "run, plan, apply or refresh_only")),
        }
    }
}

/// What to crawl, and the schema for the tables.
#[derive(Debug, Clone, Default)]
pub struct CrawlRequest {
    /// The crawler's name, if it is one's.
    pub crawler: Option<String>,
    pub locations: Vec<String>,
    pub schema: String,
    pub options: CrawlOptions,
    pub mode: Mode,
}

/// The options that were given, on top of those there are.
pub fn options(arguments: &Arguments, mut options: CrawlOptions) -> Result<CrawlOptions> {
    if let Some(exclude) = arguments.texts("exclude") {
        options.exclude = exclude.to_vec();
    }
    if let Some(prefix) = arguments.text("table_prefix") {
        tarn_catalog::name::check_identifier(prefix)?;
        options.table_prefix = prefix.to_owned();
    }
    for (name, place) in [
        ("max_depth", &mut options.max_depth),
        ("max_tables", &mut options.max_tables),
        ("sample_files", &mut options.sample_files),
    ] {
        if let Some(number) = arguments.integer(name) {
            let number = u64::try_from(number).ok().filter(|number| name == "max_depth" || *number > 0);
            *place = Some(number.ok_or_else(|| wrong(name, "that", "a whole number from 1"))?);
        }
    }
    match arguments.text("grouping") {
        None => {}
        Some("combine_compatible") => options.separate = false,
        Some("separate") => options.separate = true,
        Some(other) => return Err(wrong("grouping", other, "combine_compatible or separate")),
    }
    match arguments.text("on_update") {
        None => {}
        Some("merge_new_columns") => options.on_update = OnUpdate::MergeNewColumns,
        Some("log") => options.on_update = OnUpdate::Log,
        Some(other) => return Err(wrong("on_update", other, "merge_new_columns or log")),
    }
    match arguments.text("on_delete") {
        None => {}
        Some("log") => options.on_delete = OnDelete::Log,
        Some("deprecate") => options.on_delete = OnDelete::Deprecate,
        Some("drop") => options.on_delete = OnDelete::Drop,
        Some(other) => return Err(wrong("on_delete", other, "log, deprecate or drop")),
    }
    match arguments.text("recrawl") {
        None => {}
        Some("everything") => options.recrawl = Recrawl::Everything,
        Some("new_files") => options.recrawl = Recrawl::NewFiles,
        Some(other) => return Err(wrong("recrawl", other, "everything or new_files")),
    }
    for pattern in &options.exclude {
        crate::files::listing::Matcher::new(pattern)?;
    }
    Ok(options)
}

fn wrong(name: &str, value: &str, known: &str) -> Error {
    let message = format!("option \"{name}\" of a crawl cannot be '{value}'");
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message).with_hint(format!("It is {known}."))
}
