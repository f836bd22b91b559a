//! What must be refused, with PostgreSQL's SQLSTATE: names that are not there, types that do not fit, values that are
//! none, and texts that are no SQL. Sometimes a mistake is none; then both must answer.

use super::Generator;
use super::scope::{Scope, TABLES};
use rand::Rng;

const WHOLE: [&str; 51] = [
    "SELECT 1 / 0",
    "SELECT 10 % 0",
    "SELECT 1.5 / 0",
    "SELECT a / (id - id) FROM t",
    "SELECT nothing FROM t",
    "SELECT t.nothing FROM t",
    "SELECT z.id FROM t",
    "SELECT * FROM nothing",
    "SELECT * FROM nothing.t",
    "SELECT nothing(id) FROM t",
    "SELECT upper(id, id) FROM t",
    "SELECT id FROM t, u",
    "SELECT id, count(*) FROM t",
    "SELECT s FROM t GROUP BY c",
    "SELECT count(*) FROM t WHERE count(*) > 1",
    "SELECT sum(sum(id)) FROM t",
    "SELECT * FROM t ORDER BY 99",
    "SELECT id FROM t GROUP BY 7",
    "SELECT 'abc'::int",
    "SELECT '12x'::bigint",
    "SELECT 'x'::float8",
    "SELECT 'maybe'::boolean",
    "SELECT '2024-13-01'::date",
    "SELECT '2023-02-29'::date",
    "SELECT 'not a time'::timestamp",
    "SELECT '1..2'::numeric",
    "SELECT '99999999999'::int",
    "SELECT 1 + 'a'",
    "SELECT 'a' + 'b' FROM t",
    "SELECT id || c FROM t WHERE id AND true",
    "SELECT * FROM t WHERE s",
    "SELECT * FROM t WHERE id",
    "SELECT CASE WHEN id THEN 1 END FROM t",
    "SELECT coalesce(id, s) FROM t",
    "SELECT id FROM t UNION SELECT s FROM u",
    "SELECT id FROM t UNION SELECT id, c FROM u",
    "SELECT * FROM t JOIN u USING (nothing)",
    "SELECT * FROM t x JOIN u x ON true",
    "SELECT (SELECT id, c FROM u)",
    "SELECT (SELECT id FROM u)",
    "SELECT * FROM t LIMIT -1",
    "SELECT * FROM t OFFSET -1",
    "SELECT * FROM t LIMIT 'x'",
    "SELECT row_number() OVER () FROM t WHERE row_number() OVER () = 1",
    "SELECT nothing.* FROM t",
    "SELECT date_trunc('nonsense', w) FROM t",
    "SELECT extract(nonsense FROM w) FROM t",
    "SELECT substring('abc' FROM 1 FOR -1)",
    "SELECT repeat('x', 3) FROM t WHERE s ~ '('",
    "SELECT ln(0)",
    "SELECT sqrt(-1)",
];

const CHANGES: [&str; 26] = [
    "INSERT INTO nothing VALUES (1)",
    "INSERT INTO e VALUES (1, 2, 'a', 1.5, 9)",
    "INSERT INTO e (id, nothing) VALUES (1, 2)",
    "INSERT INTO e (id, id) VALUES (1, 2)",
    "INSERT INTO e (id, c) VALUES (1)",
    "INSERT INTO e (id) VALUES (1, 2)",
    "INSERT INTO e (id) VALUES ('abc')",
    "INSERT INTO e (id) VALUES (99999999999)",
    "INSERT INTO e (n) VALUES (12345678901234)",
    "INSERT INTO e (id) VALUES (DATE '2024-01-01')",
    "UPDATE nothing SET id = 1",
    "UPDATE e SET nothing = 1",
    "UPDATE e SET id = 1, id = 2",
    "UPDATE e SET id = 'x'",
    "UPDATE e SET id = DATE '2024-01-01'",
    "UPDATE e SET id = count(*)",
    "DELETE FROM nothing",
    "DELETE FROM e WHERE nothing = 1",
    "DELETE FROM e WHERE count(*) > 1",
    "CREATE TABLE t (id int)",
    "CREATE TABLE nothing (id int, id int)",
    "CREATE TABLE nothing (id nothing)",
    "CREATE TABLE nothing.x (id int)",
    "DROP TABLE nothing",
    "ALTER TABLE e ADD COLUMN id int",
    "ALTER TABLE e DROP COLUMN nothing",
];

const NO_SQL: [&str; 18] = [
    "SELEC 1",
    "SELECT FROM WHERE",
    "SELECT 1 1",
    "SELECT (1",
    "SELECT 1)",
    "SELECT * FROM",
    "SELECT * FROM t WHERE",
    "SELECT * FROM t GROUP",
    "SELECT 'abc",
    "SELECT \"abc",
    "SELECT * FROM t ORDER id",
    "INSERT INTO e",
    "UPDATE e id = 1",
    "DELETE e",
    "SELECT CASE 1 END",
    "SELECT 1 FROM t LEFT u",
    "SELECT id AS FROM t",
    "CREATE TABLE",
];

impl Generator {
    pub fn mistake(&mut self) -> String {
        match self.random.random_range(0..10) {
            0..3 => self.pick(&WHOLE).to_string(),
            3 => self.pick(&CHANGES).to_string(),
            4 => self.pick(&NO_SQL).to_string(),
            5..7 => self.cast_that_fails(),
            7 => self.unknown_name(),
            _ => self.without_a_word(),
        }
    }

    /// A text that is, or is not, of the type that it is cast to.
    fn cast_that_fails(&mut self) -> String {
        let texts = [
            "''",
            "' 1 '",
            "'1.5'",
            "'1e3'",
            "'-0'",
            "'+7'",
            "'1_000'",
            "'NaN'",
            "'t'",
            "'yes'",
            "'off'",
            "'2'",
            "'2024-02-30'",
            "'2024-1-5'",
            "'20240105'",
            "'12:34'",
            "'2024-01-05 25:00'",
            "'2024-01-05T10:11:12'",
            "'2024-01-05 10:11:12.1234567'",
            "'99999'",
            "'9999999999999999999'",
            "'1,5'",
            "'null'",
        ];
        let text = self.pick(&texts);
        format!("SELECT {text}::{} AS v1", self.kind_for_cast())
    }

    fn kind_for_cast(&mut self) -> &'static str {
        let more = ["smallint", "numeric", "uuid", "time"];
        if self.chance(25) { more[self.random.random_range(0..more.len())] } else { self.kind().sql_type() }
    }

    /// A good condition about a column that is not there.
    fn unknown_name(&mut self) -> String {
        let (table, columns, _) = TABLES[self.random.random_range(0..2)];
        let condition = self.condition(&Scope::of_table("x", columns), 2);
        let wrong = self.pick(&["x.nothing", "y.id", "nothing"]);
        format!("SELECT x.id FROM {table} x WHERE {condition} AND {wrong} = 1 ORDER BY 1")
    }

    /// A good query that lacks one word.
    fn without_a_word(&mut self) -> String {
        let query = format!(
            "SELECT x.id, x.{} FROM t AS x WHERE x.c IN ( 1 , 2 ) GROUP BY x.id , x.c ORDER BY x.id LIMIT 3",
            "c"
        );
        let mut words: Vec<&str> = query.split(' ').collect();
        words.remove(self.random.random_range(0..words.len()));
        words.join(" ")
    }
}
