//! The arguments of a procedure, by place or by name. Every one must be known and given once.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::statement::{Argument, ArgumentValue};

/// Arguments by parameter name.
#[derive(Debug)]
pub(crate) struct Arguments {
    procedure: &'static str,
    values: BTreeMap<String, ArgumentValue>,
}

impl Arguments {
    /// Matches arguments with parameters: by place first, then by name.
    pub fn new(procedure: &'static str, parameters: &[&str], arguments: Vec<Argument>) -> Result<Arguments> {
        let mut values = BTreeMap::new();
        for (place, argument) in arguments.into_iter().enumerate() {
            let name = match argument.name {
                Some(name) => name,
                None => match parameters.get(place) {
                    Some(parameter) => (*parameter).to_owned(),
                    None => return Err(wrong(format!("{procedure} takes {} arguments", parameters.len()))),
                },
            };
            if !parameters.contains(&name.as_str()) {
                return Err(wrong(format!("{procedure} has no option \"{name}\""))
                    .with_hint(format!("The options are: {}.", parameters.join(", "))));
            }
            if values.insert(name.clone(), argument.value).is_some() {
                return Err(wrong(format!("option \"{name}\" of {procedure} is given twice")));
            }
        }
        Ok(Arguments { procedure, values })
    }

    /// A text that must be there.
    pub fn text(&mut self, name: &str) -> Result<String> {
        match self.values.remove(name) {
            Some(ArgumentValue::Text(text)) if !text.is_empty() => Ok(text),
            Some(_) => Err(wrong(format!(
                "option \"{name}\" of {} must be a text that is not empty",
                self.procedure
            ))),
            None => Err(wrong(format!("{} needs the option \"{name}\"", self.procedure))
                .with_hint(format!("Write {name} => '…'."))),
        }
    }
}

fn wrong(message: String) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}
