-- What the psql checks look at.
CREATE SCHEMA sales;
COMMENT ON SCHEMA sales IS 'what was sold';
CREATE TABLE plain (id bigint);
CREATE TABLE sales.orders (
  id bigint NOT NULL, customer text, price numeric(12,2), at timestamptz, tags text[]);
COMMENT ON TABLE sales.orders IS 'every order';
COMMENT ON COLUMN sales.orders.price IS 'in euro';
INSERT INTO sales.orders VALUES
  (1, 'Anna', 10.50, '2026-01-01 12:00:00+00', ARRAY['a']), (2, 'Berta', 99.00, NULL, NULL);
CREATE TABLE sales."Odd Name" ("Mixed" text);
CREATE VIEW sales.big AS SELECT id, price FROM sales.orders WHERE price > 50;
CREATE TABLE keyed (id integer PRIMARY KEY CHECK (id > 0), parent integer REFERENCES keyed, code varchar(5));
CREATE ROLE analyst;
GRANT SELECT ON sales.orders TO analyst;
