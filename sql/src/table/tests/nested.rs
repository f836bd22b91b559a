//! Random changes of the fields inside a struct, the elements of a list and the values of a map: what is read must be what
//! a model says, whatever the files call the fields and whether they have them. Seeded, like `evolution.rs`.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, Int64Array, ListArray, MapArray, StringArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Fields};
use iceberg::spec::{Literal, MapType};

use super::evolution::{column, dice, evolved, list_of, struct_of};
use super::*;

/// The values of a struct's fields, by id; a field that is younger than the row is missing.
type Values = BTreeMap<i32, Option<i64>>;
/// The structs of a row in one column; a struct column has one of them.
type Structs = Option<Vec<Option<Values>>>;

#[derive(Clone)]
struct ModelField {
    id: i32,
    name: String,
    data_type: PrimitiveType,
    default: Option<i64>,
}

impl ModelField {
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
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Struct,
    List,
    Map,
}

/// A column that has structs, and what it should hold.
struct ModelColumn {
    kind: Kind,
    /// Its own id, and those of its elements or of its keys and values.
    ids: [i32; 3],
    fields: Vec<ModelField>,
    rows: Vec<Structs>,
}

impl ModelColumn {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Struct => "s",
            Kind::List => "l",
            Kind::Map => "m",
        }
    }

    fn field(&self) -> NestedField {
        let fields = struct_of(self.fields.iter().map(ModelField::field).collect());
        let [own, first, second] = self.ids;
        let data_type = match self.kind {
            Kind::Struct => fields,
            Kind::List => list_of(first, fields),
            Kind::Map => {
                Type::Map(MapType::optional(first, primitive(PrimitiveType::String), second, fields))
            }
        };
        NestedField::optional(own, self.name(), data_type)
    }

    /// Rows of the model as the table's column of today.
    fn array(&self, data_type: &DataType, rows: &[Structs]) -> ArrayRef {
        let nulls: NullBuffer = rows.iter().map(Option::is_some).collect();
        let lengths = rows.iter().map(|row| row.as_ref().map_or(0, Vec::len));
        let offsets = OffsetBuffer::from_lengths(lengths.clone());
        let all: Vec<Option<&Values>> = rows.iter().flatten().flatten().map(Option::as_ref).collect();
        match data_type {
            DataType::Struct(fields) => {
                let one = |row: &Structs| row.as_ref().and_then(|structs| structs[0].clone());
                let owned: Vec<Option<Values>> = rows.iter().map(one).collect();
                Arc::new(self.structs(fields, &owned.iter().map(Option::as_ref).collect::<Vec<_>>()))
            }
            DataType::List(element) => {
                let DataType::Struct(fields) = element.data_type() else { panic!("no structs") };
                let structs = self.structs(fields, &all);
                Arc::new(ListArray::new(Arc::clone(element), offsets, Arc::new(structs), Some(nulls)))
            }
            DataType::Map(entries, _) => {
                let DataType::Struct(sides) = entries.data_type() else { panic!("no entries") };
                let DataType::Struct(fields) = sides[1].data_type() else { panic!("no structs") };
                let keys = lengths.flat_map(|length| (0..length).map(|place| format!("key {place}")));
                let keys: ArrayRef = Arc::new(StringArray::from(keys.collect::<Vec<String>>()));
                let values: ArrayRef = Arc::new(self.structs(fields, &all));
                let pairs = StructArray::new(sides.clone(), vec![keys, values], None);
                Arc::new(MapArray::new(Arc::clone(entries), offsets, pairs, Some(nulls), false))
            }
            other => panic!("{other} has no structs"),
        }
    }

    fn structs(&self, fields: &Fields, rows: &[Option<&Values>]) -> StructArray {
        let columns = self.fields.iter().zip(fields).map(|(model, field)| {
            column(
                field.data_type(),
                &rows.iter().map(|row| row.and_then(|row| model.of(row))).collect::<Vec<_>>(),
            )
        });
        let nulls: NullBuffer = rows.iter().map(Option::is_some).collect();
        StructArray::new(fields.clone(), columns.collect(), Some(nulls))
    }
}

impl ModelField {
    fn of(&self, values: &Values) -> Option<i64> {
        values.get(&self.id).copied().unwrap_or(self.default)
    }
}

struct Model {
    env: SeededEnv,
    columns: Vec<ModelColumn>,
    next_id: i32,
    count: usize,
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

    fn small(&self) -> i64 {
        i64::try_from(dice(&self.env, 50)).expect("small")
    }

    fn fresh_name(&self, at: usize) -> String {
        let fields = &self.columns[at].fields;
        let names = ["a", "b", "c", "d", "key", "value", "element"].into_iter();
        let free = names.filter(|name| !fields.iter().any(|field| field.name == *name));
        free.map(str::to_owned).nth(self.pick(2)).expect("a free name")
    }

    fn add(&mut self, at: usize, name: Option<String>) {
        let data_type = TYPES[self.pick(TYPES.len())].clone();
        let name = name.unwrap_or_else(|| self.fresh_name(at));
        let may = matches!(data_type, PrimitiveType::Long | PrimitiveType::String);
        let default = (may && self.pick(2) == 0).then(|| self.small());
        let place = self.pick(self.columns[at].fields.len() + 1);
        let field = ModelField { id: self.next_id, name, data_type, default };
        self.next_id += 1;
        self.columns[at].fields.insert(place, field);
    }

    /// One random change of the fields of one column.
    fn change(&mut self) {
        let at = self.pick(self.columns.len());
        let count = self.columns[at].fields.len();
        let (which, other) = (self.pick(count), self.pick(count));
        match self.pick(7) {
            0 | 1 if count < 4 => self.add(at, None),
            2 => self.columns[at].fields[which].name = self.fresh_name(at),
            3 if which != other => {
                let fields = &mut self.columns[at].fields;
                let name = std::mem::take(&mut fields[which].name);
                fields[which].name = std::mem::replace(&mut fields[other].name, name);
            }
            4 if count > 1 => {
                self.columns[at].fields.remove(which);
            }
            // The same name again, which is another field.
            5 => {
                let name = self.columns[at].fields.remove(which).name;
                self.add(at, Some(name));
            }
            6 => {
                let field = &mut self.columns[at].fields[which];
                field.data_type = match &field.data_type {
                    PrimitiveType::Int => PrimitiveType::Long,
                    PrimitiveType::Float => PrimitiveType::Double,
                    PrimitiveType::Decimal { .. } => PrimitiveType::Decimal { precision: 20, scale: 2 },
                    other => other.clone(),
                };
            }
            _ => {
                let field = self.columns[at].fields.remove(which);
                self.columns[at].fields.insert(0, field);
            }
        }
    }

    fn values(&self, at: usize) -> Option<Values> {
        let value = |field: &ModelField| (field.id, (self.pick(6) != 0).then(|| self.small()));
        (self.pick(5) != 0).then(|| self.columns[at].fields.iter().map(value).collect())
    }

    fn append(&mut self, schema: &SchemaRef) -> RecordBatch {
        let count = 1 + self.pick(20);
        let first = i64::try_from(self.count).expect("small");
        let keys = first..first + i64::try_from(count).expect("small");
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(Int64Array::from_iter_values(keys))];
        for at in 0..self.columns.len() {
            let length = |model: &Model| match model.columns[at].kind {
                Kind::Struct => 1,
                Kind::List | Kind::Map => model.pick(4),
            };
            let row = |_| (self.pick(8) != 0).then(|| (0..length(self)).map(|_| self.values(at)).collect());
            let rows: Vec<Structs> = (0..count).map(row).collect();
            arrays.push(self.columns[at].array(schema.field(at + 1).data_type(), &rows));
            self.columns[at].rows.extend(rows);
        }
        self.count += count;
        RecordBatch::try_new(Arc::clone(schema), arrays).expect("batch")
    }

    async fn check(&self, world: &World, about: &str) {
        let all = world.query("SELECT * FROM t ORDER BY k").await;
        for (place, model) in self.columns.iter().enumerate() {
            let found = all.column(place + 1);
            let expect = model.array(found.data_type(), &model.rows);
            assert_eq!(found, &expect, "column {} {about}", model.name());
            for field in &model.fields {
                match model.kind {
                    Kind::Struct => self.check_struct(world, model, field, about).await,
                    Kind::List => check_list(world, model, field, about).await,
                    Kind::Map => {}
                }
            }
        }
    }

    async fn check_struct(&self, world: &World, model: &ModelColumn, field: &ModelField, about: &str) {
        let of_row = |row: &Structs| field.of(row.as_ref()?.first()?.as_ref()?);
        let expect: Vec<Option<i64>> = model.rows.iter().map(of_row).collect();
        let bound = self.small();
        let (literal, matches): (String, Box<dyn Fn(i64) -> bool>) = match field.data_type {
            PrimitiveType::String => (format!("= 'v{bound}'"), Box::new(move |value| value == bound)),
            _ => (format!("> {bound}"), Box::new(move |value| value > bound)),
        };
        let sql = format!("SELECT k FROM t WHERE s['{}'] {literal} ORDER BY k", field.name);
        let found = expect.iter().enumerate().filter(|(_, value)| value.is_some_and(&matches));
        let keys: Vec<String> = found.map(|(row, _)| row.to_string()).collect();
        assert_eq!(world.texts(&sql).await, keys, "{sql} {about}");
        let sql = format!("SELECT count(*) FROM t WHERE s['{}'] IS NULL", field.name);
        let nulls = expect.iter().filter(|value| value.is_none()).count();
        assert_eq!(world.text(&sql).await, nulls.to_string(), "{sql} {about}");
    }
}

async fn check_list(world: &World, model: &ModelColumn, field: &ModelField, about: &str) {
    let elements: Vec<&Option<Values>> = model.rows.iter().flatten().flatten().collect();
    let known = elements.iter().filter_map(|values| field.of(values.as_ref()?)).count();
    let sql = format!("SELECT count(e['{}']) FROM (SELECT unnest(l) AS e FROM t) AS u", field.name);
    assert_eq!(world.text(&sql).await, known.to_string(), "{sql} {about}");
}

/// The columns of the model as the table that was made of `definition` has them.
fn columns(version: &TableVersion) -> Vec<ModelColumn> {
    let id = |name: &str| version.metadata.current_schema().field_id_by_name(name).expect("a field");
    let fields = |around: &str| {
        let field = |name: &str, data_type: PrimitiveType| ModelField {
            id: id(&format!("{around}.{name}")),
            name: name.to_owned(),
            data_type,
            default: None,
        };
        vec![field("a", PrimitiveType::Int), field("b", PrimitiveType::String)]
    };
    let column = |kind, ids, fields| ModelColumn { kind, ids, fields, rows: Vec::new() };
    vec![
        column(Kind::Struct, [id("s"), 0, 0], fields("s")),
        column(Kind::List, [id("l"), id("l.element"), 0], fields("l.element")),
        column(Kind::Map, [id("m"), id("m.key"), id("m.value")], fields("m.value")),
    ]
}

fn definition() -> Definition {
    let fields = |first: i32| {
        struct_of(vec![
            NestedField::optional(first, "a", primitive(PrimitiveType::Int)),
            NestedField::optional(first + 1, "b", primitive(PrimitiveType::String)),
        ])
    };
    let map = MapType::optional(30, primitive(PrimitiveType::String), 31, fields(32));
    Definition::new(vec![
        ("k", primitive(PrimitiveType::Long)),
        ("s", fields(10)),
        ("l", list_of(20, fields(21))),
        ("m", Type::Map(map)),
    ])
}

#[tokio::test]
async fn evolved_structs_agree_with_a_model() {
    let seeds = std::env::var("TARN_TEST_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(12);
    for seed in 0..seeds {
        let world = World::new();
        let pushdown = seed % 2 == 0;
        world.query(&format!("SET datafusion.execution.parquet.pushdown_filters = {pushdown}")).await;
        let mut version = {
            let metadata = Arc::new(world.metadata(&definition()));
            world.commit(&metadata, None, Vec::new()).await
        };
        let mut model =
            Model { env: SeededEnv::new(seed), columns: columns(&version), next_id: 100, count: 0 };
        for step in 0..14 {
            if step > 0 {
                model.change();
                let key = NestedField::optional(1, "k", primitive(PrimitiveType::Long));
                let fields = std::iter::once(key).chain(model.columns.iter().map(ModelColumn::field));
                version = evolved(&version, fields.collect());
            }
            if step == 0 || model.pick(2) == 0 {
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
