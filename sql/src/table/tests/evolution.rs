//! Tables whose columns changed after files were written: what is read must be what a model says, whatever a file calls
//! its columns. Seeded, so that a failure can be run again.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray, StringArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use iceberg::spec::{ListType, Literal, MapType, StructType};

use super::*;

/// A version with other columns.
pub(super) fn evolved(version: &TableVersion, fields: Vec<NestedField>) -> Arc<TableVersion> {
    let fields = fields.into_iter().map(NestedFieldRef::new);
    let schema = Schema::builder().with_fields(fields).build().expect("schema");
    let builder = version.metadata.as_ref().clone().into_builder(None);
    let metadata = builder.add_current_schema(schema).and_then(|b| b.build()).expect("metadata").metadata;
    let metadata = Arc::new(metadata);
    Arc::new(TableVersion { relation: version.relation, pointer: version.pointer.clone(), metadata })
}

/// Values of a model as a column.
pub(super) fn column(data_type: &DataType, values: &[Option<i64>]) -> ArrayRef {
    match data_type {
        DataType::Utf8 | DataType::Utf8View => {
            let texts = values.iter().map(|value| value.map(|value| format!("v{value}")));
            cast(&texts.collect::<StringArray>(), data_type).expect("text")
        }
        other => cast(&values.iter().copied().collect::<Int64Array>(), other).expect("numbers"),
    }
}

pub(super) fn dice(env: &SeededEnv, sides: u64) -> u64 {
    let mut bytes = [0u8; 8];
    env.random(&mut bytes);
    u64::from_le_bytes(bytes) % sides
}

/// One column of a random table.
#[derive(Clone)]
struct ModelColumn {
    id: i32,
    name: String,
    data_type: PrimitiveType,
    default: Option<i64>,
}

impl ModelColumn {
    fn field(&self) -> NestedField {
        let field = NestedField::optional(self.id, &self.name, primitive(self.data_type.clone()));
        match (self.default, &self.data_type) {
            (Some(value), PrimitiveType::Long) => field.with_initial_default(Literal::long(value)),
            (Some(value), PrimitiveType::String) => {
                field.with_initial_default(Literal::string(format!("v{value}")))
            }
            _ => field,
        }
    }

    fn has_default(&self) -> bool {
        matches!(self.data_type, PrimitiveType::Long | PrimitiveType::String)
    }
}

/// A random table and what it should hold.
struct Model {
    env: SeededEnv,
    columns: Vec<ModelColumn>,
    next_id: i32,
    /// By column id; a column that is younger than the row is missing.
    rows: Vec<BTreeMap<i32, Option<i64>>>,
}

const TYPES: [PrimitiveType; 5] = [
    PrimitiveType::Int,
    PrimitiveType::Float,
    PrimitiveType::Long,
    PrimitiveType::String,
    PrimitiveType::Decimal { precision: 9, scale: 2 },
];

impl Model {
    fn pick(&self, of: usize) -> usize {
        usize::try_from(dice(&self.env, of as u64)).expect("small")
    }

    fn fresh_name(&self) -> String {
        let names = ["a", "b", "c", "d", "e", "_file", "A b"].into_iter();
        let free = names.filter(|name| !self.columns.iter().any(|column| column.name == *name));
        free.map(str::to_owned).nth(self.pick(2)).expect("a free name")
    }

    fn add(&mut self) {
        let data_type = TYPES[self.pick(TYPES.len())].clone();
        let (id, name) = (self.next_id, self.fresh_name());
        let default = (self.pick(2) == 0).then(|| i64::try_from(self.pick(50)).expect("small"));
        self.next_id += 1;
        let mut column = ModelColumn { id, name, data_type, default };
        column.default = column.default.filter(|_| column.has_default());
        let place = self.pick(self.columns.len() + 1);
        self.columns.insert(place, column);
    }

    /// One random change; the column `k` only moves.
    fn change(&mut self) {
        let others: Vec<usize> = (0..self.columns.len()).filter(|at| self.columns[*at].id != 1).collect();
        let kind = self.pick(7);
        let Some(at) = others.get(self.pick(others.len().max(1))).copied() else { return self.add() };
        match kind {
            0 | 1 if self.columns.len() < 5 => self.add(),
            2 => self.columns[at].name = self.fresh_name(),
            3 => {
                let with = others[self.pick(others.len())];
                let name = std::mem::take(&mut self.columns[at].name);
                let other = std::mem::replace(&mut self.columns[with].name, name.clone());
                self.columns[at].name = if with == at { name } else { other };
            }
            4 => {
                let column = self.columns.remove(at);
                if self.pick(2) == 0 {
                    self.add();
                    let place = self.columns.iter().position(|new| new.id == self.next_id - 1).expect("new");
                    self.columns[place].name = column.name;
                }
            }
            5 => {
                let column = &mut self.columns[at];
                column.data_type = match &column.data_type {
                    PrimitiveType::Int => PrimitiveType::Long,
                    PrimitiveType::Float => PrimitiveType::Double,
                    PrimitiveType::Decimal { .. } => PrimitiveType::Decimal { precision: 20, scale: 2 },
                    other => other.clone(),
                };
            }
            _ => {
                let column = self.columns.remove(at);
                self.columns.insert(0, column);
            }
        }
    }

    fn append(&mut self, schema: &SchemaRef) -> RecordBatch {
        let count = 1 + self.pick(20);
        let first = i64::try_from(self.rows.len()).expect("small");
        let mut columns: Vec<ArrayRef> = Vec::new();
        let mut rows = vec![BTreeMap::new(); count];
        for (model, field) in self.columns.iter().zip(schema.fields()) {
            let value = |row: usize| match model.id {
                1 => Some(first + i64::try_from(row).expect("small")),
                _ => (dice(&self.env, 6) != 0).then(|| i64::try_from(dice(&self.env, 50)).expect("small")),
            };
            let values: Vec<Option<i64>> = (0..count).map(value).collect();
            rows.iter_mut().zip(&values).for_each(|(row, value)| {
                row.insert(model.id, *value);
            });
            columns.push(column(field.data_type(), &values));
        }
        self.rows.extend(rows);
        RecordBatch::try_new(Arc::clone(schema), columns).expect("batch")
    }

    fn expected(&self, column: &ModelColumn) -> Vec<Option<i64>> {
        self.rows.iter().map(|row| row.get(&column.id).copied().unwrap_or(column.default)).collect()
    }

    async fn check(&self, world: &World, about: &str) {
        let all = world.query("SELECT * FROM t ORDER BY k").await;
        assert_eq!(all.num_columns(), self.columns.len(), "{about}");
        for (place, model) in self.columns.iter().enumerate() {
            assert_eq!(all.schema().field(place).name(), &model.name, "{about}");
            let expect = self.expected(model);
            let found = all.column(place);
            let name = &model.name;
            assert_eq!(found, &column(found.data_type(), &expect), "column {name} (id {}) {about}", model.id);
            let bound = i64::try_from(self.pick(50)).expect("small");
            let (literal, matches): (String, Box<dyn Fn(i64) -> bool>) = match model.data_type {
                PrimitiveType::String => (format!("= 'v{bound}'"), Box::new(move |value| value == bound)),
                _ => (format!("> {bound}"), Box::new(move |value| value > bound)),
            };
            let sql = format!("SELECT k FROM t WHERE \"{name}\" {literal} ORDER BY k");
            let keys: Vec<String> = expect
                .iter()
                .enumerate()
                .filter(|(_, value)| value.is_some_and(&matches))
                .map(|(row, _)| row.to_string())
                .collect();
            assert_eq!(world.texts(&sql).await, keys, "{sql} {about}");
            let sql = format!("SELECT count(*) FROM t WHERE \"{name}\" IS NULL");
            let nulls = expect.iter().filter(|value| value.is_none()).count();
            assert_eq!(world.text(&sql).await, nulls.to_string(), "{sql} {about}");
            let sql = format!("SELECT count(\"{name}\") FROM t");
            assert_eq!(world.text(&sql).await, (expect.len() - nulls).to_string(), "{sql} {about}");
        }
    }
}

#[tokio::test]
async fn evolved_tables_agree_with_a_model() {
    let seeds = std::env::var("TARN_TEST_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(12);
    for seed in 0..seeds {
        let world = World::new();
        let pushdown = seed % 2 == 0;
        world.query(&format!("SET datafusion.execution.parquet.pushdown_filters = {pushdown}")).await;
        let definition = Definition::new(vec![
            ("k", primitive(PrimitiveType::Long)),
            ("a", primitive(PrimitiveType::Int)),
            ("b", primitive(PrimitiveType::String)),
        ]);
        let named = |(id, name, data_type): (i32, &str, PrimitiveType)| ModelColumn {
            id,
            name: name.to_owned(),
            data_type,
            default: None,
        };
        let columns =
            [(1, "k", PrimitiveType::Long), (2, "a", PrimitiveType::Int), (3, "b", PrimitiveType::String)];
        let columns = columns.into_iter().map(named).collect();
        let mut model = Model { env: SeededEnv::new(seed), columns, next_id: 4, rows: Vec::new() };
        let rows = model.append(&definition.rows());
        let mut version = world.table("t", &definition, &[vec![rows]]).await;
        for step in 0..12 {
            model.change();
            version = evolved(&version, model.columns.iter().map(ModelColumn::field).collect());
            if model.pick(2) == 0 {
                let schema = arrow_schema(version.metadata.current_schema()).expect("schema");
                let rows = model.append(&schema);
                let files = world.write(&version.metadata, &[vec![rows]]).await.expect("written");
                version = world.commit(&version.metadata.clone(), Some(version), files).await;
            }
            world.register("t", &version);
            model.check(&world, &format!("(seed {seed}, step {step})")).await;
        }
    }
}

pub(super) fn struct_of(fields: Vec<NestedField>) -> Type {
    Type::Struct(StructType::new(fields.into_iter().map(NestedFieldRef::new).collect()))
}

pub(super) fn list_of(id: i32, element: Type) -> Type {
    Type::List(ListType::new(NestedFieldRef::new(NestedField::list_element(id, element, false))))
}

/// A struct, a list of structs and a map to structs, each struct of two whole numbers.
fn nested_definition() -> Definition {
    let int = |id, name: &str| NestedField::optional(id, name, primitive(PrimitiveType::Int));
    Definition::new(vec![
        ("k", primitive(PrimitiveType::Long)),
        ("s", struct_of(vec![int(10, "x"), int(11, "y")])),
        ("l", list_of(12, struct_of(vec![int(13, "x"), int(14, "y")]))),
        (
            "m",
            Type::Map(MapType::optional(
                15,
                primitive(PrimitiveType::String),
                16,
                struct_of(vec![int(17, "x"), int(18, "y")]),
            )),
        ),
    ])
}

/// Two rows of that.
fn nested_rows(definition: &Definition) -> RecordBatch {
    let schema = definition.rows();
    let pair = |data_type: &DataType, from: i32| {
        let DataType::Struct(fields) = data_type else { panic!("a struct") };
        let x: ArrayRef = Arc::new(arrow::array::Int32Array::from(vec![from, from + 1]));
        let y: ArrayRef = Arc::new(arrow::array::Int32Array::from(vec![Some(from + 100), None]));
        StructArray::new(fields.clone(), vec![x, y], None)
    };
    let DataType::List(element) = schema.field(2).data_type() else { panic!("a list") };
    let list = ListArray::new(
        Arc::clone(element),
        OffsetBuffer::from_lengths([2, 0]),
        Arc::new(pair(element.data_type(), 20)),
        None,
    );
    let DataType::Map(entries, _) = schema.field(3).data_type() else { panic!("a map") };
    let DataType::Struct(sides) = entries.data_type() else { panic!("entries") };
    let keys: ArrayRef = Arc::new(StringArray::from(vec!["one", "two"]));
    let values: ArrayRef = Arc::new(pair(sides[1].data_type(), 30));
    let entries_array = StructArray::new(sides.clone(), vec![keys, values], None);
    let map = arrow::array::MapArray::new(
        Arc::clone(entries),
        OffsetBuffer::from_lengths([1, 1]),
        entries_array,
        None,
        false,
    );
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![1, 2])),
        Arc::new(pair(schema.field(1).data_type(), 10)),
        Arc::new(list),
        Arc::new(map),
    ];
    RecordBatch::try_new(schema, columns).expect("batch")
}

/// The names change places, one side is widened, and a field comes with a default.
fn nested_evolved(version: &TableVersion) -> Arc<TableVersion> {
    let int = |id, name: &str| NestedField::optional(id, name, primitive(PrimitiveType::Int));
    let long = |id, name: &str| NestedField::optional(id, name, primitive(PrimitiveType::Long));
    let z = || NestedField::optional(40, "z", primitive(PrimitiveType::Long));
    let id = |name: &str| version.metadata.current_schema().field_id_by_name(name).expect("a field");
    evolved(
        version,
        vec![
            long(1, "k"),
            NestedField::optional(
                2,
                "t",
                struct_of(vec![
                    long(id("s.y"), "x"),
                    int(id("s.x"), "y"),
                    NestedField::optional(40, "z", primitive(PrimitiveType::Long))
                        .with_initial_default(Literal::long(7)),
                ]),
            ),
            NestedField::optional(
                3,
                "l",
                list_of(
                    id("l.element"),
                    struct_of(vec![long(id("l.element.y"), "x"), int(id("l.element.x"), "y")]),
                ),
            ),
            NestedField::optional(
                4,
                "m",
                Type::Map(MapType::optional(
                    id("m.key"),
                    primitive(PrimitiveType::String),
                    id("m.value"),
                    struct_of(vec![int(id("m.value.y"), "x"), NestedField { id: 41, ..z() }]),
                )),
            ),
        ],
    )
}

/// Fields inside structs, lists and maps are found by id too.
#[tokio::test]
async fn nested_fields_are_found_by_id() {
    let world = World::new();
    let definition = nested_definition();
    let rows = nested_rows(&definition);
    let version = world.table("t", &definition, &[vec![rows]]).await;
    let version = nested_evolved(&version);
    world.register("t", &version);
    let sql = "SELECT concat_ws(' ', t['x'], t['y'], t['z']) FROM t ORDER BY k";
    assert_eq!(world.texts(sql).await, ["110 10 7", "11 7"]);
    assert_eq!(world.text("SELECT k FROM t WHERE t['x'] = 110").await, "1");
    assert_eq!(world.text("SELECT k FROM t WHERE t['y'] = 11").await, "2");
    let sql = "SELECT concat_ws(' ', e['x'], e['y']) FROM (SELECT unnest(l) AS e FROM t) AS s";
    assert_eq!(world.texts(sql).await, ["120 20", "21"]);
    let rows = world.query("SELECT m FROM t ORDER BY k").await;
    let values = rows.column(0).as_map().values().as_struct().clone();
    assert_eq!(values.column_names(), ["x", "z"]);
    assert_eq!(values.column(0), &column(&DataType::Int32, &[Some(130), None]));
    assert_eq!(values.column(1).null_count(), 2);
    world.query("SET datafusion.execution.parquet.pushdown_filters = true").await;
    assert_eq!(world.text("SELECT k FROM t WHERE t['x'] = 110 AND k < 5").await, "1");
    assert_eq!(world.text("SELECT k FROM t WHERE t['z'] = 7 AND t['y'] = 11").await, "2");
}

/// A day becomes an instant in format version 3.
#[tokio::test]
async fn a_date_can_become_a_timestamp() {
    let world = World::new();
    let definition = Definition::new(vec![("d", primitive(PrimitiveType::Date))]);
    let days: ArrayRef =
        Arc::new(arrow::array::Date32Array::from(vec![Some(-1), Some(0), Some(19_000), None]));
    let rows = RecordBatch::try_new(definition.rows(), vec![days]).expect("batch");
    let version = world.table("t", &definition, &[vec![rows]]).await;
    let version = evolved(&version, vec![NestedField::optional(1, "d", primitive(PrimitiveType::Timestamp))]);
    world.register("t", &version);
    assert_eq!(world.text("SELECT max(d) FROM t").await, "2022-01-08T00:00:00");
    assert_eq!(world.text("SELECT count(*) FROM t WHERE d < '1970-01-01T00:00:00'").await, "1");
    assert_eq!(world.text("SELECT count(*) FROM t WHERE d >= '2022-01-08T00:00:00'").await, "1");
    assert_eq!(world.files_read("SELECT d FROM t WHERE d > '2030-01-01T00:00:00'").await, 0);
}

/// An identity partition gives a column its value in files that lack the column.
#[tokio::test]
async fn a_partition_stands_in_for_a_missing_column() {
    let world = World::new();
    let definition = Definition::new(vec![
        ("id", primitive(PrimitiveType::Long)),
        ("region", primitive(PrimitiveType::String)),
    ])
    .partitioned("region", Transform::Identity);
    let metadata = world.metadata(&definition);
    // Files as a Hive table has them, without the column that its folders are named after.
    let narrow =
        evolved_metadata(&metadata, vec![NestedField::optional(1, "id", primitive(PrimitiveType::Long))]);
    let mut version = None;
    for (region, ids) in [(Some("north"), 0..3), (None, 3..5)] {
        let schema = arrow_schema(narrow.current_schema()).expect("schema");
        let rows =
            RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from_iter_values(ids))]).expect("rows");
        let files = world.write(&narrow, &[vec![rows]]).await.expect("written");
        let partition = region.map(Literal::string);
        let described = files.iter().map(|file| in_partition(file, partition.clone())).collect();
        version = Some(world.commit(&metadata, version, described).await);
    }
    world.register("t", &version.expect("a version"));
    let sql = "SELECT concat_ws(' ', id, region) FROM t ORDER BY id";
    assert_eq!(world.texts(sql).await, ["0 north", "1 north", "2 north", "3", "4"]);
    assert_eq!(world.text("SELECT sum(id) FROM t WHERE region = 'north'").await, "3");
    assert_eq!(world.text("SELECT sum(id) FROM t WHERE region IS NULL").await, "7");
    assert_eq!(world.text("SELECT count(*) FROM t WHERE upper(region) = 'NORTH'").await, "3");
}

/// The table's metadata with an unpartitioned spec and other columns, to write files with.
fn evolved_metadata(metadata: &TableMetadata, fields: Vec<NestedField>) -> TableMetadata {
    let fields = fields.into_iter().map(NestedFieldRef::new);
    let table = NewTable {
        schema: Schema::builder().with_fields(fields).build().expect("schema"),
        partition: UnboundPartitionSpec::builder().build(),
        order: Vec::new(),
        properties: HashMap::new(),
        location: metadata.location().to_owned(),
        format_version: FormatVersion::V2,
    };
    new_table(table, metadata.uuid(), metadata.last_updated_ms()).expect("table")
}

fn in_partition(file: &DataFile, value: Option<Literal>) -> DataFile {
    iceberg::spec::DataFileBuilder::default()
        .content(file.content_type())
        .file_path(file.file_path().to_owned())
        .file_format(file.file_format())
        .partition(iceberg::spec::Struct::from_iter([value]))
        .partition_spec_id(0)
        .record_count(file.record_count())
        .file_size_in_bytes(file.file_size_in_bytes())
        .build()
        .expect("a file")
}
