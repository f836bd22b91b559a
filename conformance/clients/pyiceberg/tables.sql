-- Tables of every type, partition transform and way of writing, for another engine to read.
CREATE SCHEMA made;

CREATE TABLE made.types (
  a_boolean boolean, a_int integer, a_long bigint, a_float real, a_double double precision, a_decimal numeric(38,10),
  a_small_decimal numeric(9,2), a_date date, a_time time, a_timestamp timestamp, a_timestamptz timestamptz,
  a_text text, a_uuid uuid, a_binary bytea);
INSERT INTO made.types VALUES
  (true, 2147483647, 9223372036854775807, 1.5, -2.25, 1234567890.0123456789, 1.25,
   '2026-02-28', '23:59:59.999999', '2026-02-28 23:59:59.999999', '2026-02-28 23:59:59.999999+02',
   'zwölf ☃', '123e4567-e89b-12d3-a456-426614174000', '\xdeadbeef'),
  (false, -2147483648, -9223372036854775808, 'NaN', 'Infinity', -0.0000000001, -9999999.99,
   '0001-01-01', '00:00:00', '1969-12-31 23:59:59', '1900-01-01 00:00:00+00', '', NULL, '\x');
INSERT INTO made.types (a_boolean) VALUES (NULL);
INSERT INTO made.types (a_text) VALUES (repeat('long text that a bound may cut ', 20)), (repeat('ÿ', 40));
INSERT INTO made.types (a_double, a_float) VALUES ('-0', '-0'), ('0', '0'), ('NaN', 'NaN'), ('-Infinity', '-Infinity');

CREATE TABLE made.nested (
  id bigint, tags text[], address struct<street text, number bigint>, extra map<text, bigint>);
INSERT INTO made.nested SELECT 1, ARRAY['a', 'b c'], named_struct('street', 'High', 'number', 7), map(ARRAY['x', 'y'], ARRAY[1, 2]);
INSERT INTO made.nested VALUES (2, NULL, NULL, NULL);

CREATE TABLE made.version_three (id bigint NOT NULL, name text) WITH (format_version = 3);
INSERT INTO made.version_three VALUES (1, 'one'), (2, NULL);

CREATE TABLE made.partitioned PARTITIONED BY (day(at), bucket(4, id), truncate(3, name)) AS
  SELECT id, at, 'name ' || (id % 5)::text AS name
  FROM (SELECT row_number() OVER () AS id, value::timestamp AS at
        FROM generate_series(DATE '1969-12-30', DATE '1970-02-10', INTERVAL '1 day') AS g(value)) AS numbered;
INSERT INTO made.partitioned VALUES (NULL, NULL, NULL), (51, '2026-01-01', 'a/b=c d');

CREATE TABLE made.by_month (id bigint, on_day date, price numeric(8,2)) PARTITIONED BY (month(on_day), price);
INSERT INTO made.by_month VALUES (1, '1969-12-31', 1.50), (2, '1970-01-01', 2.25), (3, '2026-11-20', NULL);

CREATE TABLE made.by_hour (id bigint, at timestamptz, a_year date) PARTITIONED BY (hour(at), year(a_year));
INSERT INTO made.by_hour VALUES (1, '2026-01-01 10:59:59+00', '1969-06-01'), (2, '1969-12-31 23:00:00+00', '2026-06-01');

CREATE TABLE made.by_key (id bigint, key uuid, other uuid) PARTITIONED BY (key, other);
INSERT INTO made.by_key VALUES (1, '00000000-0000-0000-0000-000000000001', NULL), (2, 'f0000000-0000-0000-0000-00000000000f', '00000000-0000-0000-0000-000000000002'), (3, NULL, NULL);

CREATE TABLE made.empty (id bigint);
CREATE TABLE made.emptied AS SELECT 1 AS id;
TRUNCATE made.emptied;

CREATE TABLE made.overwritten AS SELECT value AS id FROM generate_series(1, 5) AS g(value);
INSERT OVERWRITE made.overwritten VALUES (10), (20);
CREATE TABLE made.by_region PARTITIONED BY (region) AS
  SELECT * FROM (VALUES ('north', 1), ('south', 2), ('west', 3)) AS v(region, n);
INSERT OVERWRITE made.by_region VALUES ('north', 100);

CREATE TABLE made.replaced AS SELECT 1 AS id;
CREATE OR REPLACE TABLE made.replaced AS SELECT 'other' AS name, DATE '2026-01-01' AS on_day;
CREATE TABLE made.before_rename AS SELECT 1 AS id;
ALTER TABLE made.before_rename RENAME TO "After Rename";
