//! The functions that a statement may call, by name. Nearly all are made once for the process; those that answer from the
//! statement's context or follow a setting are made when a statement names them, so that a statement pays for what it
//! calls alone.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use datafusion::catalog::TableFunction;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::execution::SessionState;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, WindowUDF};

use super::row_function::{Definition, RowFunction};
use super::{advisory, casts, column_comment, lookups, privileges, session, signatures, sizes};
use crate::system::SystemContext;

/// Scalar functions that plans are given by name after they have been made.
const NAMED_BY_PLANS: [&str; 2] = ["to_uuid", "to_bytea"];
/// The one that the engine puts in the place of DISTINCT ON.
const NAMED_BY_ENGINE: &str = "first_value";

/// Makes a function for the context of a statement.
type Maker = Box<dyn Fn(&Arc<SystemContext>) -> ScalarUDF + Send + Sync>;

/// The functions of the process.
pub(crate) struct SharedFunctions {
    scalar: HashMap<String, Arc<ScalarUDF>>,
    higher_order: HashMap<String, Arc<HigherOrderUDF>>,
    aggregate: HashMap<String, Arc<AggregateUDF>>,
    window: HashMap<String, Arc<WindowUDF>>,
    table: HashMap<String, Arc<TableFunction>>,
    /// What answers from the statement's context; it comes before what the engine has under the same name.
    asking: HashMap<&'static str, Maker>,
}

impl fmt::Debug for SharedFunctions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SharedFunctions").field("scalar", &self.scalar.len()).finish_non_exhaustive()
    }
}

impl SharedFunctions {
    /// Takes the functions out of a state, which is copied for each statement and again for each run of a plan.
    ///
    /// # Errors
    ///
    /// A function that plans name is not there.
    pub fn take_from(state: SessionState) -> Result<(SharedFunctions, SessionState)> {
        let functions = SharedFunctions {
            scalar: state.scalar_functions().clone(),
            higher_order: state.higher_order_functions().clone(),
            aggregate: state.aggregate_functions().clone(),
            window: state.window_functions().clone(),
            table: state.table_functions().clone(),
            asking: asking(),
        };
        let missing = |name: &str| datafusion::common::plan_datafusion_err!("{name} is not registered");
        let named = |name: &&str| functions.scalar.get(*name).cloned().ok_or_else(|| missing(name));
        let kept = NAMED_BY_PLANS.iter().map(named).collect::<Result<Vec<_>>>()?;
        let first = functions.aggregate.get(NAMED_BY_ENGINE).cloned();
        let light = SessionStateBuilder::new_from_existing(state)
            .with_scalar_functions(kept)
            .with_higher_order_functions(Vec::new())
            .with_aggregate_functions(vec![first.ok_or_else(|| missing(NAMED_BY_ENGINE))?])
            .with_window_functions(Vec::new())
            .with_table_functions(HashMap::new())
            .build();
        Ok((functions, light))
    }
}

/// What makes each function that answers from the statement's context.
fn asking() -> HashMap<&'static str, Maker> {
    let groups: [&'static [Definition]; 7] = [
        session::DEFINITIONS,
        lookups::DEFINITIONS,
        privileges::DEFINITIONS,
        sizes::DEFINITIONS,
        casts::DEFINITIONS,
        signatures::DEFINITIONS,
        advisory::DEFINITIONS,
    ];
    let mut makers: HashMap<&'static str, Maker> = HashMap::new();
    for definition in groups.into_iter().flatten() {
        let make: Maker = Box::new(|context| RowFunction::new(definition, Some(Arc::clone(context))).into());
        makers.insert(definition.name, make);
    }
    for (name, mode) in advisory::WAITING {
        makers.insert(name, Box::new(move |context| advisory::waiting(name, mode, context)));
    }
    makers.insert(
        column_comment::NAME,
        Box::new(|context| column_comment::column_comment(Arc::clone(context))),
    );
    makers
}

/// The functions as one statement sees them.
#[derive(Debug, Clone)]
pub(crate) struct StatementFunctions {
    shared: Arc<SharedFunctions>,
    context: Arc<SystemContext>,
    options: Arc<ConfigOptions>,
}

impl StatementFunctions {
    pub fn new(
        shared: Arc<SharedFunctions>,
        context: Arc<SystemContext>,
        options: Arc<ConfigOptions>,
    ) -> StatementFunctions {
        StatementFunctions { shared, context, options }
    }

    pub fn scalar(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        if let Some(make) = self.shared.asking.get(name) {
            return Some(Arc::new(make(&self.context)));
        }
        let function = self.shared.scalar.get(name)?;
        // Functions that follow a setting, such as `now()` the time zone, are told what it is.
        let configured = function.inner().with_updated_config(&self.options);
        Some(configured.map_or_else(|| Arc::clone(function), Arc::new))
    }

    pub fn higher_order(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.shared.higher_order.get(name).cloned()
    }

    pub fn aggregate(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.shared.aggregate.get(name).cloned()
    }

    pub fn window(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.shared.window.get(name).cloned()
    }

    pub fn table(&self, name: &str) -> Option<Arc<TableFunction>> {
        self.shared.table.get(name).cloned()
    }

    pub fn scalar_names(&self) -> Vec<String> {
        let asking = self.shared.asking.keys().map(|name| (*name).to_owned());
        self.shared.scalar.keys().cloned().chain(asking).collect()
    }

    pub fn higher_order_names(&self) -> Vec<String> {
        self.shared.higher_order.keys().cloned().collect()
    }

    pub fn aggregate_names(&self) -> Vec<String> {
        self.shared.aggregate.keys().cloned().collect()
    }

    pub fn window_names(&self) -> Vec<String> {
        self.shared.window.keys().cloned().collect()
    }
}
