//! What the server can do (`GetSqlInfo`): every code of the specification has its answer here.

use std::collections::BTreeMap;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::SqlInfoDataBuilder;
use arrow_flight::sql::{
    CommandGetSqlInfo, SqlInfo, SqlNullOrdering, SqlOuterJoinsSupportLevel, SqlSupportedCaseSensitivity,
    SqlSupportedElementActions, SqlSupportedGroupBy, SqlSupportedResultSetConcurrency,
    SqlSupportedResultSetType, SqlSupportedSubqueries, SqlSupportedTransaction, SqlSupportedUnions,
    SqlSupportsConvert, SqlTransactionIsolationLevel, SupportedSqlGrammar,
};
use tarn_sql::{Error, STATEMENT_BYTES_MAX};

use super::sql_info_texts::{
    DATETIME_FUNCTIONS, KEYWORDS, NUMERIC_FUNCTIONS, STRING_FUNCTIONS, SYSTEM_FUNCTIONS,
};

/// The version of Arrow's format that we write.
const ARROW_VERSION: &str = "1.5";

/// Bytes of a name; they are all the letters that fit in any case.
const NAME_MAX: i64 = 255;

/// No limit, or none that is known.
const UNLIMITED: i64 = 0;

/// `SupportedAnsi92SqlGrammarLevel`, which the library does not show: entry and intermediate level.
const ANSI_92: i32 = 0b11;

pub fn schema() -> SchemaRef {
    std::sync::Arc::new(SqlInfoDataBuilder::schema().clone())
}

/// The answers to the codes that are asked for, or all of them.
pub fn rows(command: CommandGetSqlInfo) -> Result<RecordBatch, Error> {
    let mut builder = SqlInfoDataBuilder::new();
    server(&mut builder);
    names(&mut builder);
    grammar(&mut builder);
    limits(&mut builder);
    transactions(&mut builder);
    let data = builder.build().map_err(internal)?;
    data.record_batch(command.info).map_err(internal)
}

fn internal(error: FlightError) -> Error {
    Error::internal(error.to_string())
}

/// The bits of ordinals.
fn bits<T: Into<i32>>(ordinals: impl IntoIterator<Item = T>) -> i32 {
    ordinals.into_iter().fold(0, |bits, ordinal| bits | (1 << ordinal.into()))
}

fn server(builder: &mut SqlInfoDataBuilder) {
    builder.append(SqlInfo::FlightSqlServerName, "Tarn");
    builder.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    builder.append(SqlInfo::FlightSqlServerArrowVersion, ARROW_VERSION);
    builder.append(SqlInfo::FlightSqlServerReadOnly, false);
    builder.append(SqlInfo::FlightSqlServerSql, true);
    builder.append(SqlInfo::FlightSqlServerSubstrait, false);
    builder.append(SqlInfo::FlightSqlServerSubstraitMinVersion, "");
    builder.append(SqlInfo::FlightSqlServerSubstraitMaxVersion, "");
    builder.append(SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::Savepoint as i32);
    builder.append(SqlInfo::FlightSqlServerCancel, true);
    builder.append(SqlInfo::FlightSqlServerBulkIngestion, true);
    builder.append(SqlInfo::FlightSqlServerIngestTransactionsSupported, true);
    // Both live as long as their session.
    builder.append(SqlInfo::FlightSqlServerStatementTimeout, 0);
    builder.append(SqlInfo::FlightSqlServerTransactionTimeout, 0);
}

fn names(builder: &mut SqlInfoDataBuilder) {
    builder.append(SqlInfo::SqlDdlCatalog, false);
    builder.append(SqlInfo::SqlDdlSchema, true);
    builder.append(SqlInfo::SqlDdlTable, true);
    let lower = SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i32;
    builder.append(SqlInfo::SqlIdentifierCase, lower);
    builder.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    // The specification has no word for "as it is written".
    let unknown = SqlSupportedCaseSensitivity::SqlCaseSensitivityUnknown as i32;
    builder.append(SqlInfo::SqlQuotedIdentifierCase, unknown);
    builder.append(SqlInfo::SqlAllTablesAreSelectable, false);
    builder.append(SqlInfo::SqlNullOrdering, SqlNullOrdering::SqlNullsSortedHigh as i32);
    builder.append(SqlInfo::SqlKeywords, KEYWORDS);
    builder.append(SqlInfo::SqlNumericFunctions, NUMERIC_FUNCTIONS);
    builder.append(SqlInfo::SqlStringFunctions, STRING_FUNCTIONS);
    builder.append(SqlInfo::SqlSystemFunctions, SYSTEM_FUNCTIONS);
    builder.append(SqlInfo::SqlDatetimeFunctions, DATETIME_FUNCTIONS);
    builder.append(SqlInfo::SqlSearchStringEscape, "\\");
    builder.append(SqlInfo::SqlExtraNameCharacters, "$");
    builder.append(SqlInfo::SqlSchemaTerm, "schema");
    builder.append(SqlInfo::SqlProcedureTerm, "procedure");
    builder.append(SqlInfo::SqlCatalogTerm, "database");
    builder.append(SqlInfo::SqlCatalogAtStart, true);
}

fn grammar(builder: &mut SqlInfoDataBuilder) {
    use SqlSupportedElementActions as Actions;
    use SqlSupportedSubqueries as Subqueries;
    builder.append(SqlInfo::SqlSupportsColumnAliasing, true);
    builder.append(SqlInfo::SqlNullPlusNullIsNull, true);
    builder.append(SqlInfo::SqlSupportsConvert, conversions());
    builder.append(SqlInfo::SqlSupportsTableCorrelationNames, true);
    builder.append(SqlInfo::SqlSupportsDifferentTableCorrelationNames, false);
    builder.append(SqlInfo::SqlSupportsExpressionsInOrderBy, true);
    builder.append(SqlInfo::SqlSupportsOrderByUnrelated, true);
    let group_by = [SqlSupportedGroupBy::SqlGroupByUnrelated, SqlSupportedGroupBy::SqlGroupByBeyondSelect];
    builder.append(SqlInfo::SqlSupportedGroupBy, bits(group_by));
    builder.append(SqlInfo::SqlSupportsLikeEscapeClause, true);
    builder.append(SqlInfo::SqlSupportsNonNullableColumns, true);
    let grammars = [SupportedSqlGrammar::SqlMinimumGrammar, SupportedSqlGrammar::SqlCoreGrammar];
    builder.append(SqlInfo::SqlSupportedGrammar, bits(grammars));
    builder.append(SqlInfo::SqlAnsi92SupportedLevel, ANSI_92);
    builder.append(SqlInfo::SqlSupportsIntegrityEnhancementFacility, false);
    let outer = SqlOuterJoinsSupportLevel::SqlFullOuterJoins as i32;
    builder.append(SqlInfo::SqlOuterJoinsSupportLevel, outer);
    let places = [Actions::SqlElementInProcedureCalls, Actions::SqlElementInPrivilegeDefinitions];
    builder.append(SqlInfo::SqlSchemasSupportedActions, bits(places));
    builder.append(SqlInfo::SqlCatalogsSupportedActions, bits(places));
    builder.append(SqlInfo::SqlSupportedPositionedCommands, 0);
    builder.append(SqlInfo::SqlSelectForUpdateSupported, false);
    builder.append(SqlInfo::SqlStoredProceduresSupported, false);
    let subqueries = [
        Subqueries::SqlSubqueriesInComparisons,
        Subqueries::SqlSubqueriesInExists,
        Subqueries::SqlSubqueriesInIns,
        Subqueries::SqlSubqueriesInQuantifieds,
    ];
    builder.append(SqlInfo::SqlSupportedSubqueries, bits(subqueries));
    builder.append(SqlInfo::SqlCorrelatedSubqueriesSupported, true);
    let unions = [SqlSupportedUnions::SqlUnion, SqlSupportedUnions::SqlUnionAll];
    builder.append(SqlInfo::SqlSupportedUnions, bits(unions));
    builder.append(SqlInfo::SqlNamedParametersSupported, false);
    builder.append(SqlInfo::SqlLocatorsUpdateCopy, false);
    builder.append(SqlInfo::SqlStoredFunctionsUsingCallSyntaxSupported, false);
}

/// Which types can be cast to which: numbers to each other, texts to all, all to texts, dates and times to theirs.
fn conversions() -> BTreeMap<i32, Vec<i32>> {
    use SqlSupportsConvert as Type;
    let numbers = [
        Type::SqlConvertBigint,
        Type::SqlConvertDecimal,
        Type::SqlConvertFloat,
        Type::SqlConvertInteger,
        Type::SqlConvertNumeric,
        Type::SqlConvertReal,
        Type::SqlConvertSmallint,
    ];
    let texts = [Type::SqlConvertChar, Type::SqlConvertLongvarchar, Type::SqlConvertVarchar];
    let times = [Type::SqlConvertDate, Type::SqlConvertTime, Type::SqlConvertTimestamp];
    let bytes = [Type::SqlConvertBinary, Type::SqlConvertLongvarbinary, Type::SqlConvertVarbinary];
    let ordinals = |types: &[&[Type]]| -> Vec<i32> {
        let mut ordinals: Vec<i32> = types.concat().into_iter().map(|one| one as i32).collect();
        ordinals.sort_unstable();
        ordinals
    };
    let to_number = ordinals(&[&numbers, &texts]);
    let to_all = ordinals(&[&numbers, &texts, &times, &bytes, &[Type::SqlConvertBit]]);
    let rows = numbers.iter().map(|from| (*from as i32, to_number.clone()));
    let rows = rows.chain(texts.iter().map(|from| (*from as i32, to_all.clone())));
    let rows = rows.chain(bytes.iter().map(|from| (*from as i32, ordinals(&[&bytes, &texts]))));
    let mut map: BTreeMap<i32, Vec<i32>> = rows.collect();
    let date_to = [Type::SqlConvertDate, Type::SqlConvertTimestamp];
    map.insert(Type::SqlConvertDate as i32, ordinals(&[&date_to, &texts]));
    map.insert(Type::SqlConvertTime as i32, ordinals(&[&[Type::SqlConvertTime], &texts]));
    map.insert(Type::SqlConvertTimestamp as i32, ordinals(&[&times, &texts]));
    let integer = [Type::SqlConvertBit, Type::SqlConvertInteger];
    map.insert(Type::SqlConvertBit as i32, ordinals(&[&integer, &texts]));
    map
}

fn limits(builder: &mut SqlInfoDataBuilder) {
    let statement = i64::try_from(STATEMENT_BYTES_MAX).unwrap_or(i64::MAX);
    for (info, limit) in [
        (SqlInfo::SqlMaxBinaryLiteralLength, statement),
        (SqlInfo::SqlMaxCharLiteralLength, statement),
        (SqlInfo::SqlMaxColumnNameLength, NAME_MAX),
        (SqlInfo::SqlMaxColumnsInGroupBy, UNLIMITED),
        (SqlInfo::SqlMaxColumnsInIndex, UNLIMITED),
        (SqlInfo::SqlMaxColumnsInOrderBy, UNLIMITED),
        (SqlInfo::SqlMaxColumnsInSelect, UNLIMITED),
        (SqlInfo::SqlMaxColumnsInTable, UNLIMITED),
        (SqlInfo::SqlMaxConnections, UNLIMITED),
        (SqlInfo::SqlMaxCursorNameLength, NAME_MAX),
        (SqlInfo::SqlMaxIndexLength, UNLIMITED),
        (SqlInfo::SqlDbSchemaNameLength, NAME_MAX),
        (SqlInfo::SqlMaxProcedureNameLength, NAME_MAX),
        (SqlInfo::SqlMaxCatalogNameLength, NAME_MAX),
        (SqlInfo::SqlMaxRowSize, UNLIMITED),
        (SqlInfo::SqlMaxStatementLength, statement),
        (SqlInfo::SqlMaxStatements, UNLIMITED),
        (SqlInfo::SqlMaxTableNameLength, NAME_MAX),
        (SqlInfo::SqlMaxTablesInSelect, UNLIMITED),
        (SqlInfo::SqlMaxUsernameLength, NAME_MAX),
    ] {
        builder.append(info, limit);
    }
    builder.append(SqlInfo::SqlMaxRowSizeIncludesBlobs, true);
}

fn transactions(builder: &mut SqlInfoDataBuilder) {
    use SqlTransactionIsolationLevel as Isolation;
    // What PostgreSQL calls repeatable read: one version of everything.
    let default = Isolation::SqlTransactionRepeatableRead as i32;
    builder.append(SqlInfo::SqlDefaultTransactionIsolation, default);
    builder.append(SqlInfo::SqlTransactionsSupported, true);
    let levels = [
        Isolation::SqlTransactionReadUncommitted,
        Isolation::SqlTransactionReadCommitted,
        Isolation::SqlTransactionRepeatableRead,
        Isolation::SqlTransactionSerializable,
    ];
    builder.append(SqlInfo::SqlSupportedTransactionsIsolationLevels, bits(levels));
    builder.append(SqlInfo::SqlDataDefinitionCausesTransactionCommit, false);
    builder.append(SqlInfo::SqlDataDefinitionsInTransactionsIgnored, false);
    let forward = [SqlSupportedResultSetType::SqlResultSetTypeForwardOnly];
    builder.append(SqlInfo::SqlSupportedResultSetTypes, bits(forward));
    let read_only = bits([SqlSupportedResultSetConcurrency::SqlResultSetConcurrencyReadOnly]);
    builder.append(SqlInfo::SqlSupportedConcurrenciesForResultSetUnspecified, read_only);
    builder.append(SqlInfo::SqlSupportedConcurrenciesForResultSetForwardOnly, read_only);
    builder.append(SqlInfo::SqlSupportedConcurrenciesForResultSetScrollSensitive, 0);
    builder.append(SqlInfo::SqlSupportedConcurrenciesForResultSetScrollInsensitive, 0);
    builder.append(SqlInfo::SqlBatchUpdatesSupported, true);
    builder.append(SqlInfo::SqlSavepointsSupported, true);
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::AsArray;
    use arrow::datatypes::UInt32Type;

    fn codes(info: Vec<u32>) -> Vec<u32> {
        let rows = rows(CommandGetSqlInfo { info }).expect("answers");
        assert_eq!(rows.schema(), schema());
        rows.column(0).as_primitive::<UInt32Type>().values().to_vec()
    }

    #[test]
    fn every_code_has_an_answer() {
        let known = (0..2000).filter_map(|code| SqlInfo::try_from(code).ok());
        let known: Vec<u32> = known.map(|info| info as u32).collect();
        assert!(known.len() > 80, "the codes of the library are not found any more");
        assert_eq!(codes(Vec::new()), known);
    }

    #[test]
    fn one_code_can_be_asked_for() {
        assert_eq!(codes(vec![508, 3]), [3, 508]);
        assert_eq!(codes(vec![9999]), Vec::<u32>::new());
    }

    #[test]
    fn conversions_are_those_of_casts() {
        let map = conversions();
        let to = |from: SqlSupportsConvert| map.get(&(from as i32)).cloned().unwrap_or_default();
        assert!(
            to(SqlSupportsConvert::SqlConvertVarchar).contains(&(SqlSupportsConvert::SqlConvertDate as i32))
        );
        assert!(
            !to(SqlSupportsConvert::SqlConvertDate).contains(&(SqlSupportsConvert::SqlConvertBigint as i32))
        );
    }
}
