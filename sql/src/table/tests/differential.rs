//! Random tables and random predicates: what is read through pruned files, row groups and pages must be what the same
//! rows give from memory. Seeded, so that a failure can be run again.

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use datafusion::datasource::MemTable;

use super::*;

const COLUMNS: [(&str, PrimitiveType); 8] = [
    ("id", PrimitiveType::Long),
    ("i", PrimitiveType::Int),
    ("s", PrimitiveType::String),
    ("d", PrimitiveType::Double),
    ("date", PrimitiveType::Date),
    ("ts", PrimitiveType::Timestamp),
    ("n", PrimitiveType::Decimal { precision: 10, scale: 2 }),
    ("b", PrimitiveType::Boolean),
];

const PARTITIONS: [(&str, Transform); 12] = [
    ("i", Transform::Identity),
    ("i", Transform::Bucket(4)),
    ("i", Transform::Truncate(5)),
    ("s", Transform::Truncate(1)),
    ("s", Transform::Bucket(3)),
    ("date", Transform::Month),
    ("date", Transform::Year),
    ("ts", Transform::Day),
    ("ts", Transform::Hour),
    ("n", Transform::Truncate(300)),
    ("b", Transform::Identity),
    ("d", Transform::Identity),
];

const DAY: i64 = 86_400_000_000;

/// Random numbers from the environment's seeded source.
struct Dice(SeededEnv);

impl Dice {
    fn roll(&self, sides: u64) -> u64 {
        let mut bytes = [0u8; 8];
        self.0.random(&mut bytes);
        u64::from_le_bytes(bytes) % sides
    }

    fn range(&self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.roll((high - low) as u64)).expect("small")
    }

    fn pick<T: Clone>(&self, of: &[T]) -> T {
        of[usize::try_from(self.roll(of.len() as u64)).expect("small")].clone()
    }

    fn sometimes<T>(&self, value: T) -> Option<T> {
        (self.roll(8) != 0).then_some(value)
    }

    fn word(&self) -> String {
        (0..self.roll(4)).map(|_| self.pick(&['a', 'b', 'z', 'é', '\u{10FFFF}'])).collect()
    }

    fn double(&self) -> f64 {
        match self.roll(10) {
            0 => f64::NAN,
            1 => -0.0,
            2 => 0.0,
            3 => f64::INFINITY,
            _ => self.range(-20, 20) as f64 / 4.0,
        }
    }
}

/// Rows whose values lie around `center`, so that files differ in their bounds.
fn rows(dice: &Dice, schema: &SchemaRef, first_id: i64, center: i64) -> RecordBatch {
    let count = usize::try_from(dice.range(1, 40)).expect("small");
    let each = |_: usize| dice.sometimes(center + dice.range(-6, 6));
    let whole: Vec<Option<i64>> = (0..count).map(each).collect();
    let nan_free = dice.roll(2) == 0;
    let double = |_: usize| {
        let value = if nan_free { dice.range(-20, 20) as f64 / 4.0 } else { dice.double() };
        dice.sometimes(value)
    };
    let i32s = || whole.iter().map(|value| value.map(|value| i32::try_from(value).expect("small")));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(first_id..first_id + i64::try_from(count).expect("small"))),
        Arc::new(i32s().collect::<Int32Array>()),
        Arc::new((0..count).map(|_| dice.sometimes(dice.word())).collect::<StringArray>()),
        Arc::new((0..count).map(double).collect::<Float64Array>()),
        Arc::new(i32s().map(|value| value.map(|value| value * 17)).collect::<Date32Array>()),
        Arc::new(
            whole
                .iter()
                .map(|value| value.map(|value| value * DAY / 5 - 1))
                .collect::<TimestampMicrosecondArray>(),
        ),
        Arc::new(
            whole
                .iter()
                .map(|value| value.map(|value| i128::from(value) * 77))
                .collect::<Decimal128Array>()
                .with_precision_and_scale(10, 2)
                .expect("decimal"),
        ),
        Arc::new((0..count).map(|_| dice.sometimes(dice.roll(3) == 0)).collect::<BooleanArray>()),
    ];
    RecordBatch::try_new(Arc::clone(schema), columns).expect("batch")
}

fn literal(dice: &Dice, column: &str) -> String {
    let whole = dice.range(-60, 60);
    let epoch = chrono::DateTime::UNIX_EPOCH;
    match column {
        "s" => format!("'{}'", dice.word()),
        "d" => match dice.roll(6) {
            0 => "'NaN'::double".to_owned(),
            1 => "0.0::double".to_owned(),
            2 => "'-0.0'::double".to_owned(),
            _ => format!("{}::double", whole as f64 / 8.0),
        },
        "date" => format!("'{}'::date", (epoch + chrono::Duration::days(whole * 17)).format("%Y-%m-%d")),
        "ts" => {
            let at = epoch + chrono::Duration::microseconds(whole * DAY / 5 - dice.range(0, 2));
            format!("'{}'::timestamp", at.format("%Y-%m-%dT%H:%M:%S%.6f"))
        }
        "n" => format!("{}::decimal(10,2)", (whole * 77) as f64 / 100.0),
        "b" => dice.pick(&["true", "false"]).to_owned(),
        _ => whole.to_string(),
    }
}

fn predicate(dice: &Dice, depth: u64) -> String {
    if depth > 0 && dice.roll(3) > 0 {
        let (one, two) = (predicate(dice, depth - 1), predicate(dice, depth - 1));
        return match dice.roll(3) {
            0 => format!("({one} OR {two})"),
            1 => format!("({one} AND {two})"),
            _ => format!("(NOT {one})"),
        };
    }
    let column = dice.pick(&COLUMNS).0;
    match dice.roll(9) {
        0 => format!("{column} IS NULL"),
        1 => format!("{column} IS NOT NULL"),
        2 => {
            let negated = dice.pick(&["", "NOT "]);
            let count = dice.pick(&[1, 3, 30]);
            let list: Vec<String> = (0..count).map(|_| literal(dice, column)).collect();
            format!("{column} {negated}IN ({})", list.join(", "))
        }
        3 => format!("{column} BETWEEN {} AND {}", literal(dice, column), literal(dice, column)),
        4 => format!("s LIKE '{}%'", dice.word()),
        _ => {
            let operator = dice.pick(&["=", "<>", "<", "<=", ">", ">="]);
            format!("{column} {operator} {}", literal(dice, column))
        }
    }
}

/// A random table under the name `t`, and the same rows in memory under `m`.
async fn random_table(world: &World, dice: &Dice) -> String {
    let fields = COLUMNS.iter().map(|(name, data_type)| (*name, primitive(data_type.clone()))).collect();
    let mut definition = Definition::new(fields).property("write.parquet.row-group-size-bytes", "1");
    for _ in 0..dice.roll(3) {
        let (column, transform) = dice.pick(&PARTITIONS);
        if !definition.partition.iter().any(|(taken, _)| *taken == column) {
            definition = definition.partitioned(column, transform);
        }
    }
    let schema = definition.rows();
    let mut next = 0;
    let mut appends = Vec::new();
    for _ in 0..dice.range(1, 6) {
        let center = dice.range(-40, 40);
        let mut append = Vec::new();
        for _ in 0..dice.range(1, 4) {
            let batch = rows(dice, &schema, next, center);
            next += i64::try_from(batch.num_rows()).expect("small");
            append.push(batch);
        }
        appends.push(append);
    }
    world.table("t", &definition, &appends).await;
    let memory = MemTable::try_new(schema, vec![appends.into_iter().flatten().collect()]).expect("table");
    world.context.register_table("m", Arc::new(memory)).expect("registered");
    format!("partitioned by {:?}", definition.partition)
}

async fn agree(world: &World, about: &str, sql: &str) {
    let pruned = world.query(&sql.replace("FROM x", "FROM t")).await;
    let whole = world.query(&sql.replace("FROM x", "FROM m")).await;
    assert_eq!(pruned.num_rows(), whole.num_rows(), "{sql} {about}");
    for (one, two) in pruned.columns().iter().zip(whole.columns()) {
        let one = arrow::compute::cast(one, two.data_type()).expect("plain");
        assert_eq!(&one, two, "{sql} {about}");
    }
}

#[tokio::test]
async fn pruned_reads_agree_with_memory() {
    let seeds = std::env::var("TARN_TEST_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(24);
    for seed in 0..seeds {
        let dice = Dice(SeededEnv::new(seed));
        let world = World::new();
        let pushdown = seed % 2 == 0;
        world.query(&format!("SET datafusion.execution.parquet.pushdown_filters = {pushdown}")).await;
        let partition = random_table(&world, &dice).await;
        let about = format!("(seed {seed}, {partition})");
        agree(&world, &about, "SELECT * FROM x ORDER BY id").await;
        for (column, _) in COLUMNS {
            agree(
                &world,
                &about,
                &format!("SELECT count(*), count({column}), min({column}), max({column}) FROM x"),
            )
            .await;
            let sql = format!("SELECT {column} FROM x ORDER BY {column} DESC NULLS LAST LIMIT 3");
            agree(&world, &about, &sql).await;
        }
        for _ in 0..20 {
            let sql = format!("SELECT id FROM x WHERE {} ORDER BY id", predicate(&dice, 2));
            agree(&world, &about, &sql).await;
        }
    }
}
