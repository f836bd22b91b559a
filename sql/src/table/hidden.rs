//! The columns that every row has although no table declares them: where the row is and since when. A scan hands them
//! out when it is asked to, after the table's own columns. It decides names and types; `stage.rs` fills them in.

use arrow::datatypes::{DataType, Field};
use iceberg::metadata_columns::{
    RESERVED_COL_NAME_FILE, RESERVED_COL_NAME_LAST_UPDATED_SEQUENCE_NUMBER, RESERVED_COL_NAME_PARTITION,
    RESERVED_COL_NAME_POS, RESERVED_COL_NAME_ROW_ID, RESERVED_COL_NAME_SPEC_ID,
};

/// URL of the data file that the row is in.
pub const FILE: &str = RESERVED_COL_NAME_FILE;
/// Place of the row in its file, counted from 0.
pub const POS: &str = RESERVED_COL_NAME_POS;
/// The partition spec that the file was written under.
pub const SPEC_ID: &str = RESERVED_COL_NAME_SPEC_ID;
/// The file's partition values, as JSON by the names of the spec's fields.
pub const PARTITION: &str = RESERVED_COL_NAME_PARTITION;
/// The row's number, which it keeps for life; NULL before format version 3.
pub const ROW_ID: &str = RESERVED_COL_NAME_ROW_ID;
/// Sequence number of the commit that last changed the row; NULL before format version 3.
pub const LAST_UPDATED: &str = RESERVED_COL_NAME_LAST_UPDATED_SEQUENCE_NUMBER;

/// The OID of the table itself, the same in every row. Unlike the others, external and system tables have it too, and a
/// query adds it, not the scan.
pub const TABLE_OID: &str = "tableoid";

/// What a row of an external table has beyond the table's columns, as JSON; NULL in most rows. Only external tables have
/// it, and `_file` besides.
pub const RESCUED: &str = "_rescued";

/// The names of those that a scan hands out, in the order in which they follow the table's columns.
pub const NAMES: [&str; 6] = [FILE, POS, SPEC_ID, PARTITION, ROW_ID, LAST_UPDATED];

/// Which of them a scan hands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hidden {
    File,
    Pos,
    SpecId,
    Partition,
    RowId,
    LastUpdated,
}

impl Hidden {
    pub const ALL: [Hidden; 6] =
        [Hidden::File, Hidden::Pos, Hidden::SpecId, Hidden::Partition, Hidden::RowId, Hidden::LastUpdated];

    pub fn of_name(name: &str) -> Option<Hidden> {
        Hidden::ALL.into_iter().find(|hidden| hidden.name() == name)
    }

    pub fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    pub fn field(self) -> Field {
        let (data_type, nullable) = match self {
            Hidden::File => (DataType::Utf8View, false),
            Hidden::Pos => (DataType::Int64, false),
            Hidden::SpecId => (DataType::Int32, false),
            Hidden::Partition => (DataType::Utf8View, true),
            Hidden::RowId | Hidden::LastUpdated => (DataType::Int64, true),
        };
        Field::new(self.name(), data_type, nullable)
    }
}
