//! The eight tables of TPC-H as files, made by `tpchgen`: Parquet with the types of the specification, CSV with a
//! header, JSON with one object per line. The demo lands them as raw files, the benchmark reads them with three
//! engines. It knows nothing of a server.

use crate::Result;
use arrow::csv::ReaderBuilder;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;
use tpchgen::{csv, generators};

const ROWS_PER_BATCH: usize = 8192;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    Nation,
    Region,
    Part,
    Supplier,
    Customer,
    PartSupp,
    Orders,
    LineItem,
}

pub const TABLES: [Table; 8] = [
    Table::Nation,
    Table::Region,
    Table::Part,
    Table::Supplier,
    Table::Customer,
    Table::PartSupp,
    Table::Orders,
    Table::LineItem,
];

/// Makes the text that all comments are cut from, which takes seconds; without it the first table would.
pub fn prepare() {
    tpchgen::text::TextPool::get_or_init_default();
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Parquet,
    Csv,
    Json,
}

/// Which part of a table: 1-based, of how many, at which scale factor.
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    pub scale: f64,
    pub part: i32,
    pub parts: i32,
}

impl Slice {
    pub fn whole(scale: f64) -> Slice {
        Slice { scale, part: 1, parts: 1 }
    }
}

impl Table {
    pub fn name(self) -> &'static str {
        match self {
            Table::Nation => "nation",
            Table::Region => "region",
            Table::Part => "part",
            Table::Supplier => "supplier",
            Table::Customer => "customer",
            Table::PartSupp => "partsupp",
            Table::Orders => "orders",
            Table::LineItem => "lineitem",
        }
    }

    /// Column names with a letter for the type: K bigint, I integer, M decimal(15,2), D date, T text.
    fn columns(self) -> &'static str {
        match self {
            Table::Nation => "K n_nationkey T n_name K n_regionkey T n_comment",
            Table::Region => "K r_regionkey T r_name T r_comment",
            Table::Part => {
                "K p_partkey T p_name T p_mfgr T p_brand T p_type I p_size T p_container M p_retailprice T p_comment"
            }
            Table::Supplier => {
                "K s_suppkey T s_name T s_address K s_nationkey T s_phone M s_acctbal T s_comment"
            }
            Table::Customer => {
                "K c_custkey T c_name T c_address K c_nationkey T c_phone M c_acctbal T c_mktsegment T c_comment"
            }
            Table::PartSupp => "K ps_partkey K ps_suppkey I ps_availqty M ps_supplycost T ps_comment",
            Table::Orders => {
                "K o_orderkey K o_custkey T o_orderstatus M o_totalprice D o_orderdate T o_orderpriority T o_clerk \
                 I o_shippriority T o_comment"
            }
            Table::LineItem => {
                "K l_orderkey K l_partkey K l_suppkey I l_linenumber M l_quantity M l_extendedprice M l_discount \
                 M l_tax T l_returnflag T l_linestatus D l_shipdate D l_commitdate D l_receiptdate T l_shipinstruct \
                 T l_shipmode T l_comment"
            }
        }
    }

    pub fn schema(self) -> SchemaRef {
        let words: Vec<&str> = self.columns().split_whitespace().collect();
        let fields = words.chunks_exact(2).map(|pair| {
            let data_type = match pair[0] {
                "K" => DataType::Int64,
                "I" => DataType::Int32,
                "M" => DataType::Decimal128(15, 2),
                "D" => DataType::Date32,
                _ => DataType::Utf8,
            };
            Field::new(pair[1], data_type, false)
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// The rows as lines of CSV, made one at a time.
    fn lines(self, slice: Slice) -> Box<dyn Iterator<Item = String> + Send> {
        macro_rules! rows {
            ($generator:ident, $row:ident) => {{
                let generator = generators::$generator::new(slice.scale, slice.part, slice.parts);
                Box::new(generator.iter().map(|row| csv::$row::new(row).to_string()))
            }};
        }
        match self {
            Table::Nation => rows!(NationGenerator, NationCsv),
            Table::Region => rows!(RegionGenerator, RegionCsv),
            Table::Part => rows!(PartGenerator, PartCsv),
            Table::Supplier => rows!(SupplierGenerator, SupplierCsv),
            Table::Customer => rows!(CustomerGenerator, CustomerCsv),
            Table::PartSupp => rows!(PartSuppGenerator, PartSuppCsv),
            Table::Orders => rows!(OrderGenerator, OrderCsv),
            Table::LineItem => rows!(LineItemGenerator, LineItemCsv),
        }
    }

    /// Writes this slice of the table to `path`; gives the number of rows.
    pub fn write(self, slice: Slice, format: Format, path: &Path) -> Result<usize> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = File::create(path)?;
        match format {
            Format::Csv => self.write_csv(slice, file),
            Format::Parquet => self.write_parquet(slice, file),
            Format::Json => self.write_json(slice, file),
        }
    }

    fn write_csv(self, slice: Slice, file: File) -> Result<usize> {
        let mut writer = BufWriter::new(file);
        let names: Vec<String> = self.schema().fields().iter().map(|field| field.name().clone()).collect();
        writeln!(writer, "{}", names.join(","))?;
        let mut rows = 0;
        for line in self.lines(slice) {
            writeln!(writer, "{line}")?;
            rows += 1;
        }
        writer.flush()?;
        Ok(rows)
    }

    fn write_parquet(self, slice: Slice, file: File) -> Result<usize> {
        let compression = Compression::ZSTD(ZstdLevel::default());
        let properties = WriterProperties::builder().set_compression(compression).build();
        let mut writer = ArrowWriter::try_new(file, self.schema(), Some(properties))?;
        let mut rows = 0;
        for batch in self.batches(slice)? {
            let batch = batch?;
            rows += batch.num_rows();
            writer.write(&batch)?;
        }
        writer.close()?;
        Ok(rows)
    }

    fn write_json(self, slice: Slice, file: File) -> Result<usize> {
        let mut writer = arrow::json::LineDelimitedWriter::new(BufWriter::new(file));
        let mut rows = 0;
        for batch in self.batches(slice)? {
            let batch = batch?;
            rows += batch.num_rows();
            writer.write(&batch)?;
        }
        writer.finish()?;
        Ok(rows)
    }

    /// The rows as record batches: the CSV lines read back with the schema of the specification.
    fn batches(
        self,
        slice: Slice,
    ) -> Result<impl Iterator<Item = std::result::Result<RecordBatch, arrow::error::ArrowError>>> {
        let lines = LineReader { lines: self.lines(slice), pending: Vec::new(), at: 0 };
        let reader = ReaderBuilder::new(self.schema()).with_batch_size(ROWS_PER_BATCH).with_header(false);
        Ok(reader.build(lines)?)
    }
}

/// An iterator of lines as bytes to read.
struct LineReader {
    lines: Box<dyn Iterator<Item = String> + Send>,
    pending: Vec<u8>,
    at: usize,
}

impl Read for LineReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.pending.len() {
            self.pending.clear();
            self.at = 0;
            while self.pending.len() < buffer.len() {
                let Some(line) = self.lines.next() else { break };
                self.pending.extend_from_slice(line.as_bytes());
                self.pending.push(b'\n');
            }
        }
        let count = buffer.len().min(self.pending.len() - self.at);
        buffer[..count].copy_from_slice(&self.pending[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_written_in_every_format_with_the_same_rows() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for table in TABLES {
            for format in [Format::Parquet, Format::Csv, Format::Json] {
                let path = folder.path().join("part");
                let rows = table.write(Slice::whole(0.001), format, &path).expect("it can be written");
                let expected = match table {
                    Table::Nation => 25,
                    Table::Region => 5,
                    Table::Supplier => 10,
                    Table::Customer => 150,
                    Table::Part => 200,
                    Table::PartSupp => 800,
                    Table::Orders => 1500,
                    Table::LineItem => 6005,
                };
                assert_eq!(rows, expected, "{table:?} as {format:?}");
            }
        }
    }
}
