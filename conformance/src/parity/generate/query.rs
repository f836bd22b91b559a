//! Whole queries: what they read, what they give, and an order over all columns.

use super::scope::{Named, Scope, TABLES};
use super::{Generator, Kind};
use rand::Rng;

/// A query without its order, and the kinds of its columns, which are named `v1`, `v2` and so on.
struct Body {
    text: String,
    kinds: Vec<Kind>,
}

impl Generator {
    pub fn query(&mut self) -> String {
        let body = match self.random.random_range(0..20) {
            0..7 => self.select(),
            7..11 => self.grouped(),
            11 | 12 => self.windowed(),
            13 | 14 => self.combined(),
            15 => self.with_common_table(),
            16 => self.distinct_on(),
            17 => self.grouping_sets(),
            18 => self.recursive(),
            _ => self.of_values(),
        };
        let order: Vec<String> =
            (1..=body.kinds.len()).map(|place| self.order_of(&place.to_string())).collect();
        let mut text = format!("{} ORDER BY {}", body.text, order.join(", "));
        if self.chance(25) {
            text.push_str(&format!(" LIMIT {}", self.random.random_range(0..12)));
            if self.chance(40) {
                text.push_str(&format!(" OFFSET {}", self.random.random_range(0..5)));
            }
        }
        text
    }

    fn order_of(&mut self, what: &str) -> String {
        let direction = self.pick(&["", "", " ASC", " DESC"]);
        format!("{what}{direction}{}", self.pick(&["", "", "", " NULLS FIRST", " NULLS LAST"]))
    }

    fn values(&mut self, scope: &Scope, depth: u32) -> (String, Vec<Kind>) {
        let kinds: Vec<Kind> = (0..self.up_to(4)).map(|_| self.kind()).collect();
        let text = self.values_of(scope, &kinds, depth);
        (text, kinds)
    }

    fn values_of(&mut self, scope: &Scope, kinds: &[Kind], depth: u32) -> String {
        let value =
            |(place, kind): (usize, &Kind)| format!("{} AS v{}", self.value(scope, *kind, depth), place + 1);
        kinds.iter().enumerate().map(value).collect::<Vec<_>>().join(", ")
    }

    fn select(&mut self) -> Body {
        let (from, scope) = self.from();
        let distinct = if self.chance(15) { "DISTINCT " } else { "" };
        let (mut values, mut kinds) = self.values(&scope, 3);
        if self.chance(20) && distinct.is_empty() {
            let (table, columns, _) = TABLES[self.random.random_range(0..TABLES.len())];
            let alias = self.name('q');
            let aggregate =
                self.pick(&["count(*)", "max(QQ.c)", "min(QQ.c)", "sum(QQ.c)"]).replace("QQ", &alias);
            let outer = self.value(&scope, Kind::Integer, 0);
            let condition = self.condition(&Scope::of_table(&alias, columns), 1);
            kinds.push(Kind::Bigint);
            values.push_str(&format!(
                ", (SELECT {aggregate} FROM {table} {alias} WHERE {alias}.c = {outer} AND {condition}) AS v{}",
                kinds.len()
            ));
        }
        let condition = self.where_clause(&scope);
        Body { text: format!("SELECT {distinct}{values} FROM {from}{condition}"), kinds }
    }

    fn where_clause(&mut self, scope: &Scope) -> String {
        if self.chance(35) { String::new() } else { format!(" WHERE {}", self.condition(scope, 3)) }
    }

    /// What FROM may hold, with what can be named by it.
    fn from(&mut self) -> (String, Scope) {
        let (first, mut scope) = self.source();
        if self.chance(50) {
            return (first, scope);
        }
        let (second, right) = self.source();
        let join = self.pick(&[
            "JOIN",
            "LEFT JOIN",
            "RIGHT JOIN",
            "FULL JOIN",
            "CROSS JOIN",
            ",",
            "LEFT JOIN LATERAL",
        ]);
        let equal = self.equality(&scope, &right);
        let text = match join {
            "CROSS JOIN" | "," => format!("{first} {join} {second}"),
            "LEFT JOIN LATERAL" => {
                let (table, columns, _) = TABLES[self.random.random_range(0..2)];
                let (alias, outer) = (self.name('l'), self.value(&scope, Kind::Integer, 0));
                let aggregate = self.pick(&["count(*)", "sum(TT.id)", "max(TT.id)"]).replace("TT", &alias);
                let condition = self.condition(&Scope::of_table(&alias, columns), 1);
                let lateral = self.name('x');
                scope.columns.push(Named { text: format!("{lateral}.y"), kind: Kind::Bigint });
                let inner = format!(
                    "SELECT {aggregate} AS y FROM {table} {alias} WHERE {alias}.c = {outer} AND {condition}"
                );
                return (format!("{first} LEFT JOIN LATERAL ({inner}) {lateral} ON true"), scope);
            }
            // PostgreSQL merges or hashes a full join, so its condition is an equality alone.
            "FULL JOIN" => format!("{first} FULL JOIN {second} ON {equal}"),
            _ => {
                scope.columns.extend(right.columns.iter().cloned());
                let more = if self.chance(50) {
                    format!(" AND {}", self.condition(&scope, 1))
                } else {
                    String::new()
                };
                return (format!("{first} {join} {second} ON {equal}{more}"), scope);
            }
        };
        scope.columns.extend(right.columns);
        (text, scope)
    }

    fn equality(&mut self, left: &Scope, right: &Scope) -> String {
        let column = |scope: &Scope| {
            let found = scope.columns.iter().find(|column| column.text.ends_with(".c"));
            found.or(scope.of_kind(Kind::Integer).first().copied()).map(|column| column.text.clone())
        };
        match (column(left), column(right)) {
            (Some(left), Some(right)) => format!("{left} = {right}"),
            _ => "1 = 1".to_string(),
        }
    }

    /// A table, a derived table or a series.
    fn source(&mut self) -> (String, Scope) {
        match self.random.random_range(0..10) {
            0..7 => {
                let (table, columns, _) =
                    TABLES[if self.chance(8) { 2 } else { self.random.random_range(0..2) }];
                let alias = self.name('x');
                (format!("{table} AS {alias}"), Scope::of_table(&alias, columns))
            }
            7 | 8 => {
                let (table, columns, _) = TABLES[self.random.random_range(0..2)];
                let (inner, alias) = (self.name('y'), self.name('x'));
                let scope = Scope::of_table(&inner, columns);
                let mut kinds = vec![Kind::Integer];
                kinds.extend((0..self.up_to(3)).map(|_| self.kind()));
                let values = self.values_of(&scope, &kinds, 2);
                let condition = self.where_clause(&scope);
                let column = |(place, kind): (usize, &Kind)| Named {
                    text: format!("{alias}.v{}", place + 1),
                    kind: *kind,
                };
                let columns = kinds.iter().enumerate().map(column).collect();
                (format!("(SELECT {values} FROM {table} {inner}{condition}) AS {alias}"), Scope { columns })
            }
            _ => {
                let alias = self.name('x');
                let (first, last) = (self.random.random_range(-2..3), self.random.random_range(2..9));
                let columns = vec![Named { text: format!("{alias}.c"), kind: Kind::Integer }];
                (format!("generate_series({first}, {last}) AS {alias}(c)"), Scope { columns })
            }
        }
    }

    /// An aggregate of the scope, and its kind.
    fn aggregate(&mut self, scope: &Scope) -> (String, Kind) {
        let any = self.kind_of_minimum();
        let (text, kind) = match self.random.random_range(0..12) {
            0 => ("count(*)".to_string(), Kind::Bigint),
            1 => (format!("count({})", self.value(scope, any, 1)), Kind::Bigint),
            2 => (format!("count(DISTINCT {})", self.value(scope, any, 1)), Kind::Bigint),
            3 => (format!("sum({})", self.value(scope, Kind::Integer, 2)), Kind::Bigint),
            4 => (format!("sum({})", self.value(scope, Kind::Numeric, 1)), Kind::Numeric),
            5 => (format!("min({})", self.value(scope, any, 1)), any),
            6 => (format!("max({})", self.value(scope, any, 1)), any),
            7 => (format!("bool_and({})", self.condition(scope, 1)), Kind::Boolean),
            8 => (format!("bool_or({})", self.condition(scope, 1)), Kind::Boolean),
            9 => {
                let value = self.value(scope, Kind::Text, 1);
                (format!("string_agg({value}, ',' ORDER BY {value})"), Kind::Text)
            }
            10 => (format!("round(avg({}), 6)", self.value(scope, Kind::Integer, 1)), Kind::Numeric),
            _ => (format!("sum({})", self.leaf_double(scope)), Kind::Double),
        };
        if self.chance(15) && !text.starts_with("round") {
            return (format!("{text} FILTER (WHERE {})", self.condition(scope, 1)), kind);
        }
        (text, kind)
    }

    /// A multiple of a quarter, whose sum is exact in any order.
    fn leaf_double(&mut self, scope: &Scope) -> String {
        self.value(scope, Kind::Double, 0)
    }

    fn kind_of_minimum(&mut self) -> Kind {
        loop {
            let kind = self.kind();
            if kind != Kind::Boolean {
                return kind;
            }
        }
    }

    fn grouped(&mut self) -> Body {
        let (from, scope) = self.from();
        let condition = self.where_clause(&scope);
        let keys: Vec<Kind> = (0..self.random.random_range(0..3)).map(|_| self.kind()).collect();
        let mut kinds = keys.clone();
        let key_texts: Vec<String> = keys.iter().map(|kind| self.value(&scope, *kind, 1)).collect();
        let mut values: Vec<String> = key_texts.clone();
        for _ in 0..self.up_to(3) {
            let (aggregate, kind) = self.aggregate(&scope);
            values.push(aggregate);
            kinds.push(kind);
        }
        let values: Vec<String> =
            values.iter().enumerate().map(|(place, value)| format!("{value} AS v{}", place + 1)).collect();
        let mut text = format!("SELECT {} FROM {from}{condition}", values.join(", "));
        if !keys.is_empty() {
            let places: Vec<String> = (1..=keys.len()).map(|place| place.to_string()).collect();
            text.push_str(&format!(" GROUP BY {}", places.join(", ")));
        }
        if self.chance(25) {
            text.push_str(&format!(" HAVING count(*) {} {}", self.pick(&[">", "<=", "<>"]), self.up_to(4)));
        }
        Body { text, kinds }
    }

    fn windowed(&mut self) -> Body {
        let (table, columns, _) = TABLES[self.random.random_range(0..2)];
        let alias = self.name('x');
        let scope = Scope::of_table(&alias, columns);
        let partition = if self.chance(60) {
            format!("PARTITION BY {} ", self.value(&scope, Kind::Integer, 1))
        } else {
            String::new()
        };
        let kind = self.kind();
        let key = self.value(&scope, kind, 1);
        let order = format!("ORDER BY {}, {alias}.id", self.order_of(&key));
        let argument = self.value(&scope, Kind::Integer, 1);
        let frame = self.pick(&[
            "",
            "",
            "ROWS BETWEEN 2 PRECEDING AND CURRENT ROW",
            "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 FOLLOWING",
            "ROWS BETWEEN 1 FOLLOWING AND 3 FOLLOWING",
            "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
            "GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
        ]);
        let (call, frame) = match self.random.random_range(0..12) {
            0 => ("row_number()".to_string(), ""),
            1 => ("rank()".to_string(), ""),
            2 => ("dense_rank()".to_string(), ""),
            3 => (format!("lag({argument})"), ""),
            4 => (format!("lead({argument}, 2, -1)"), ""),
            5 => (format!("ntile({})", self.up_to(5)), ""),
            6 => (format!("first_value({argument})"), frame),
            7 => (format!("last_value({argument})"), frame),
            8 => (format!("count({argument})"), frame),
            9 => (format!("min({argument})"), frame),
            10 => (format!("nth_value({argument}, 2)"), frame),
            _ => (format!("sum({argument})"), frame),
        };
        let condition = self.where_clause(&scope);
        let text = format!(
            "SELECT {alias}.id AS v1, {call} OVER ({partition}{order} {frame}) AS v2 FROM {table} {alias}{condition}"
        );
        Body { text, kinds: vec![Kind::Integer, Kind::Bigint] }
    }

    fn combined(&mut self) -> Body {
        let kinds: Vec<Kind> = (0..self.up_to(3)).map(|_| self.kind()).collect();
        let mut part = || {
            let (from, scope) = self.from();
            let values = self.values_of(&scope, &kinds, 2);
            let condition = self.where_clause(&scope);
            format!("SELECT {values} FROM {from}{condition}")
        };
        let (first, second) = (part(), part());
        let operator =
            self.pick(&["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL"]);
        Body { text: format!("{first} {operator} {second}"), kinds }
    }

    fn with_common_table(&mut self) -> Body {
        let inner = if self.chance(50) { self.select() } else { self.grouped() };
        let (name, alias) = (self.name('w'), self.name('x'));
        let column =
            |(place, kind): (usize, &Kind)| Named { text: format!("{alias}.v{}", place + 1), kind: *kind };
        let scope = Scope { columns: inner.kinds.iter().enumerate().map(column).collect() };
        let (values, kinds) = self.values(&scope, 2);
        let condition = self.where_clause(&scope);
        Body {
            text: format!("WITH {name} AS ({}) SELECT {values} FROM {name} {alias}{condition}", inner.text),
            kinds,
        }
    }

    fn distinct_on(&mut self) -> Body {
        let (table, columns, _) = TABLES[self.random.random_range(0..2)];
        let (alias, outer) = (self.name('x'), self.name('x'));
        let scope = Scope::of_table(&alias, columns);
        let kind = self.kind();
        // A key without a column is no key to PostgreSQL.
        let column = scope.of_kind(kind).first().map(|column| column.text.clone());
        let (kind, column) =
            column.map_or_else(|| (Kind::Integer, format!("{alias}.c")), |column| (kind, column));
        let (key, direction) =
            (format!("coalesce({column}, {})", self.value(&scope, kind, 1)), self.pick(&["", " DESC"]));
        let condition = self.where_clause(&scope);
        let text = format!(
            "SELECT {outer}.* FROM (SELECT DISTINCT ON ({key}) {key} AS v1, {alias}.id AS v2 FROM {table} \
             {alias}{condition} ORDER BY {key}, {alias}.id{direction}) {outer}"
        );
        Body { text, kinds: vec![kind, Kind::Integer] }
    }

    fn grouping_sets(&mut self) -> Body {
        let form = self.pick(&[
            "GROUPING SETS ((x.c), (x.s), ())",
            "ROLLUP (x.c, x.s)",
            "CUBE (x.c, x.s)",
            "GROUPING SETS ((x.c, x.s), (x.c))",
        ]);
        let (table, columns, _) = TABLES[self.random.random_range(0..2)];
        let scope = Scope::of_table("x", columns);
        let (aggregate, kind) = self.aggregate(&scope);
        let condition = self.where_clause(&scope);
        let text = format!(
            "SELECT x.c AS v1, x.s AS v2, grouping(x.c, x.s) AS v3, {aggregate} AS v4 FROM {table} x{condition} \
             GROUP BY {form}"
        );
        Body { text, kinds: vec![Kind::Integer, Kind::Text, Kind::Integer, kind] }
    }

    fn recursive(&mut self) -> Body {
        let (last, step) = (self.random.random_range(3..12), self.up_to(3));
        let text = format!(
            "WITH RECURSIVE r(i, s) AS (SELECT 1, 'a' UNION ALL SELECT i + {step}, s || 'b' FROM r WHERE i < {last}) \
             SELECT r.i AS v1, r.s AS v2, x.id AS v3 FROM r LEFT JOIN t x ON x.c = r.i"
        );
        Body { text, kinds: vec![Kind::Integer, Kind::Text, Kind::Integer] }
    }

    fn of_values(&mut self) -> Body {
        let kinds = [self.kind(), self.kind()];
        let rows: Vec<String> = (0..self.up_to(4))
            .map(|_| format!("({}, {})", self.literal(kinds[0]), self.literal(kinds[1])))
            .collect();
        let alias = self.name('x');
        let columns = vec![
            Named { text: format!("{alias}.p"), kind: kinds[0] },
            Named { text: format!("{alias}.q"), kind: kinds[1] },
        ];
        let (values, kinds) = self.values(&Scope { columns }, 2);
        Body { text: format!("SELECT {values} FROM (VALUES {}) AS {alias}(p, q)", rows.join(", ")), kinds }
    }
}
