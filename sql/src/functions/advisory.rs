//! `pg_advisory_lock` and its kin. Those that may wait are asynchronous functions; a statement that is stopped drops them,
//! and with them their place among those who wait.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Int64Type};
use async_trait::async_trait;
use datafusion::common::{DataFusionError, Result as EngineResult, internal_err};
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use super::row_function::Definition;
use super::row_function::Kind::{Bool, Int, Text};
use super::text::int;
use crate::advisory::{LockKey, LockMode, LockOwner};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::system::{SystemContext, Value};

pub const DEFINITIONS: &[Definition] = &[
    Definition::acts("pg_try_advisory_lock", &[&[Int], &[Int, Int]], Bool, |context, keys| {
        attempt(context, keys, LockMode { shared: false, transaction: false })
    }),
    Definition::acts("pg_try_advisory_lock_shared", &[&[Int], &[Int, Int]], Bool, |context, keys| {
        attempt(context, keys, LockMode { shared: true, transaction: false })
    }),
    Definition::acts("pg_try_advisory_xact_lock", &[&[Int], &[Int, Int]], Bool, |context, keys| {
        attempt(context, keys, LockMode { shared: false, transaction: true })
    }),
    Definition::acts("pg_try_advisory_xact_lock_shared", &[&[Int], &[Int, Int]], Bool, |context, keys| {
        attempt(context, keys, LockMode { shared: true, transaction: true })
    }),
    Definition::acts("pg_advisory_unlock", &[&[Int], &[Int, Int]], Bool, |context, keys| {
        Ok(context.locks.unlock(key_of(&ints(keys))?, false).into())
    }),
    Definition::acts("pg_advisory_unlock_shared", &[&[Int], &[Int, Int]], Bool, |context, keys| {
        Ok(context.locks.unlock(key_of(&ints(keys))?, true).into())
    }),
    Definition::acts("pg_advisory_unlock_all", &[&[]], Text, |context, _| {
        context.locks.unlock_all();
        Ok("".into())
    }),
];

/// The functions that wait.
pub const WAITING: [(&str, LockMode); 4] = [
    ("pg_advisory_lock", LockMode { shared: false, transaction: false }),
    ("pg_advisory_lock_shared", LockMode { shared: true, transaction: false }),
    ("pg_advisory_xact_lock", LockMode { shared: false, transaction: true }),
    ("pg_advisory_xact_lock_shared", LockMode { shared: true, transaction: true }),
];

/// A function that waits, for the session of a statement.
pub fn waiting(name: &'static str, mode: LockMode, context: &SystemContext) -> ScalarUDF {
    let two = vec![DataType::Int64, DataType::Int64];
    let signature = Signature::one_of(
        vec![TypeSignature::Exact(vec![DataType::Int64]), TypeSignature::Exact(two)],
        Volatility::Volatile,
    );
    let function = Wait { name, mode, owner: context.locks.clone(), signature };
    AsyncScalarUDF::new(Arc::new(function)).into_scalar_udf()
}

fn ints(values: &[Value]) -> Vec<i64> {
    values.iter().map(int).collect()
}

fn key_of(numbers: &[i64]) -> Result<LockKey> {
    let small = |number: i64| {
        i32::try_from(number)
            .map_err(|_| Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "integer out of range"))
    };
    match numbers {
        [number] => Ok(LockKey::one(*number)),
        [first, second] => Ok(LockKey::two(small(*first)?, small(*second)?)),
        _ => Err(Error::internal("an advisory lock has one number or two")),
    }
}

fn attempt(context: &SystemContext, keys: &[Value], mode: LockMode) -> Result<Value> {
    Ok(context.locks.try_lock(key_of(&ints(keys))?, mode)?.into())
}

#[derive(Debug)]
struct Wait {
    name: &'static str,
    mode: LockMode,
    owner: LockOwner,
    signature: Signature,
}

impl PartialEq for Wait {
    fn eq(&self, other: &Wait) -> bool {
        self.name == other.name
    }
}

impl Eq for Wait {}

impl Hash for Wait {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Wait {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Nothing comes back: as text, what a function without a result gives is empty.
    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        internal_err!("{} is called asynchronously", self.name)
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for Wait {
    async fn invoke_async_with_args(&self, call: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let numbers = call.args.iter().map(|argument| argument.to_array(call.number_rows));
        let numbers = numbers.collect::<EngineResult<Vec<_>>>()?;
        let mut answers = Vec::with_capacity(call.number_rows);
        for row in 0..call.number_rows {
            let keys = numbers.iter().map(|column| {
                let column = column.as_primitive::<Int64Type>();
                column.is_valid(row).then(|| column.value(row))
            });
            // As every strict function it does nothing for NULL.
            let Some(keys) = keys.collect::<Option<Vec<i64>>>() else {
                answers.push(None);
                continue;
            };
            let locked = async { self.owner.lock(key_of(&keys)?, self.mode).await };
            locked.await.map_err(|error| DataFusionError::External(Box::new(error)))?;
            answers.push(Some(""));
        }
        let array: ArrayRef = Arc::new(StringArray::from(answers));
        Ok(ColumnarValue::Array(array))
    }
}
