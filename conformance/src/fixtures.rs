//! The binary files that scripts ask for by name: small Parquet files, whole and damaged, and a symbolic link. Text
//! files stand in the scripts themselves.

use crate::Result;
use arrow::array::{ArrayRef, Date32Array, Decimal128Array, Int64Array, ListArray, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, Fields, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use std::path::Path;
use std::sync::Arc;

/// Writes one named fixture below `folder`; an unknown name is a mistake in the script.
pub fn write(folder: &Path, name: &str) -> Result<()> {
    let path = folder.join(name);
    match name {
        "sales.parquet" => write_parquet(&path, &sales()?),
        "sales_with_discount.parquet" => write_parquet(&path, &sales_with_discount()?),
        "nested.parquet" => write_parquet(&path, &nested()?),
        "truncated.parquet" => {
            write_parquet(&path, &sales()?)?;
            let whole = std::fs::read(&path)?;
            Ok(std::fs::write(&path, &whole[..whole.len() / 2])?)
        }
        // A right footer over wrong pages: found only when the rows are read.
        "damaged_pages.parquet" => {
            write_parquet(&path, &sales()?)?;
            let mut bytes = std::fs::read(&path)?;
            let pages = 4..bytes.len() / 3;
            bytes[pages].fill(0xff);
            Ok(std::fs::write(&path, bytes)?)
        }
        "garbage.parquet" => Ok(std::fs::write(&path, "PAR1 this is not a Parquet file PAR1")?),
        "empty.parquet" => Ok(std::fs::write(&path, "")?),
        "binary.csv" => Ok(std::fs::write(&path, [0u8, 159, 146, 150, 10, 0, 255, 254].repeat(64))?),
        "link_to_data" => link(&path),
        "unreadable.csv" => unreadable(&path),
        _ => Err(format!("there is no fixture {name}").into()),
    }
}

/// The server's data folder lies beside the script's files.
#[cfg(unix)]
fn link(path: &Path) -> Result<()> {
    Ok(std::os::unix::fs::symlink("../data", path)?)
}

#[cfg(not(unix))]
fn link(_: &Path) -> Result<()> {
    Err("symbolic links need a Unix system".into())
}

/// A folder where a file is expected, which even root cannot read as a file.
fn unreadable(path: &Path) -> Result<()> {
    Ok(std::fs::create_dir_all(path.join("nothing"))?)
}

/// Four sales of three regions, one amount missing.
fn sales() -> Result<RecordBatch> {
    let amounts = Decimal128Array::from(vec![Some(1050), Some(2000), None, Some(725)])
        .with_precision_and_scale(10, 2)?;
    Ok(RecordBatch::try_from_iter_with_nullable(vec![
        ("id", Arc::new(Int64Array::from(vec![1, 2, 3, 4])) as ArrayRef, false),
        ("region", Arc::new(StringArray::from(vec!["north", "south", "south", "west"])), true),
        ("amount", Arc::new(amounts), true),
        // 2026-01-15, 2026-01-31, 2026-02-01, 2026-02-28
        ("sold_on", Arc::new(Date32Array::from(vec![20468, 20484, 20485, 20512])), true),
    ])?)
}

/// The same, one column more: what a later delivery looks like.
fn sales_with_discount() -> Result<RecordBatch> {
    let sales = sales()?;
    let mut fields = sales.schema().fields().to_vec();
    fields.push(Arc::new(Field::new("discount", DataType::Int64, true)));
    let mut columns = sales.columns().to_vec();
    columns.push(Arc::new(Int64Array::from(vec![None, Some(5), Some(10), None])));
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// A struct and a list, with missing ones.
fn nested() -> Result<RecordBatch> {
    let fields = Fields::from(vec![
        Field::new("street", DataType::Utf8, true),
        Field::new("number", DataType::Int64, true),
    ]);
    let members: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![Some("High Street"), None, Some("Mill Lane")])),
        Arc::new(Int64Array::from(vec![Some(1), None, Some(20)])),
    ];
    let address = StructArray::try_new(fields, members, None)?;
    let scores = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
        Some(vec![Some(1), Some(2), Some(3)]),
        Some(vec![]),
        None,
    ]);
    Ok(RecordBatch::try_from_iter_with_nullable(vec![
        ("id", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef, false),
        ("address", Arc::new(address), true),
        ("scores", Arc::new(scores), true),
    ])?)
}

fn write_parquet(path: &Path, batch: &RecordBatch) -> Result<()> {
    let mut writer = ArrowWriter::try_new(std::fs::File::create(path)?, batch.schema(), None)?;
    writer.write(batch)?;
    writer.close()?;
    Ok(())
}
